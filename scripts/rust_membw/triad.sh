#!/usr/bin/env bash
# Measures the memory bandwidth of a STREAM triad on the CPU.
# Lever: MAD_NUM_THREADS; MAD_MEMBW_MIB changes what is measured. Compiling is not part of the number.
set -euo pipefail

command -v rustc >/dev/null || {
    echo "rustc not found: this entry compiles its program with a Rust toolchain (1.88 or later)" >&2
    exit 1
}

# shellcheck source=build_cache.sh
source ./build_cache.sh

flags=(--edition 2024 -C opt-level=3 -C target-cpu=native -C panic=abort -D warnings)
if ! cache_fetch triad "${flags[@]}"; then
    rustc "${flags[@]}" triad.rs -o triad
    cache_store
fi

# Prints the line `performance: <value> gigabytes_per_second`.
./triad
