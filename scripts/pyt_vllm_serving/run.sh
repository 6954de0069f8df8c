#!/usr/bin/env bash
# Serves a model with vLLM, sends it random prompts with `vllm bench serve`, and writes
# throughput and latencies to a CSV file.
#
#   run.sh --model ID [--input-len N] [--output-len N] [--num-prompts N]
#          [--max-concurrency N] [--gpu-memory-utilization F]
#
# An option given twice counts as given last.
set -euo pipefail

model=""
input_len=1024
output_len=128
num_prompts=256
max_concurrency=32
gpu_memory_utilization=0.90

while [[ $# -gt 0 ]]; do
    [[ $# -ge 2 ]] || {
        echo "$1: value missing" >&2
        exit 1
    }
    case $1 in
        --model) model=$2 ;;
        --input-len) input_len=$2 ;;
        --output-len) output_len=$2 ;;
        --num-prompts) num_prompts=$2 ;;
        --max-concurrency) max_concurrency=$2 ;;
        --gpu-memory-utilization) gpu_memory_utilization=$2 ;;
        *)
            echo "$1: unknown option" >&2
            exit 1
            ;;
    esac
    shift 2
done
[[ -n $model ]] || {
    echo "--model is missing" >&2
    exit 1
}
gpus=${MAD_RUNTIME_NGPUS:-1}
for setting in "--input-len $input_len" "--output-len $output_len" "--num-prompts $num_prompts" \
    "--max-concurrency $max_concurrency" "MAD_RUNTIME_NGPUS $gpus"; do
    [[ ${setting##* } =~ ^[1-9][0-9]{0,6}$ ]] || {
        echo "$setting: expected a whole number from 1" >&2
        exit 1
    }
done
[[ $gpu_memory_utilization =~ ^(0\.[0-9]+|1(\.0+)?)$ ]] || {
    echo "--gpu-memory-utilization $gpu_memory_utilization: expected a number up to 1" >&2
    exit 1
}
for tool in vllm python3; do
    command -v "$tool" >/dev/null || {
        echo "$tool not found: run this entry in its container" >&2
        exit 1
    }
done
if [[ -n ${MAD_SECRETS_HFTOKEN:-} ]]; then
    export HF_TOKEN=$MAD_SECRETS_HFTOKEN
fi

server=""
stop_server() {
    [[ -n $server ]] || return 0
    kill -TERM "$server" 2>/dev/null || true
    for _ in {1..60}; do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.5
    done
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=""
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

port=$(python3 serving.py free-port)
# Without prefix caching: a prompt seen in the warm-up must cost the same again.
vllm serve "$model" \
    --host 127.0.0.1 --port "$port" \
    --tensor-parallel-size "$gpus" \
    --max-model-len "$((input_len + output_len + 64))" \
    --gpu-memory-utilization "$gpu_memory_utilization" \
    --no-enable-prefix-caching \
    >server.log 2>&1 &
server=$!
if ! python3 serving.py wait "http://127.0.0.1:$port/health" "$server" "${VLLM_START_TIMEOUT:-1800}"; then
    tail -n 50 server.log >&2
    exit 1
fi

bench() {
    local seed=$1 prompts=$2 result=$3
    vllm bench serve \
        --backend vllm --model "$model" --host 127.0.0.1 --port "$port" \
        --dataset-name random --random-input-len "$input_len" --random-output-len "$output_len" \
        --num-prompts "$prompts" --max-concurrency "$max_concurrency" \
        --ignore-eos --seed "$seed" \
        --percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 99 \
        --save-result --result-dir . --result-filename "$result"
}
# The first requests capture graphs and fill allocators; they are no measurement.
bench 1 "$max_concurrency" warm_up.json
bench 2 "$num_prompts" measured.json

# Writes the columns model, performance, metric and what the load was.
python3 serving.py rows measured.json "${MAD_OUTPUT_CSV:-pyt_vllm_serving.csv}" \
    "$model" "$num_prompts" "$input_len" "$output_len" "$max_concurrency"
