//! What is wrong with the values of an entry.

use super::Rule;
use crate::diagnostic::Severity;

pub(in crate::validate) const NO_NAME: Rule = Rule {
    id: "MAD010",
    title: "the entry has no name",
    severity: Severity::Error,
    explanation: r#"The name is what selects an entry and what its records and baselines are filed under.

```json
{ "scripts": "a.sh" }
```

Give it one, by convention `framework_project_workload`: `"name": "pyt_vllm_llama-3.1-8b"`."#,
};

pub(in crate::validate) const NAME_TAKEN: Rule = Rule {
    id: "MAD011",
    title: "the name exists already",
    severity: Severity::Error,
    explanation: r#"Names key records and baselines. The second entry of a name is not used at all.

```json
[ { "name": "a", "scripts": "a.sh" }, { "name": "a", "scripts": "b.sh" } ]
```

Rename one of the two."#,
};

pub(in crate::validate) const ODD_NAME: Rule = Rule {
    id: "MAD012",
    title: "the name has characters that get in the way",
    severity: Severity::Warning,
    explanation: r#"A name becomes part of an image name, of file names, of a test case and of a selection
(`name:arg=value`, `a,b`, `scope/name`), each of which gives some characters a meaning of its own.

```json
{ "name": "llama 8b: fp16", "scripts": "a.sh" }
```

Use letters, digits, `_`, `-` and `.`, and begin with a letter or digit: `"pyt_llama-8b_fp16"`."#,
};

pub(in crate::validate) const NO_METADATA: Rule = Rule {
    id: "MAD013",
    title: "the entry lacks what people ask about it",
    severity: Severity::Warning,
    explanation: r#"`owner` says whom to ask, `tags` select the entry, `n_gpus` says what it needs (absent is one GPU)
and `training_precision` keeps numbers of different precisions apart. Empty strings are answers:
`"training_precision": ""` says that there is none.

```json
{ "name": "a", "scripts": "a.sh" }
```

Add them: `"owner": "you@example.com", "tags": ["pyt"], "n_gpus": "1", "training_precision": "fp16"`."#,
};

pub(in crate::validate) const BAD_TAG: Rule = Rule {
    id: "MAD014",
    title: "a tag cannot be selected",
    severity: Severity::Warning,
    explanation: r#"Selections are split at commas, `:` begins an argument, `/` begins a scope, and `all` means every
entry. A tag that is empty or holds one of them can never be asked for.

```json
{ "name": "a", "scripts": "a.sh", "tags": ["pyt, fp16"] }
```

Write one word per tag: `["pyt", "fp16"]`."#,
};

pub(in crate::validate) const BAD_WORDS: Rule = Rule {
    id: "MAD050",
    title: "words with an open quote",
    severity: Severity::Error,
    explanation: r#"`args` and `additional_docker_run_options` are split into words as a POSIX shell splits them. With a
quote that is never closed there is no way to do that.

```json
{ "name": "a", "scripts": "a.sh", "args": "--prompt 'hello" }
```

Close the quote, or escape it: `"--prompt 'hello'"`."#,
};

pub(in crate::validate) const EXPANSION: Rule = Rule {
    id: "MAD051",
    title: "arguments that only a shell would expand",
    severity: Severity::Warning,
    explanation: r#"madengine pastes `args` into a `bash -c` line, so `$HOME`, `*`, `` `date` ``, `;`, `|` or `>` outside of
quotes do something there. Here every word reaches the script exactly as it is written.

```json
{ "name": "a", "scripts": "a.sh", "args": "--cache $HOME/models" }
```

Expand it in the script, or quote it if it is meant literally: `"--lens '128:128;1024:128'"`."#,
};

pub(in crate::validate) const ODD_TIMEOUT: Rule = Rule {
    id: "MAD052",
    title: "a timeout that probably means something else",
    severity: Severity::Note,
    explanation: r#"0 or less is "no limit of its own". Less than a second cannot be kept, and more than a week is no
limit at all.

```json
{ "name": "a", "scripts": "a.sh", "timeout": 8640000 }
```

Say what you mean in seconds: `"timeout": 7200`, or `-1` for none."#,
};

pub(in crate::validate) const GPU_CONFLICT: Rule = Rule {
    id: "MAD053",
    title: "GPU counts that contradict each other",
    severity: Severity::Warning,
    explanation: r#"`gpus_per_node`, `gpu_count`, `n_gpus`, `num_gpus` and `ngpus` all mean the same, and the first of
them in this order wins.

```json
{ "name": "a", "scripts": "a.sh", "n_gpus": "8", "gpu_count": "4" }
```

Keep one: `"n_gpus": "8"`."#,
};

pub(in crate::validate) const ODD_ARCH: Rule = Rule {
    id: "MAD054",
    title: "not the name of a GPU architecture",
    severity: Severity::Warning,
    explanation: r#"`skip_gpu_arch` is compared word by word with what the driver reports (`gfx942`, `A100`). A word that
no GPU has skips nothing.

```json
{ "name": "a", "scripts": "a.sh", "skip_gpu_arch": "gfx942;MI300X" }
```

Separate architecture names with commas: `"gfx942,gfx950"`."#,
};

pub(in crate::validate) const NO_DATA: Rule = Rule {
    id: "MAD055",
    title: "the data set is not in data.json",
    severity: Severity::Error,
    explanation: r#"Every name in `data` must be a key of `data.json`; the run ends with an error otherwise.

```json
{ "name": "a", "scripts": "a.sh", "data": "imagenett" }
```

Correct the name, or add the data set to `data.json`."#,
};

pub(in crate::validate) const BAD_DATA: Rule = Rule {
    id: "MAD056",
    title: "a data set cannot be used as it is described",
    severity: Severity::Error,
    explanation: r#"`data.json` must be an object of data sets; a data set an object with a key for each provider:
`custom`, `local`, `minio`, `nas`, `aws`; a provider an object with a `path`. Only the entries that name the
data set are concerned.

```json
{ "imagenet": { "minoi": { "path": "s3://datasets/imagenet", "readwrite": "yes" } } }
```

Write it as in [data.md](data.md): `"minio"`, and `"readwrite": "true"`."#,
};

pub(in crate::validate) const SLURM_MULTI: Rule = Rule {
    id: "MAD057",
    title: "a setting that a self-managed entry ignores",
    severity: Severity::Note,
    explanation: r#"The script of a `slurm_multi` entry runs once, on the first node of its job, and starts what runs on
the others: nobody reads the metrics file that `multiple_results` names. Its numbers are in the `perf.csv`
that it writes, or in a `performance:` line.

```json
{ "name": "a", "scripts": "a.slurm", "distributed": { "launcher": "slurm_multi" }, "multiple_results": "perf_a.csv" }
```

Remove the setting, or use a launcher that runs the script for you."#,
};

pub(in crate::validate) const UNKNOWN_KEY: Rule = Rule {
    id: "MAD060",
    title: "an unknown key that looks like a typo",
    severity: Severity::Warning,
    explanation: r#"Unknown keys are kept and ignored. One that is nearly the name of a known key is probably meant to
be it. Keys that begin with `_` are comments.

```json
{ "name": "a", "scripts": "a.sh", "ngpu": "8" }
```

Write the known key: `"n_gpus": "8"`."#,
};

pub(in crate::validate) const OUT_OF_RANGE: Rule = Rule {
    id: "MAD061",
    title: "a value that cannot be used",
    severity: Severity::Error,
    explanation: r#"`bench.samples` is at least 1; a tolerance is a fraction from 0 to below 1 (5 % is `0.05`); a floor
is not negative; names of metrics are not empty; days are written `2026-12-31`.

```json
{ "name": "a", "scripts": "a.sh", "regress": { "tolerance": 5 } }
```

Correct the value: `"regress": { "tolerance": 0.05 }`."#,
};

pub(in crate::validate) const NO_REASON: Rule = Rule {
    id: "MAD062",
    title: "a metric without a gate has no reason",
    severity: Severity::Warning,
    explanation: r#"A regression of a metric that is not gated, or known to be worse (`xfail`), does not fail. Without a
reason nobody will know when that may end; with `until` it ends by itself.

```json
{ "name": "a", "scripts": "a.sh", "regress": { "metrics": { "ms": { "gated": false } } } }
```

Say why, and until when: `{ "gated": false, "reason": "shared machine", "until": "2026-12-31" }`."#,
};
