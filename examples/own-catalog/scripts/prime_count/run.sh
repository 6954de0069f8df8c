#!/usr/bin/env bash
# Counts primes by trial division: run.sh --limit N
set -euo pipefail

limit=1000
if [[ ${1:-} == --limit ]]; then
    limit=${2:?"--limit needs a number"}
fi

began=${EPOCHREALTIME/[.,]/}
primes=0
for ((n = 2; n <= limit; n++)); do
    for ((d = 2; d * d <= n; d++)); do
        if ((n % d == 0)); then
            continue 2
        fi
    done
    primes=$((primes + 1))
done
microseconds=$((${EPOCHREALTIME/[.,]/} - began))

echo "$primes primes up to $limit"
echo "performance: $((limit * 1000000 / microseconds)) numbers_per_second"
