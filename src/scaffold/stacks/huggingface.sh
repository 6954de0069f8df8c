#!/usr/bin/env bash
# @about@
#
#   run.sh --model ORG/NAME
#
# The workload is in workload.py. Lever: MAD_MODEL_BATCH_SIZE (per GPU).
# @stand-in@
set -euo pipefail

# @stand-in-code@

if [[ " $* " != *" --model"* ]]; then
    echo "no model: set \"args\": \"--model ORG/NAME\" in the entry" >&2
    exit 1
fi
python3 -c 'import torch, transformers' || {
    echo "torch and transformers are needed: run this entry in its container" >&2
    exit 1
}
if [[ -n ${MAD_SECRETS_HFTOKEN:-} ]]; then
    export HF_TOKEN=${MAD_SECRETS_HFTOKEN:-}
fi
gpus=${MAD_RUNTIME_NGPUS:-1}
if [[ $gpus -gt 1 ]]; then
    read -r -a runner <<<"${MAD_MULTI_NODE_RUNNER:-torchrun --standalone --nproc_per_node=$gpus}"
    "${runner[@]}" workload.py "$@"
else
    # Prints the line `performance: <value> train_samples_per_second`.
    python3 workload.py "$@"
fi
