#!/usr/bin/env bash
# A fixed piece of work for one CPU: many short passes, of which the fastest counts, since
# what else runs here can only slow a pass down. MAD_PLANT_SLOWDOWN=0.1 does 10 % more of it.
set -euo pipefail
export LC_ALL=C

if ((BASH_VERSINFO[0] < 5)); then
    echo "bash ${BASH_VERSION} has no clock that is fine enough, bash 5 has one" >&2
    exit 1
fi
printf -v more '%.0f' "${MAD_PLANT_SLOWDOWN:-0}e4"
rounds=$((500 * (10000 + more) / 10000))
fastest=0
for ((pass = 0; pass < 600; pass++)); do
    x=1
    began=${EPOCHREALTIME/./}
    for ((i = 0; i < rounds; i++)); do x=$(((x * 1103515245 + 12345) & 0x7fffffff)); done
    took=$((${EPOCHREALTIME/./} - began))
    if ((fastest == 0 || took < fastest)); then fastest=$took; fi
done
echo "performance: $fastest microseconds"
