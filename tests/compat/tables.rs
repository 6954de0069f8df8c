//! Every row of the tables, through `mad`.

use std::fs;

use serde_json::Value;

use crate::catalog::{fixture, has_python, write_rows};
use crate::outcome::check;
use crate::table::{Outcome, Table, sections};

fn run(table: &Table, with_results: bool) {
    let fixture = fixture();
    write_rows(&fixture.root(), table, with_results);
    let args = ["--json", "benchmark", "--engine", "host", "--tags", "row"];
    let ran = fixture.mad(&args).run().exits(3);
    check(&fixture, &ran.json(), table);
}

pub(crate) fn lines() {
    run(&sections("lines.toml"), false);
}

pub(crate) fn results() {
    run(&sections("results.toml"), true);
}

pub(crate) fn tags() {
    let (with_program, without) = (fixture(), fixture());
    if has_python() {
        // Where it does not matter, it takes time.
        fs::remove_dir_all(without.root().join("scripts/program")).expect("a directory");
    }
    for (name, row) in sections("tags.toml") {
        let fixture = match name.starts_with("program/") {
            true if !has_python() => continue,
            true => &with_program,
            false => &without,
        };
        let mut args = vec!["--json", "discover"];
        for tags in &row.tags {
            args.extend(["--tags", tags]);
        }
        let nothing = *row.expected() == Outcome::Lines(Vec::new());
        let ran = fixture.mad(&args).run().exits(if nothing { 2 } else { 0 });
        let said: Vec<&str> = row.says.iter().map(String::as_str).collect();
        let ran = ran.says(&said);
        if !nothing {
            let listed: Vec<Value> = serde_json::from_value(ran.json()).expect("an array");
            let text =
                |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let line = |e: &Value| format!("{} {}", text(e, "name"), text(e, "args").trim());
            let lines = listed.iter().map(|e| line(e).trim().to_owned()).collect();
            assert_eq!(Outcome::Lines(lines), *row.expected(), "{name}");
        }
    }
}
