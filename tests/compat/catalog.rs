//! The catalog: the files of tests/fixtures/compat, and an entry for each row of the tables.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::Fixture;
use crate::table::{FIXTURES, Row, Table};

/// A copy of the catalog, without the entries of the tables.
pub(crate) fn fixture() -> Fixture {
    let fixture = Fixture::empty();
    copy(Path::new(FIXTURES), &fixture.root());
    // A place for what images of other users of the catalog are made of.
    fixture.write("docker/rootfs/etc/compat", "");
    if !has_python() {
        fs::remove_dir_all(fixture.root().join("scripts/program")).expect("a directory");
    }
    fixture
}

/// Copies a directory, links followed.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file");
        }
    }
}

/// Whether this host has Python; CI insists.
pub(crate) fn has_python() -> bool {
    let found = Command::new("python3").args(["-c", "import dataclasses"]).output();
    let found = found.is_ok_and(|o| o.status.success());
    assert!(found || std::env::var_os("MAD_TESTS_REQUIRE_PYTHON").is_none(), "no python3");
    found
}

/// Adds an entry with the tag `row` for each row: a nested catalog for each section.
pub(crate) fn write_rows(root: &Path, table: &Table, with_results: bool) {
    let mut catalogs: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, row) in table {
        let (section, row_name) = name.split_once('/').expect("a section");
        let results = with_results.then(|| format!("{section}_{row_name}.csv"));
        write_script(&root.join("scripts").join(name), row, results.as_deref());
        let mut entry = json!({
            "name": row_name,
            "dockerfile": "../../docker/compat",
            "scripts": row_name,
            "n_gpus": "0",
            "args": "",
            "tags": ["row"],
        });
        if let Some(results) = results {
            entry["multiple_results"] = results.into();
        }
        entry.as_object_mut().expect("an object").extend(row.keys.clone());
        catalogs.entry(section).or_default().push(entry);
    }
    for (section, entries) in catalogs {
        let file = root.join("scripts").join(section).join("models.json");
        fs::write(file, format!("{:#}\n", Value::from(entries))).expect("a file");
    }
}

fn write_script(dir: &Path, row: &Row, results: Option<&str>) {
    fs::create_dir_all(dir).expect("a directory");
    fs::copy(Path::new(FIXTURES).join("row.sh"), dir.join("run.sh")).expect("a file");
    let write = |file: &str, text: &str| fs::write(dir.join(file), text).expect("a file");
    write("log", &if row.log.is_empty() { String::new() } else { format!("{}\n", row.log) });
    write("status", &format!("{}\n", row.exit));
    if let Some(csv) = &row.csv {
        write("csv", csv);
    }
    if let (Some(results), Some(stale)) = (results, &row.stale) {
        write(results, stale);
    }
}
