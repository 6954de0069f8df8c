#!/usr/bin/env bash
# @about@
#
#   run.sh --model ORG/NAME [options of `vllm bench throughput`]
#
# The entry's `args` are these options; one given twice counts as given last.
# @stand-in@
set -euo pipefail

# @stand-in-code@

if [[ " $* " != *" --model"* ]]; then
    echo "no model: set \"args\": \"--model ORG/NAME\" in the entry" >&2
    exit 1
fi
for tool in vllm python3; do
    command -v "$tool" >/dev/null || {
        echo "$tool not found: run this entry in its container" >&2
        exit 1
    }
done
if [[ -n ${MAD_SECRETS_HFTOKEN:-} ]]; then
    export HF_TOKEN=${MAD_SECRETS_HFTOKEN:-}
fi

# Random prompts of one length, all at once, through the engine without a server.
vllm bench throughput \
    --tensor-parallel-size "${MAD_RUNTIME_NGPUS:-1}" \
    --input-len 1024 --output-len 128 --num-prompts 256 \
    --output-json result.json "$@"

value=$(python3 -c 'import json; print(json.load(open("result.json"))["tokens_per_second"])')
echo "performance: $value tokens_per_second"
