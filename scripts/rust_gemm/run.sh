#!/usr/bin/env bash
# Measures matrix products on the CPU and writes one CSV row per size and precision.
# Levers: MAD_GEMM_BLOCK, MAD_NUM_THREADS. Compiling is not part of the numbers.
set -euo pipefail

command -v rustc >/dev/null || {
    echo "rustc not found: this entry compiles its program with a Rust toolchain (1.88 or later)" >&2
    exit 1
}

# shellcheck source=build_cache.sh
source ./build_cache.sh

flags=(--edition 2024 -C opt-level=3 -C target-cpu=native -C panic=abort -D warnings)
if ! cache_fetch gemm "${flags[@]}"; then
    rustc "${flags[@]}" gemm.rs -o gemm
    cache_store
fi

# Writes the columns model, performance, metric and what the product was.
./gemm "${MAD_OUTPUT_CSV:-rust_gemm.csv}"
