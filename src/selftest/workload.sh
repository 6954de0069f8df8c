#!/usr/bin/env bash
# A fixed piece of work for one CPU: a file is hashed many times, and the lower quartile of the
# times counts. What else runs here slows some of them down, and a processor that may clock itself
# up for a moment makes some faster. MAD_PLANT_SLOWDOWN=0.1 makes the file 10 % longer. Not a
# loop of bash's own: how fast that is differs by 10 % from process to process.
set -euo pipefail
export LC_ALL=C

if ((BASH_VERSINFO[0] < 5)); then
    echo "bash ${BASH_VERSION} has no clock that is fine enough, bash 5 has one" >&2
    exit 1
fi
printf -v more '%.0f' "${MAD_PLANT_SLOWDOWN:-0}e4"
head -c $((800 * (10000 + more))) /dev/zero >work
times=()
for ((pass = 0; pass < 100; pass++)); do
    began=${EPOCHREALTIME/./}
    sha512sum work >/dev/null
    times+=($((${EPOCHREALTIME/./} - began)))
done
mapfile -t sorted < <(printf '%s\n' "${times[@]}" | sort -n)
echo "performance: ${sorted[25]} microseconds"
