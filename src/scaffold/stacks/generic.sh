#!/usr/bin/env bash
# @about@
# @stand-in@
set -euo pipefail

# @stand-in-code@

# What is measured: replace the body by the workload, and the metric below by its own.
work() {
    echo "nothing is measured yet: put the workload into the function \`work\` of this script" >&2
    return 1
}

began=${EPOCHREALTIME/[.,]/}
work "$@"
microseconds=$((${EPOCHREALTIME/[.,]/} - began))
value=$(awk "BEGIN { print 1000000 / $microseconds }")
echo "performance: $value runs_per_second"
