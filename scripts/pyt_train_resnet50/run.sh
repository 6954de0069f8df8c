#!/usr/bin/env bash
# Trains ResNet-50 on synthetic images with torch and torchvision, one process per GPU.
# Levers: MAD_MODEL_BATCH_SIZE (per GPU), MAD_TORCH_COMPILE.
set -euo pipefail

command -v python3 >/dev/null || {
    echo "python3 not found: this entry needs Python 3 with torch" >&2
    exit 1
}

gpus=${MAD_RUNTIME_NGPUS:-1}
[[ $gpus =~ ^[1-9][0-9]{0,3}$ ]] || {
    echo "MAD_RUNTIME_NGPUS=$gpus: expected a whole number from 1" >&2
    exit 1
}

# Prints the line `performance: <value> images_per_second`.
if [[ $gpus -gt 1 ]]; then
    read -r -a runner <<<"${MAD_MULTI_NODE_RUNNER:-torchrun --standalone --nproc_per_node=$gpus}"
    "${runner[@]}" train.py
else
    python3 train.py
fi
