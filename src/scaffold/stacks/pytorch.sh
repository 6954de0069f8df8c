#!/usr/bin/env bash
# @about@
# The workload is in workload.py. Lever: MAD_MODEL_BATCH_SIZE (per GPU).
# @stand-in@
set -euo pipefail

# @stand-in-code@

python3 -c 'import torch' || {
    echo "torch not found: run this entry in its container" >&2
    exit 1
}
gpus=${MAD_RUNTIME_NGPUS:-1}
if [[ $gpus -gt 1 ]]; then
    read -r -a runner <<<"${MAD_MULTI_NODE_RUNNER:-torchrun --standalone --nproc_per_node=$gpus}"
    "${runner[@]}" workload.py "$@"
else
    # Prints the line `performance: <value> samples_per_second`.
    python3 workload.py "$@"
fi
