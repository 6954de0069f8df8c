//! What is wrong with the script of an entry.

use super::Rule;
use crate::diagnostic::Severity;

pub(in crate::validate) const NO_SCRIPT: Rule = Rule {
    id: "MAD020",
    title: "the entry has no script",
    severity: Severity::Error,
    explanation: r#"Without `scripts` there is nothing to run.

```json
{ "name": "a", "tags": ["pyt"] }
```

Name a `.sh`, `.slurm`, `.sbatch` or `.py` file, or a directory with a `run.sh`."#,
};

pub(in crate::validate) const SCRIPT_NOT_FOUND: Rule = Rule {
    id: "MAD021",
    title: "the script does not exist, or cannot be run",
    severity: Severity::Error,
    explanation: r#"`scripts` is relative to the catalog root, in a catalog in `scripts/<dir>/` to that directory. `.sh`,
`.slurm` and `.sbatch` run with bash and `.py` with python3; anything else must be a directory with a
`run.sh` in it.

```json
{ "name": "a", "scripts": "scripts/a/rnu.sh" }
```

Correct the path, or create the file."#,
};

pub(in crate::validate) const ODD_SHEBANG: Rule = Rule {
    id: "MAD022",
    title: "the first line of the script is not a working `#!` line",
    severity: Severity::Warning,
    explanation: r#"The harness starts scripts through their interpreter and does not need the line, but `./run.sh` by
hand, or from another script, does.

```sh
#!bin/bash
```

Name an absolute path: `#!/bin/bash` or `#!/usr/bin/env bash`."#,
};

pub(in crate::validate) const SYNTAX: Rule = Rule {
    id: "MAD023",
    title: "a script does not parse",
    severity: Severity::Error,
    explanation: r#"Bash reads a script as it goes: a syntax error shows up when the line is reached, after hours of
work if it stands at the end. Python does not even start.

```sh
if [ "$1" = x ]; then echo "performance: 1 tok/s"
```

Correct what the message points at (here: `fi` is missing)."#,
};

pub(in crate::validate) const OUTSIDE: Rule = Rule {
    id: "MAD024",
    title: "a path leads out of the catalog",
    severity: Severity::Error,
    explanation: r#"Only what lies below the catalog root is there on the machine that runs the entry. Absolute paths,
paths that begin with `..` and links to elsewhere are refused.

```json
{ "name": "a", "scripts": "../other/run.sh" }
```

Move the file into the catalog."#,
};

pub(in crate::validate) const NOT_CHECKED: Rule = Rule {
    id: "MAD025",
    title: "a file could not be checked",
    severity: Severity::Note,
    explanation: r#"The file is larger than 8 MiB, is not UTF-8 text, or is nested so deeply that no person wrote it.
It may work; nothing is known about it.

```sh
echo "d\xe9j\xe0 vu"    # in Latin-1
```

Save it as UTF-8, or split it."#,
};
