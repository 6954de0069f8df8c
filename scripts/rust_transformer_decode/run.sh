#!/usr/bin/env bash
# Decodes with a small transformer on the CPU and prints tokens per second.
# Levers: MAD_MODEL_BATCH_SIZE, MAD_NUM_THREADS. Compiling is not part of the number.
set -euo pipefail

command -v rustc >/dev/null || {
    echo "rustc not found: this entry compiles its program with a Rust toolchain (1.88 or later)" >&2
    exit 1
}

# shellcheck source=build_cache.sh
source ./build_cache.sh

flags=(--edition 2024 -C opt-level=3 -C target-cpu=native -C panic=abort -D warnings)
if ! cache_fetch decode "${flags[@]}"; then
    rustc "${flags[@]}" decode.rs -o decode
    cache_store
fi

# Prints the line `performance: <value> tokens_per_second`.
./decode
