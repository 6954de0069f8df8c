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

pub(in crate::validate) const DYNAMIC: Rule = Rule {
    id: "MAD004",
    title: "the catalog is a Python program",
    severity: Severity::Warning,
    explanation: r#"`get_models_json.py` has to be executed to know its entries. Nothing here runs it, so they are
not listed, checked or measured.

Write the entries to `models.json`, or run them with `--engine madengine`."#,
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
