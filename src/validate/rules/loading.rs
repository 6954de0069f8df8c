//! What is wrong with a catalog file as such.

use super::Rule;
use crate::diagnostic::Severity;

pub(in crate::validate) const UNREADABLE: Rule = Rule {
    id: "MAD001",
    title: "a catalog file cannot be read",
    severity: Severity::Error,
    explanation: r#"The file is missing, empty, not UTF-8 or not JSON, so none of its entries exist.

```json
[ { "name": "a", "scripts": "a.sh", } ]
```

Fix what the message points at (here: the comma before `}`)."#,
};

pub(in crate::validate) const NOT_ENTRIES: Rule = Rule {
    id: "MAD002",
    title: "a catalog must be an array of objects",
    severity: Severity::Error,
    explanation: r#"A catalog is one array, and every element of it is an entry.

```json
{ "name": "a", "scripts": "a.sh" }
```

Put the entries between `[` and `]`."#,
};

pub(in crate::validate) const WRONG_TYPE: Rule = Rule {
    id: "MAD003",
    title: "a value has the wrong type",
    severity: Severity::Error,
    explanation: r#"The key is ignored when its value cannot be understood, and the entry runs as if it were absent.

```json
{ "name": "a", "scripts": "a.sh", "n_gpus": "many" }
```

Counts and timeouts may be numbers or strings that hold one: `"n_gpus": "8"`."#,
};

pub(in crate::validate) const PROGRAM_NOT_RUN: Rule = Rule {
    id: "MAD004",
    title: "the entries of a Python program are not listed",
    severity: Severity::Warning,
    explanation: r#"`scripts/<dir>/get_models_json.py` has to be executed to know its entries. There is no `python3`, or
`mad.toml` says that it must not run, so they are not listed, checked or measured.

```toml
[catalog]
python = false
```

Install Python 3.7 or later, or write the entries to a `models.json` in its place."#,
};

pub(in crate::validate) const DUPLICATE_KEY: Rule = Rule {
    id: "MAD005",
    title: "a key stands twice in one object",
    severity: Severity::Error,
    explanation: r#"JSON readers keep one of the two values (most of them the last) and do not say so.

```json
{ "name": "a", "scripts": "a.sh", "args": "--batch 8", "args": "--batch 16" }
```

Remove one of them."#,
};

pub(in crate::validate) const PROGRAM_FAILS: Rule = Rule {
    id: "MAD006",
    title: "a Python program does not list its entries",
    severity: Severity::Error,
    explanation: r#"`get_models_json.py` has to define `list_models()`, which returns a list of
`madengine.utils.discover_models.CustomModel`, or of classes derived from it. It runs at every start, so it
has to end soon (`python_timeout` in `mad.toml`), and nobody answers it on standard input. Where it raises an
exception, the line is the deepest one in this file.

```python
def list_models():
    return [{"name": "a", "scripts": "run.sh"}]
```

Return entries that are made with the class: `[CustomModel(name="a", scripts="run.sh")]`."#,
};

pub(in crate::validate) const TWO_CATALOGS: Rule = Rule {
    id: "MAD007",
    title: "a directory has two catalogs",
    severity: Severity::Error,
    explanation: r#"With `models.json` and `get_models_json.py` in one directory, nobody knows which one is meant, and
neither is read. madengine does not even start.

```text
scripts/a/models.json
scripts/a/get_models_json.py
```

Keep one of the two."#,
};

pub(in crate::validate) const IDENTITY_CHANGES: Rule = Rule {
    id: "MAD008",
    title: "an entry changes its name or tags when it is selected",
    severity: Severity::Error,
    explanation: r#"madengine calls `update_model()` of an entry after name and tags have selected it. What is selected
and what then runs would have different names.

```python
class Sized(CustomModel):
    def update_model(self):
        self.tags = ["large"]
```

Set both where the entry is made: `Sized(name="a", tags=["large"])`. All other fields may change."#,
};
