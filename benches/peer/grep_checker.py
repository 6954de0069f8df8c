"""What a team without a harness has: names and paths exist, each script reports a number."""

import glob
import json
import os
import re
import sys

REPORTS = re.compile(r"performance:")


def entries(root):
    for file in ["models.json", *sorted(glob.glob("scripts/*/models.json", root_dir=root))]:
        with open(os.path.join(root, file), encoding="utf-8") as text:
            yield from ((file, entry) for entry in json.load(text))


def main(root):
    findings, names, reports = [], set(), {}
    images = set(os.listdir(os.path.join(root, "docker")))
    for file, entry in entries(root):
        name = entry.get("name")
        if not name or name in names:
            findings.append(f"{file}: {name!r}: missing or used twice")
        names.add(name)
        script = os.path.join(root, entry.get("scripts", ""))
        if script not in reports:  # Each script is read once, however many entries share it.
            reports[script] = None
            if os.path.isfile(script):
                with open(script, encoding="utf-8") as text:
                    reports[script] = bool(REPORTS.search(text.read()))
        if reports[script] is None:
            findings.append(f"{file}: {name}: no script {script}")
        elif not reports[script] and not entry.get("multiple_results"):
            findings.append(f"{file}: {name}: {script} reports nothing")
        prefix = os.path.basename(entry.get("dockerfile", ""))
        if prefix and not any(prefix + end in images for end in IMAGES):
            findings.append(f"{file}: {name}: no Dockerfile {prefix}")
    print("\n".join(findings) or f"{len(names)} entries are fine")
    return bool(findings)


IMAGES = (".ubuntu.amd.Dockerfile", ".ubuntu.nvidia.Dockerfile")
if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
