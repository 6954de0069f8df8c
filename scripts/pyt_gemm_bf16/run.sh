#!/usr/bin/env bash
# Multiplies bf16 matrices with torch and writes one CSV row per size, in TFLOPS.
# Lever: PYTORCH_TUNABLEOP_ENABLED, which torch reads itself.
set -euo pipefail

command -v python3 >/dev/null || {
    echo "python3 not found: this entry needs Python 3 with torch" >&2
    exit 1
}

# Writes the columns model, performance, metric and what the product was.
python3 gemm.py "${MAD_OUTPUT_CSV:-pyt_gemm_bf16.csv}"
