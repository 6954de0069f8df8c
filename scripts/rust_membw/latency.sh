#!/usr/bin/env bash
# Measures the latency of dependent loads from memory.
# No levers; MAD_MEMBW_MIB changes what is measured. Compiling is not part of the number.
set -euo pipefail

command -v rustc >/dev/null || {
    echo "rustc not found: this entry compiles its program with a Rust toolchain (1.88 or later)" >&2
    exit 1
}

# shellcheck source=build_cache.sh
source ./build_cache.sh

flags=(--edition 2024 -C opt-level=3 -C target-cpu=native -C panic=abort -D warnings)
if ! cache_fetch latency "${flags[@]}"; then
    rustc "${flags[@]}" latency.rs -o latency
    cache_store
fi

# Prints the line `performance: <value> latency_ns`.
./latency
