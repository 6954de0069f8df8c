#!/usr/bin/env python3
"""Compares two perf.csv files entry by entry; part of compare-madengine.sh.

usage: compare_madengine.py MADENGINE.csv MAD.csv EXPECTED.csv COMPAT.md
NAMES holds the output of `mad discover --json`.
"""

import csv
import json
import os
import re
import sys

FIELDS = ("status", "rows", "metric", "value")


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def entry_of(model, names):
    """The entry that a row belongs to: `<entry>` or `<entry>_<row>`."""
    owners = [n for n in names if model == n or model.startswith(n + "_")]
    return max(owners, key=len, default=None)


def summary(rows):
    """What one program says of one entry."""
    if not rows:
        return {"status": "no row", "rows": "0", "metric": "", "value": ""}
    states = {row["status"] for row in rows}
    worst = next((s for s in ("FAILURE", "SKIPPED", "SUCCESS") if s in states), "?")
    cells = [(row["model"], row["metric"].strip(), number(row["performance"])) for row in rows]
    counted = [cell for cell in cells if cell[2] != ""]
    return {
        "status": worst,
        "rows": str(len(rows)),
        "metric": " ".join(metric for _, metric, _ in counted),
        "value": " ".join(value for _, _, value in counted),
    }


def number(text):
    """A number in one spelling: madengine's pass through pandas."""
    try:
        return repr(float(text))
    except ValueError:
        return text.strip()


def why(row, theirs, known):
    """The reason of a difference by its row of expected-differences.csv, and whether it is one."""
    if row is None:
        return "UNEXPLAINED", False
    if row["id"] not in known:
        return f"{row['id']} (not in docs/compat.md)", False
    # What madengine says there may be told, too.
    if row.get("madengine") not in (None, theirs):
        return f"{row['id']}, but of madengine {row['madengine']} was expected", False
    return row["id"], True


def main():
    theirs, ours, expected, compat = sys.argv[1:5]
    names = [entry["name"] for entry in json.loads(os.environ["NAMES"])]
    sides = []
    for path in (theirs, ours):
        by_entry = {name: [] for name in names}
        for row in read(path):
            # pandas reads an entry that is called `nan` as no name at all.
            owner = entry_of(row["model"] or "nan", names)
            if owner is None:
                sys.exit(f"compare-madengine: {path}: no entry for the row {row['model']!r}")
            by_entry[owner].append(row)
        sides.append({name: summary(rows) for name, rows in by_entry.items()})
    reasons = {(row["entry"], row["field"]): row for row in read(expected)}
    with open(compat, encoding="utf-8") as file:
        known = set(re.findall(r"^### (\S+)", file.read(), re.MULTILINE))

    differences, same, bad = [], 0, 0
    for name in names:
        found = [f for f in FIELDS if sides[0][name][f] != sides[1][name][f]]
        same += not found
        for field in found:
            theirs, ours = sides[0][name][field], sides[1][name][field]
            reason, explained = why(reasons.pop((name, field), None), theirs, known)
            bad += not explained
            differences.append((name, field, theirs, ours, reason))
    for (name, field), row in reasons.items():
        bad += 1
        differences.append((name, field, "", "", f"{row['id']} was expected, but they agree"))

    header = ("entry", "field", "madengine", "mad", "why")
    widths = [max(len(row[i]) for row in [header, *differences]) for i in range(4)]
    for row in [header, *differences]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0])).rstrip())
    print(f"{len(names)} entries: {same} agree; {len(differences)} differences, {bad} not explained")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
