"""Small helpers around a vLLM server.

serving.py free-port
serving.py wait URL PID SECONDS
serving.py rows RESULT.json OUT.csv MODEL PROMPTS INPUT_LEN OUTPUT_LEN CONCURRENCY
"""

import csv
import json
import math
import os
import socket
import sys
import time
import urllib.error
import urllib.request

# Metric in the CSV file, key in the result of `vllm bench serve`.
METRICS = [
    ("output_tokens_per_second", "output_throughput"),
    ("total_tokens_per_second", "total_token_throughput"),
    ("requests_per_second", "request_throughput"),
    ("ttft_median_ms", "median_ttft_ms"),
    ("ttft_p99_ms", "p99_ttft_ms"),
    ("tpot_median_ms", "median_tpot_ms"),
    ("tpot_p99_ms", "p99_tpot_ms"),
    ("itl_median_ms", "median_itl_ms"),
    ("e2el_median_ms", "median_e2el_ms"),
]


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        print(probe.getsockname()[1])


def is_alive(pid):
    """False as well for a process that has ended and not been waited for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def wait(url, pid, seconds):
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        if not is_alive(int(pid)):
            return "the server ended before it was ready"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return None
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(1)
    return f"the server was not ready after {seconds} s"


def rows(result, out, model, prompts, input_len, output_len, concurrency):
    try:
        with open(result, encoding="utf-8") as file:
            measured = json.load(file)
    except (OSError, ValueError) as error:
        return f"no result in {result}: {error}"
    completed = measured.get("completed")
    if completed != int(prompts):
        return f"{completed} of {prompts} requests were completed"
    expected = int(prompts) * int(output_len)
    produced = measured.get("total_output_tokens")
    # Counted by the client, which may tokenise a little differently from the server.
    if not isinstance(produced, int) or abs(produced - expected) > 0.01 * expected:
        return f"{produced} tokens came back instead of {expected}"
    label = f"{model.rsplit('/', 1)[-1].lower()}_in{input_len}_out{output_len}_c{concurrency}"
    table = []
    for metric, key in METRICS:
        try:
            value = float(measured[key])
        except (KeyError, TypeError, ValueError):
            return f"the result has no number {key}"
        if not (math.isfinite(value) and value > 0):
            return f"{key} is {value}"
        table.append([label, value, metric, prompts, input_len, output_len, concurrency])
    header = ["model", "performance", "metric", "prompts", "input_len", "output_len", "concurrency"]
    staged = out + ".part"
    with open(staged, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(table)
    os.replace(staged, out)
    for row in table:
        print(f"{row[2]}: {row[1]:.3f}")
    return None


COMMANDS = {"free-port": (free_port, 0), "wait": (wait, 3), "rows": (rows, 7)}


def main():
    command, count = COMMANDS.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if command is None or len(sys.argv) != 2 + count:
        return __doc__
    return command(*sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
