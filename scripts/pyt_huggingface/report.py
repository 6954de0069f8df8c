"""Turns the result file of the HuggingFace trainer into the performance line."""

import json
import math
import sys


def main():
    if len(sys.argv) != 2:
        return "usage: report.py train_results.json"
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            results = json.load(file)
        throughput = float(results["train_samples_per_second"])
        loss = float(results["train_loss"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"no training result in {sys.argv[1]}: {error!r}"
    if not math.isfinite(loss):
        return f"the training loss is {loss}"
    if not (math.isfinite(throughput) and throughput > 0):
        return f"the trainer reports {throughput} samples per second"
    print(f"training loss {loss:.4f}")
    print(f"performance: {throughput} train_samples_per_second")
    return None


if __name__ == "__main__":
    sys.exit(main())
