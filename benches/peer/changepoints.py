"""What other detectors find in the series of `cargo bench --bench changepoints`.

    pip install apache-otava asv numpy ruptures
    MAD_SERIES=FILE python3 benches/peer/changepoints.py
"""

import gzip
import json
import os
import random
import statistics
import time

import numpy as np
import ruptures
from asv.step_detect import detect_steps
from otava.analysis import compute_change_points

MARGIN, ANNOTATORS, TRIALS = 5, 3, 200


def otava(pvalue, magnitude):
    return lambda y: [
        p.index for p in compute_change_points(y, max_pvalue=pvalue, min_magnitude=magnitude)[0]
    ]


def asv(threshold):
    def detect(y):
        steps = detect_steps(y)
        pairs = zip(steps, steps[1:])
        return [b[0] for a, b in pairs if abs(b[2] - a[2]) > max(a[4], threshold * abs(a[2]))]

    return detect


def least_squares(penalty):
    def detect(y):
        noise = np.median(np.abs(np.diff(y))) / 0.954 or np.std(np.diff(y)) / 2**0.5
        if noise == 0:
            return []
        model = ruptures.KernelCPD(kernel="linear", min_size=2).fit(np.array(y) / noise)
        return model.predict(pen=penalty * np.log(len(y)))[:-1]

    return detect


PEERS = {
    "nothing": lambda y: [],
    "Otava, defaults": otava(0.001, 0.0),
    "Otava, 5 %": otava(0.001, 0.05),
    "Otava, p 1e-6, 5 %": otava(1e-6, 0.05),
    "asv": asv(0.0),
    "asv, 5 %": asv(0.05),
    "ruptures KernelCPD, 6 ln n": least_squares(6),
    "ruptures KernelCPD, 20 ln n": least_squares(20),
    "ruptures KernelCPD, 60 ln n": least_squares(60),
}


def matched(marks, found):
    left, count = set(found), 0
    for mark in sorted(marks):
        near = [(abs(mark - x), x) for x in left if abs(mark - x) <= MARGIN]
        if near:
            left.remove(min(near)[1])
            count += 1
    return count


def score(annotations, found):
    found = {0, *found}
    marks = [{0, *m} for m in annotations]
    precision = matched(set().union(*marks), found) / len(found)
    recall = statistics.mean(matched(m, found) / len(m) for m in marks)
    return 2 * precision * recall / (precision + recall), precision, recall


def agreement(detect, labelled):
    scores, quiet = [], []
    for entry in labelled:
        found = detect(entry["series"])
        marks = entry["annotations"].values()
        scores.append(score(marks, found))
        if not any(marks):
            quiet.append(bool(found))
    f1, precision, recall = (statistics.mean(s) for s in zip(*scores))
    return (
        f"F1 {f1:.4f} precision {precision:.4f} recall {recall:.4f} "
        f"quiet-flagged {sum(quiet)}/{len(quiet)}"
    )


def gaussian(n):
    return [100 * (1 + 0.02 * random.gauss(0, 1)) for _ in range(n)]


def outliers(n):
    return [y * (1.15 if random.random() < 0.03 else 1) for y in gaussian(n)]


def autoregressive(n):
    z = [random.gauss(0, 1)]
    while len(z) < n:
        z.append(0.5 * z[-1] + 0.75**0.5 * random.gauss(0, 1))
    return [100 * (1 + 0.02 * x) for x in z]


def false_alarms(detect, noise):
    random.seed(1)
    shares = [sum(bool(detect(noise(n))) for _ in range(TRIALS)) / TRIALS for n in (20, 50, 100, 300)]
    return " / ".join(f"{100 * s:.1f}" for s in shares) + " %"


def main():
    labelled = []
    if path := os.environ.get("MAD_SERIES"):
        with (gzip.open if path.endswith(".gz") else open)(path, "rt") as file:
            labelled = [e for e in json.load(file).values() if len(e["annotations"]) >= ANNOTATORS]
    for name, detect in PEERS.items():
        print(name)
        if labelled:
            start = time.perf_counter()
            print(f"  {agreement(detect, labelled)} in {time.perf_counter() - start:.1f} s")
        for noise in (gaussian, outliers, autoregressive):
            print(f"  flagged without a change: {noise.__name__} {false_alarms(detect, noise)}", flush=True)


if __name__ == "__main__":
    main()
