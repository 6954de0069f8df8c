"""bf16 matrix products on one GPU, timed with device events.

usage: gemm.py RESULTS.csv

Each size is checked against an f32 product before it is timed. The reported speed is that of
the median window, 2 * m * n * k operations per product. Two pairs of operands alternate, so
that a small product does not find its operands in the cache each time. The operands are
random: zeros would draw less power and run faster than real data.
"""

import csv
import math
import os
import statistics
import sys
import time

SIZES = [
    (2048, 2048, 2048),
    (4096, 4096, 4096),
    (8192, 8192, 8192),
    (4096, 14336, 4096),
    (16, 4096, 4096),
]
CPU_SIZES = [(256, 256, 256), (16, 512, 512)]
WINDOWS = 20
WARM_UP_SECONDS = 0.5
WINDOW_SECONDS = 0.02
# bf16 keeps eight significant bits. The result is rounded to them once, partial sums of a
# product that is split along k once more; a misplaced value is off by far more than this.
RELATIVE_TOLERANCE = 2.0**-5


def pick_device(torch):
    """The device, or None and the reason why there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0), torch.cuda.get_device_name(0)
    if os.environ.get("MAD_ALLOW_CPU") == "1":
        return torch.device("cpu"), "CPU, for testing this script only"
    return None, f"torch {torch.__version__} sees no GPU"


class Clock:
    """Seconds that a run of work takes on the device."""

    def __init__(self, torch, device):
        self.torch = torch
        self.on_gpu = device.type == "cuda"

    def measure(self, work, repeats):
        if not self.on_gpu:
            begin = time.perf_counter()
            for index in range(repeats):
                work(index)
            return time.perf_counter() - begin
        begin = self.torch.cuda.Event(enable_timing=True)
        end = self.torch.cuda.Event(enable_timing=True)
        begin.record()
        for index in range(repeats):
            work(index)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3


def check(torch, left, right, product):
    """None, or what is wrong with the product."""
    exact = left.float() @ right.float()
    # The error of a sum grows with what was added, not with what came out.
    scale = math.sqrt(left.shape[1])
    worst = ((product.float() - exact).abs() / (exact.abs() + scale)).max().item()
    if not worst <= RELATIVE_TOLERANCE:
        return f"the bf16 product is off by {worst:.2e}, more than {RELATIVE_TOLERANCE:.2e}"
    return None


def bench(torch, device, clock, size):
    """Seconds per product; raises ArithmeticError for a wrong product."""
    m, n, k = size
    generator = torch.Generator(device=device).manual_seed(7)
    pairs = [
        tuple(
            torch.randn(shape, device=device, dtype=torch.bfloat16, generator=generator)
            for shape in ((m, k), (k, n))
        )
        for _ in range(2)
    ]
    outputs = [torch.empty((m, n), device=device, dtype=torch.bfloat16) for _ in pairs]

    def work(index):
        left, right = pairs[index % 2]
        torch.mm(left, right, out=outputs[index % 2])

    # The first calls choose kernels (with TunableOp: tune them).
    work(0)
    work(1)
    for (left, right), output in zip(pairs, outputs):
        problem = check(torch, left, right, output)
        if problem is not None:
            raise ArithmeticError(problem)

    repeats = 2
    begin = time.perf_counter()
    while True:
        seconds = clock.measure(work, repeats)
        if seconds >= WINDOW_SECONDS:
            if time.perf_counter() - begin >= WARM_UP_SECONDS:
                break
        else:
            repeats *= 2
    windows = [clock.measure(work, repeats) / repeats for _ in range(WINDOWS)]
    return statistics.median(windows)


def main():
    if len(sys.argv) != 2:
        return "usage: gemm.py RESULTS.csv"
    try:
        import torch
    except ImportError as error:
        return f"{sys.executable} cannot import torch ({error}): run this entry in its container"
    device, name = pick_device(torch)
    if device is None:
        return name
    # Exact f32 products for the check.
    torch.backends.cuda.matmul.allow_tf32 = False
    print(f"torch {torch.__version__} on {name}")

    clock = Clock(torch, device)
    table = []
    for size in SIZES if device.type == "cuda" else CPU_SIZES:
        m, n, k = size
        label = f"bf16_{m}x{n}x{k}"
        try:
            seconds = bench(torch, device, clock, size)
        except ArithmeticError as error:
            return f"check failed: {label}: {error}"
        tflops = 2.0 * m * n * k / seconds / 1e12
        print(f"{label}: {tflops:.2f} tflops, {seconds * 1e6:.1f} us per product")
        table.append([label, f"{tflops:.4f}", "tflops", m, n, k, f"{seconds:.9f}"])

    out = sys.argv[1]
    staged = out + ".part"
    with open(staged, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "performance", "metric", "m", "n", "k", "seconds"])
        writer.writerows(table)
    os.replace(staged, out)
    return None


if __name__ == "__main__":
    sys.exit(main())
