//! What the guide shows is what happens.
//!
//! Commands in ```` ```console ```` blocks of README.md and docs/*.md are run, in order,
//! in a copy of the shipped catalog that each page has for itself; CONTRIBUTING.md
//! says how such a block is written. A command of `cargo` is not run: cargo within
//! cargo would build everything again. What it names is checked to exist.
//!
//! One thing is not as it is for readers: `rust_membw/triad` reports a number that
//! follows from `MAD_PLANT_SLOWDOWN` alone, so that no verdict depends on how busy the
//! machine is. The real one is measured by the test target `models`. For the same reason a
//! page that begins in an empty directory has a clock that goes on with each `sort`, and
//! with nothing else.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;

const TRIAD: &str = r#"#!/usr/bin/env bash
echo "performance: $((20000 / (1 + ${MAD_PLANT_SLOWDOWN:-0}))) gigabytes_per_second"
"#;

/// Programs that a block may run besides `mad`, and the shell's loop.
const TOOLS: [&str; 8] = ["cat", "cut", "for", "head", "ls", "mv", "sed", "tail"];

/// Stands in a page whose reader begins with nothing.
const EMPTY: &str = "<!-- in an empty directory -->";

/// The `sort` and the `date` of such a page: each `sort` takes 50 ms, and the first one sorts.
const CLOCK: [(&str, &str); 2] = [
    (
        "sort",
        r#"#!/bin/bash
here=${BASH_SOURCE%/*}
first=$([[ -e $here/ticks ]] || echo yes)
echo >> "$here/ticks"
[[ -z $first ]] || PATH=${PATH#"$here:"} exec sort "$@"
"#,
    ),
    (
        "date",
        r#"#!/bin/bash
ticks=$(cat "${BASH_SOURCE%/*}/ticks" 2>/dev/null | wc -l)
echo "$((ticks * 50000000))"
"#,
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and the pages of the guide.
fn pages() -> Vec<PathBuf> {
    let guide = fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().path());
    let mut pages: Vec<PathBuf> =
        guide.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    pages.sort();
    pages.insert(0, root().join("README.md"));
    pages
}

/// A command as a page shows it.
#[derive(Debug, PartialEq)]
struct Shown {
    line: usize,
    command: String,
    exit: i32,
    /// Whether the output is an example only.
    varies: bool,
    output: Vec<String>,
}

/// What a reader does.
#[derive(Debug, PartialEq)]
enum Step {
    Runs(Shown),
    Writes { file: String, text: String },
}

/// What the lines of a block are.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    Console,
    File,
    Other,
}

/// The commands of the `console` blocks of a page, and the files of blocks with `file=NAME`.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = None;
    for (number, line) in page.lines().enumerate() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let file = info.split_whitespace().find_map(|word| word.strip_prefix("file="));
            inside = match (inside, file) {
                (Some(_), _) => None,
                (None, Some(file)) => {
                    steps.push(Step::Writes { file: file.to_owned(), text: String::new() });
                    Some(Block::File)
                }
                (None, None) if info.trim() == "console" => Some(Block::Console),
                (None, None) => Some(Block::Other),
            };
            continue;
        }
        match (inside, steps.last_mut()) {
            (Some(Block::File), Some(Step::Writes { text, .. })) => *text += &format!("{line}\n"),
            (Some(Block::Console), last) => match (line.strip_prefix("$ "), last) {
                (Some(command), _) => steps.push(Step::Runs(Shown {
                    line: number + 1,
                    command: command.to_owned(),
                    exit: 0,
                    varies: false,
                    output: Vec::new(),
                })),
                (None, Some(Step::Runs(shown))) => shown.prints(line),
                (None, _) => panic!("line {}: a block begins with a command", number + 1),
            },
            _ => {}
        }
    }
    steps
}

impl Shown {
    /// Takes a line below the command.
    fn prints(&mut self, line: &str) {
        match line.strip_prefix("# exit ").map(|n| n.trim().parse()) {
            Some(status) => self.exit = status.expect("`# exit` and a number"),
            None if line == "# varies" => self.varies = true,
            None => self.output.push(line.to_owned()),
        }
    }
}

/// What is left of a line when everything that differs between machines and days is
/// gone: numbers, times, ids, classes of machines, padding.
fn normalised(line: &str) -> String {
    static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"\bcpu-[a-z0-9.-]+-[0-9]+t\b", "CLASS"),
            (r"[0-9]{8}T[0-9]{6}\.[0-9]+Z-[0-9]+", "RUN"),
            (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+Z", "TIME"),
            (r"\b[0-9a-f]{16,40}(-dirty)?\b", "HASH"),
            (r"[+-]?[0-9]+(\.[0-9]+)?", "N"),
            (r"[\s─│┌┐└┘├┤┬┴┼]+", " "),
        ]
        .map(|(expression, word)| (Regex::new(expression).unwrap(), word))
        .to_vec()
    });
    let mut line = line.to_owned();
    for (expression, word) in VARYING.iter() {
        line = expression.replace_all(&line, *word).into_owned();
    }
    line.trim().to_owned()
}

/// Whether `shown` is `found`, where a line `...` stands for any number of lines.
fn is_shown(shown: &[String], found: &[String]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=found.len()).any(|n| is_shown(rest, &found[n..]))
        }
        Some((first, rest)) => found.first() == Some(first) && is_shown(rest, &found[1..]),
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(normalised).filter(|l| !l.is_empty()).collect()
}

/// A copy of what a newcomer has after `git clone`, as far as `mad` reads it.
fn catalog() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["models.json", "mad.toml", "scripts", "docker", "tests/fixtures", "docs"] {
        copy(&root().join(name), &dir.path().join(name));
    }
    program_file(&dir.path().join("scripts/rust_membw/triad.sh"), TRIAD);
    dir
}

fn program_file(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// Runs a command as a person would, in an environment without our variables. What it
/// prints is in one piece, as on a terminal. Programs in `first` come before all others.
fn run(command: &str, dir: &Path, first: Option<&Path>) -> (i32, String) {
    let mad = Path::new(env!("CARGO_BIN_EXE_mad")).parent();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = first.into_iter().chain(mad).map(Path::to_owned);
    let path = ours.chain(std::env::split_paths(&path));
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(format!("exec 2>&1\n{command}"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("MAD_") || name.starts_with("NEXTEST") {
            bash.env_remove(&*name);
        }
    }
    let output = bash
        .current_dir(dir)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("MAD_LEASE_DIR", dir.join("target/leases"))
        .env("USER", "ada")
        // As on a machine without a container engine, whatever this one has.
        .env("MAD_CONTAINER_ENGINE", "docker")
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first word that is no assignment.
fn program(command: &str) -> &str {
    command
        .split_whitespace()
        .find(|word| word.split_once('=').is_none_or(|(name, _)| name.contains('-')))
        .unwrap_or_default()
}

#[test]
fn what_the_pages_show_is_what_happens() {
    let mut wrong = String::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(root()).unwrap().display();
        let steps = steps(&text);
        if !steps.iter().any(|step| matches!(step, Step::Runs(_))) {
            continue;
        }
        let (dir, clock) = if text.contains(EMPTY) {
            let clock = tempfile::tempdir().unwrap();
            CLOCK.iter().for_each(|(name, text)| program_file(&clock.path().join(name), text));
            (tempfile::tempdir().unwrap(), Some(clock))
        } else {
            (catalog(), None)
        };
        for step in steps {
            let shown = match step {
                Step::Runs(shown) => shown,
                Step::Writes { file, text } => {
                    let path = dir.path().join(file);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, text).unwrap();
                    continue;
                }
            };
            let place = format!("{name}:{}: {}", shown.line, shown.command);
            match program(&shown.command) {
                "cargo" => continue,
                "mad" => {}
                tool if TOOLS.contains(&tool) => {}
                other => panic!("{place}: a console block cannot run {other}"),
            }
            let first = clock.as_ref().map(tempfile::TempDir::path);
            let (exit, output) = run(&shown.command, dir.path(), first);
            let expected = lines(&shown.output.join("\n"));
            if exit != shown.exit {
                wrong += &format!("{place}\n  exit {exit}, shown {}\n{output}\n", shown.exit);
            } else if !shown.varies && !is_shown(&expected, &lines(&output)) {
                wrong += &format!(
                    "{place}\n--- shown\n{}\n--- printed\n{}\n(printed, verbatim)\n{output}\n",
                    expected.join("\n"),
                    lines(&output).join("\n")
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every `cargo` command in any block of code names targets that exist.
#[test]
fn cargo_commands_name_what_exists() {
    let known = ["test", "run", "build", "nextest", "doc", "clippy", "fmt", "install", "bench"];
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut code = false;
        for (number, line) in text.lines().enumerate() {
            code ^= line.trim_start().starts_with("```");
            let command = line.strip_prefix("$ ").unwrap_or(line).trim();
            if !code || program(command) != "cargo" {
                continue;
            }
            seen += 1;
            let place = format!("{}:{}: {command}", page.display(), number + 1);
            let words: Vec<&str> =
                command.split_whitespace().skip_while(|word| *word != "cargo").skip(1).collect();
            assert!(words.first().is_some_and(|w| known.contains(w)), "{place}");
            for pair in words.windows(2).filter(|pair| pair[0] == "--test") {
                let tests = root().join("tests");
                let files = [format!("{}.rs", pair[1]), format!("{}/main.rs", pair[1])];
                let exists = files.iter().any(|file| tests.join(file).exists());
                assert!(exists, "{place}: there is no {}", tests.join(&files[0]).display());
            }
        }
    }
    assert!(seen >= 5, "only {seen} commands found");
}

/// The decision table of `mad howto`, in order, in the shipped catalog under git.
#[test]
fn what_mad_howto_shows_is_what_happens() {
    let dir = catalog();
    let git = "git init -q && git -c user.name=ada -c user.email=ada@example.org add . && \
               git -c user.name=ada -c user.email=ada@example.org commit -qm first";
    let (exit, output) = run(git, dir.path(), None);
    assert_eq!(exit, 0, "{output}");
    let mut wrong = String::new();
    for wish in mad_harness::guide::WISHES {
        let Some(expected) = wish.exit else { continue };
        let (exit, output) = run(wish.command, dir.path(), None);
        if exit != expected {
            wrong += &format!("{}\n  exit {exit}, not {expected}\n{output}\n", wish.command);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Each column of perf.csv is described, and listed in its order.
#[test]
fn every_column_is_in_the_guide() {
    let text = fs::read_to_string(root().join("docs/formats.md")).unwrap();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&mad_harness::results::COLUMNS.join(", ")), "order of the columns");
    for column in mad_harness::results::COLUMNS {
        assert!(text.contains(&format!("`{column}`")), "docs/formats.md lacks {column}");
    }
}

#[test]
fn a_block_is_read_as_contributing_says() {
    let page = "```console\n$ mad x\n# exit 5\n a  12 %\n...\nend\n$ mad y\n# varies\n```\n\
                ```sh\n$ no\n```\n```json file=a/b.json\n{\n}\n```\n";
    let mut found = Vec::new();
    let mut files = Vec::new();
    for step in steps(page) {
        match step {
            Step::Runs(shown) => found.push(shown),
            Step::Writes { file, text } => files.push((file, text)),
        }
    }
    assert_eq!(files, [("a/b.json".to_owned(), "{\n}\n".to_owned())]);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].exit, found[0].varies, found[0].output.len()), (5, false, 3));
    assert!(found[1].varies && found[1].exit == 0);
    let shown = lines(&found[0].output.join("\n"));
    assert!(is_shown(&shown, &lines("a 9.25 %\nmore\nand more\nend")));
    assert!(!is_shown(&shown, &lines("a 9.25 %\nmore\nend\nmore")));
    assert_eq!(normalised("x cpu-intel-xeon-2t 20261122T222453.217Z-7263"), "x CLASS RUN");
    assert_eq!(program("MAD_TAGS=a,b mad run --x=1"), "mad");
}
