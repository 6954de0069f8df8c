#!/usr/bin/env bash
# @about@
#
#   run.sh [key=value…] (keys of MaxText's base.yml)
#
# The entry's `args` are these keys, model_name=llama2-7b for instance.
# MAXTEXT_DIR is where MaxText is. Lever: MAD_MODEL_BATCH_SIZE (per device).
# @stand-in@
set -euo pipefail

# @stand-in-code@

maxtext=${MAXTEXT_DIR:-/workspace/maxtext}
config=""
for candidate in src/MaxText/configs/base.yml MaxText/configs/base.yml; do
    if [[ -f $maxtext/$candidate ]]; then
        config=$maxtext/$candidate
    fi
done
[[ -n $config ]] || {
    echo "no MaxText in $maxtext: set MAXTEXT_DIR, or run this entry in its container" >&2
    exit 1
}
log=$PWD/train.log
output=$PWD/output

# Made-up data, so that reading it is not part of the number.
(cd "${config%/MaxText/configs/base.yml}" && python3 -m MaxText.train "$config" \
    run_name=mad base_output_directory="$output" dataset_type=synthetic \
    enable_checkpointing=false steps=30 per_device_batch_size="${MAD_MODEL_BATCH_SIZE:-2}" \
    "$@") 2>&1 | tee "$log"

# The median of the steps after the first ten.
value=$(sed -n 's|.*completed step.*Tokens/s/device: *\([0-9.]*\).*|\1|p' "$log" |
    tail -n +11 | sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }')
[[ -n $value ]] || {
    echo "the log has no throughput after ten steps" >&2
    exit 1
}
echo "performance: $value tokens_per_second_per_device"
