//! Reading results: what differs from host to host and from run to run becomes a word.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Snapshots with what changes from run to run replaced by a word.
pub fn check(snapshot: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, word) in [
        (r"/[^\s:,'<\x22]*/\.tmp[A-Za-z0-9]{6}", "[dir]"),
        (r"\d{8}T\d{6}\.\d{3}Z-\d+", "[run]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        (r"this host has \d+", "this host has [n]"),
        (r"cpu-[a-z0-9._-]+-\d+t\b", "[class]"),
        (r"after (\d+ (h|min) )?\d+(\.\d)? (s|min)\b", "after [time]"),
        (r#"time="[0-9.]+""#, r#"time="[s]""#),
        (r#"hostname="[^"]*""#, r#"hostname="[host]""#),
    ] {
        settings.add_filter(pattern, word);
    }
    settings.bind(snapshot);
}

/// The JSON in a file.
#[track_caller]
pub fn json_file(path: &Path) -> Value {
    let text = super::read(path);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files below `agents/`, which `mad agents install` installs: path and text.
pub fn shipped_for_agents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("agents")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push((path.clone(), super::read(&path))),
            }
        }
    }
    found.sort();
    found
}

/// A record with the values of `keys`, wherever they are, replaced by their key in
/// brackets: the shape stays.
pub fn redact(mut value: Value, keys: &[&str]) -> Value {
    match &mut value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                *inner = match keys.contains(&key.as_str()) && !inner.is_null() {
                    true => format!("[{key}]").into(),
                    false => redact(inner.take(), keys),
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = redact(item.take(), keys);
            }
        }
        _ => {}
    }
    value
}
