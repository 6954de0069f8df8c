//! What is wrong with how an entry reports its numbers.

use super::Rule;
use crate::diagnostic::Severity;

pub(in crate::validate) const NO_METRIC: Rule = Rule {
    id: "MAD040",
    title: "nothing that is executed prints a performance line",
    severity: Severity::Error,
    explanation: r#"The number of an entry is the line `performance: <value> <metric>` in its output. The check follows
the script as it would run (functions that are called, scripts that are started, Python modules that
are imported), so a comment, a string that is never printed or a script that nobody calls is not
enough.

```sh
# performance: see below
python3 bench.py > bench.log
```

Print it: `echo "performance: $value tokens_per_second"`, or write a CSV and name it in
`multiple_results`."#,
};

pub(in crate::validate) const CANNOT_TELL: Rule = Rule {
    id: "MAD041",
    title: "cannot tell whether a number is reported",
    severity: Severity::Note,
    explanation: r#"Something that is executed cannot be seen from here: a command in a variable, a compiled program,
a file of a repository that is cloned when the entry runs. The entry may be fine.

```sh
$COMMAND --batch 8
```

To be sure, print the performance line in the script itself."#,
};

pub(in crate::validate) const NO_CSV: Rule = Rule {
    id: "MAD042",
    title: "nothing that is executed writes the CSV file",
    severity: Severity::Error,
    explanation: r#"With `multiple_results` the numbers are read from that file and from nowhere else: a `performance:`
line is not even looked at.

```json
{ "name": "a", "scripts": "a.sh", "multiple_results": "perf_a.csv" }
```

```sh
echo "performance: 12 tok/s"
```

Write the file (columns `model,performance,metric`) under this name or under `$MAD_OUTPUT_CSV`, or remove
`multiple_results`."#,
};

pub(in crate::validate) const BAD_CSV_NAME: Rule = Rule {
    id: "MAD043",
    title: "`multiple_results` is not a CSV file",
    severity: Severity::Warning,
    explanation: r#"The file is read as comma-separated values whatever it is called; another ending is mostly a slip.

```json
{ "name": "a", "scripts": "a.sh", "multiple_results": "perf_a.txt" }
```

Call it `perf_a.csv`, here and in the script."#,
};

pub(in crate::validate) const UNREADABLE_METRIC: Rule = Rule {
    id: "MAD044",
    title: "a performance line that cannot be read",
    severity: Severity::Error,
    explanation: r#"The line is `performance:`, white space, a decimal number, white space, a metric. `performance:12 tok/s`
has no space, `performance: nan x` no number, `performance: 12` no metric.

```sh
echo "performance:$value tok/s"
```

Write `echo "performance: $value tok/s"`."#,
};

pub(in crate::validate) const NO_SELF_MANAGED_CSV: Rule = Rule {
    id: "MAD045",
    title: "a self-managed entry that names no results file",
    severity: Severity::Note,
    explanation: r#"The script of such an entry submits its own jobs, and its numbers are collected from a CSV file
(`perf.csv`, `perf_*.csv`) that they write. None is named in what could be followed.

```sh
sbatch job.sh
```

Write the results to `perf.csv`, or to `perf_<what>.csv`."#,
};
