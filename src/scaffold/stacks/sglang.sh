#!/usr/bin/env bash
# @about@
#
#   run.sh --model-path ORG/NAME [options of `sglang.bench_offline_throughput`]
#
# The entry's `args` are these options; one given twice counts as given last.
# @stand-in@
set -euo pipefail

# @stand-in-code@

if [[ " $* " != *" --model-path"* ]]; then
    echo "no model: set \"args\": \"--model-path ORG/NAME\" in the entry" >&2
    exit 1
fi
python3 -c 'import sglang' || {
    echo "sglang not found: run this entry in its container" >&2
    exit 1
}
if [[ -n ${MAD_SECRETS_HFTOKEN:-} ]]; then
    export HF_TOKEN=${MAD_SECRETS_HFTOKEN:-}
fi

# Random prompts, all at once, through the engine without a server.
python3 -m sglang.bench_offline_throughput \
    --tp-size "${MAD_RUNTIME_NGPUS:-1}" \
    --dataset-name random --random-input 1024 --random-output 128 --num-prompts 256 \
    --result-filename result.jsonl "$@"

value=$(python3 -c 'import json; print(json.loads(open("result.jsonl").readlines()[-1])["total_throughput"])')
echo "performance: $value tokens_per_second"
