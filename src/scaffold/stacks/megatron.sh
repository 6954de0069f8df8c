#!/usr/bin/env bash
# @about@
#
#   run.sh [options of Megatron-LM's pretrain_gpt.py]
#
# The entry's `args` are these options; one given twice counts as given last.
# MEGATRON_DIR is where Megatron-LM is. Lever: MAD_MODEL_BATCH_SIZE (per GPU).
# @stand-in@
set -euo pipefail

# @stand-in-code@

megatron=${MEGATRON_DIR:-/workspace/Primus/third_party/Megatron-LM}
[[ -f $megatron/pretrain_gpt.py ]] || {
    echo "no pretrain_gpt.py in $megatron: set MEGATRON_DIR, or run this entry in its container" >&2
    exit 1
}
gpus=${MAD_RUNTIME_NGPUS:-1}
batch=${MAD_MODEL_BATCH_SIZE:-2}
read -r -a runner <<<"${MAD_MULTI_NODE_RUNNER:-torchrun --standalone --nproc_per_node=$gpus}"

# A GPT of 1.3 billion parameters on made-up data: replace its size by the model's.
export CUDA_DEVICE_MAX_CONNECTIONS=1
"${runner[@]}" "$megatron/pretrain_gpt.py" \
    --num-layers 24 --hidden-size 2048 --num-attention-heads 16 \
    --seq-length 2048 --max-position-embeddings 2048 \
    --micro-batch-size "$batch" --global-batch-size "$((batch * gpus))" \
    --mock-data --tokenizer-type NullTokenizer --vocab-size 50257 \
    --bf16 --lr 1e-4 --train-iters 30 --eval-iters 0 --log-interval 1 --log-throughput \
    "$@" 2>&1 | tee train.log

# The median of the iterations after the first ten.
value=$(sed -n 's|.*throughput per GPU (TFLOP/s/GPU): *\([0-9.]*\).*|\1|p' train.log |
    tail -n +11 | sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }')
[[ -n $value ]] || {
    echo "the log has no throughput after ten iterations" >&2
    exit 1
}
echo "performance: $value tflops_per_gpu"
