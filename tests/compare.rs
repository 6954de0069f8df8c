//! `mad compare`: two sides in turn. The scripts print what they are told, so that nothing
//! depends on how busy the machine is.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Fixture, Ran, check, eventually, json_file};
use serde_json::{Value, json};

const SPEED: &str = "echo \"performance: ${SPEED:-100} tokens_per_second\"";

/// A catalog in a repository of its own, with one commit.
struct Repository(Fixture);

impl std::ops::Deref for Repository {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.0
    }
}

impl Repository {
    fn of(fixture: Fixture) -> Repository {
        git(&fixture.root(), &["init", "--quiet", "--initial-branch=main"]);
        let repository = Repository(fixture);
        repository.commit("first");
        repository
    }

    fn with(name: &str, body: &str) -> Repository {
        Repository::of(Fixture::with(name, body))
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.root(), args)
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Replaces the script of an entry.
    fn script(&self, name: &str, body: &str) {
        self.write(&format!("scripts/{name}/run.sh"), format!("{body}\n"));
    }

    fn compare(&self, args: &[&str]) -> Ran {
        self.mad(&[&["compare", "--seed", "1"], args].concat()).run()
    }

    /// The record of the newest comparison.
    fn comparison(&self) -> Value {
        let all = std::fs::read_dir(self.path("mad/comparisons")).expect("comparisons");
        let newest = all.map(|e| e.expect("an entry").path()).max();
        json_file(&newest.expect("a comparison").join("comparison.json"))
    }

    /// That nothing of a worktree is left, in the repository or beside it.
    fn is_clean(&self) {
        assert_eq!(self.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
        let left = std::fs::read_dir(self.path("mad/worktrees")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "a worktree is left");
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(["-c", "commit.gpgsign=false", "-c", "protocol.file.allow=always"])
        .args(args)
        .env_remove("GIT_DIR")
        .output()
        .expect("git starts");
    let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "git {args:?}: {err}");
    String::from_utf8(out).expect("text")
}

/// That it ended so and said all of this.
#[track_caller]
fn expect(ran: &Ran, status: i32, texts: &[&str]) {
    assert_eq!(ran.status, status, "{}", ran.said());
    for text in texts {
        assert!(ran.said().contains(text), "{text:?} is missing in:\n{}", ran.said());
    }
}

/// What changes from one comparison to the next.
fn told(ran: &Ran) -> String {
    let commit = regex::Regex::new(r"\b[0-9a-f]{7,40}\b").expect("a pattern");
    let seconds = regex::Regex::new(r"in \d+ s,").expect("a pattern");
    let text = commit.replace_all(&ran.stdout, "COMMIT");
    seconds.replace_all(&text, "in N s,").into_owned()
}

#[test]
fn a_slower_working_tree_is_found_and_nothing_is_touched() {
    let repository = Repository::with("decode", SPEED);
    repository.script("decode", "echo 'performance: 97 tokens_per_second'");
    repository.git(&["add", "--all"]);
    let before = [
        repository.git(&["status", "--porcelain=v2", "--branch"]),
        repository.git(&["for-each-ref"]),
        repository.git(&["stash", "list"]),
    ];
    let index = std::fs::read(repository.root().join(".git/index")).expect("an index");
    let ran = repository.compare(&["--base", "HEAD", "decode", "--min-effect", "2%"]);
    assert_eq!(ran.status, 5, "{}", ran.said());
    check(|| insta::assert_snapshot!("slower", told(&ran)));
    assert_eq!(std::fs::read(repository.root().join(".git/index")).expect("an index"), index);
    let after = [
        repository.git(&["status", "--porcelain=v2", "--branch"]),
        repository.git(&["for-each-ref"]),
        repository.git(&["stash", "list"]),
    ];
    assert_eq!(before, after);
    repository.is_clean();

    // It is no run: nothing of it can be accepted, reported or kept as history.
    assert!(!repository.path("perf.csv").exists() && !repository.path("mad/runs").exists());
    let accepted = repository.mad(&["baseline", "accept", "decode"]).run();
    expect(&accepted, 4, &["there are no runs"]);
    let dir = format!("mad/comparisons/{}", repository.comparison()["run"].as_str().unwrap());
    expect(&repository.mad(&["report", &dir]).run(), 4, &["a comparison of two sides"]);

    let record = repository.comparison();
    assert_eq!(record["candidate"]["dirty"], true);
    assert_eq!(record["entries"][0]["order"].as_array().map(Vec::len), Some(3));
    assert_eq!(record["entries"][0]["executions"], 12);
    let side =
        |side: &str| json_file(&repository.path(&format!("{dir}/decode/{side}/measurement.json")));
    assert_eq!(side("base")["executions"].as_array().map(Vec::len), Some(6));
    assert_eq!(side("base")["provenance"]["commit"], record["base"]["commit"]);
    assert_eq!(side("candidate")["executions"][0]["samples"][0]["value"], 97.0);
}

#[test]
fn faster_and_the_same_are_green() {
    let repository = Repository::with("decode", SPEED);
    repository.script("decode", "echo 'performance: 104 tokens_per_second'");
    let ran = repository.compare(&["--base", "HEAD", "--min-effect", "0.02"]);
    expect(&ran, 0, &["1 faster"]);
    let ran = repository.compare(&["--base", "HEAD", "--min-effect", "5%", "--format", "markdown"]);
    assert_eq!(ran.status, 0, "{}", ran.said());
    check(|| insta::assert_snapshot!("same_markdown", told(&ran)));
    repository.commit("second");
    let ran = repository.compare(&["--base", "HEAD"]);
    expect(&ran, 0, &["1 the same", "both sides are the same commit"]);
    let ran =
        repository.mad(&["--json", "compare", "--base", "HEAD~1", "--min-effect", "5%"]).run();
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON and nothing else");
    assert_eq!(document["entries"][0]["outcome"], "same");
}

#[test]
fn what_cannot_be_told_is_not_green() {
    let noisy = "n=$(cat \"$DIR/n\" 2>/dev/null || echo 0); echo $((n + 1)) > \"$DIR/n\"
        echo \"performance: $((1000 + $(echo \"$n\" | cksum | cut -d' ' -f1) % 400)) tokens_per_second\"";
    let repository = Repository::with("decode", noisy);
    let ran = repository.compare(&["--base", "HEAD", "--max-samples", "8", "--min-effect", "1%"]);
    expect(&ran, 1, &["1 UNDECIDED", "pairs vary by"]);
    assert_eq!(repository.comparison()["entries"][0]["executions"], 16);
    // No time: nothing is begun, and that is no "yes".
    let ran = repository.compare(&["--base", "HEAD", "--budget", "0.000001"]);
    expect(&ran, 1, &["the time is spent"]);
}

#[test]
fn a_direction_that_nobody_knows_is_asked_for() {
    let repository = Repository::with("decode", "echo \"performance: ${SPEED:-100} widgets\"");
    let context = r#"{"env_vars": {"SPEED": "90"}}"#;
    let ran = repository.compare(&["--base-context", "{}", "-c", context, "decode"]);
    expect(&ran, 1, &["1 changed", "regress.metrics.widgets.direction"]);
}

#[test]
fn two_contexts_and_two_entries() {
    let fixture = Fixture::with("old", SPEED)
        .entry("new", "echo 'performance: 110 tokens_per_second'", json!({}))
        .entry("bf16", SPEED, json!({ "training_precision": "bf16" }));
    let repository = Repository::of(fixture);
    let context = r#"{"env_vars": {"SPEED": "90"}}"#;
    let ran = repository.compare(&["--base-context", context, "old"]);
    expect(&ran, 0, &["with the context of --base-context", "1 faster"]);
    let ran = repository.compare(&["--base-entry", "new", "old"]);
    expect(&ran, 5, &["old: the base is new", "1 slower"]);
    let ran = repository.compare(&["--base-entry", "new", "cpu"]);
    expect(&ran, 4, &["one entry with one other"]);
    let ran = repository.compare(&["--base-entry", "bf16", "old"]);
    expect(&ran, 3, &["the precision \"bf16\", the candidate \"\": not to be compared"]);
    let ran = repository.compare(&["--base-image", "an/image", "old"]);
    expect(&ran, 4, &["without a container"]);
    expect(&repository.compare(&["old"]), 4, &["--base"]);
    expect(&repository.compare(&["--base", "HEAD", "--base-entry", "new"]), 4, &["cannot be used"]);
}

#[test]
fn a_plan_runs_nothing() {
    let repository = Repository::with("decode", SPEED);
    let ran = repository.compare(&["--base", "HEAD", "--plan", "--budget", "2h"]);
    expect(
        &ran,
        0,
        &["base: HEAD", "candidate: the working tree", "6 to 40 on each side, for 7200 s"],
    );
    assert!(!repository.path("mad/comparisons").exists());
    repository.is_clean();
}

#[test]
fn revisions_that_are_not_there() {
    let fixture = Fixture::with("decode", SPEED);
    let ran = fixture.mad(&["compare", "--base", "HEAD"]).run();
    expect(&ran, 4, &["needs the catalog in a git repository"]);
    let repository = Repository::of(fixture);
    expect(&repository.compare(&["--base", "nope"]), 4, &["there is no revision \"nope\""]);
    expect(&repository.compare(&["--base=--help"]), 4, &["there is no revision \"--help\""]);
    repository.write("note", "x");
    repository.commit("second");
    let origin = format!("file://{}", repository.root().display());
    let shallow = repository.path("shallow");
    git(
        &repository.root(),
        &["clone", "--quiet", "--depth=1", &origin, &shallow.to_string_lossy()],
    );
    let mad =
        repository.mad(&["--root", &shallow.to_string_lossy(), "compare", "--base", "HEAD~1"]);
    expect(&mad.run(), 4, &["shallow clone", "git fetch --unshallow"]);
    repository.is_clean();
}

#[test]
fn entries_that_the_base_does_not_have() {
    let repository = Repository::with("decode", SPEED);
    let entry = |name: &str| {
        json!({ "name": name, "scripts": "scripts/decode", "n_gpus": "0", "owner": "a@b.c",
            "training_precision": "", "tags": ["cpu"], "args": "" })
    };
    repository.write("models.json", json!([entry("other"), entry("third")]).to_string());
    repository.commit("renamed");
    let ran = repository.compare(&["--base", "HEAD~1", "other"]);
    expect(&ran, 2, &["the base has no entry other"]);
    repository.write("models.json", json!([entry("decode"), entry("other")]).to_string());
    let ran = repository.compare(&["--base", "HEAD~1"]);
    expect(
        &ran,
        0,
        &["other: not compared: the base has no such entry", "1 the same, 1 not compared"],
    );
    let ran = repository.compare(&["--base", "HEAD"]);
    expect(&ran, 0, &["only the base has the entry third"]);
}

#[test]
fn other_units_and_broken_scripts_fail() {
    let repository = Repository::with("decode", SPEED);
    repository.script("decode", "echo 'performance: 3 latency_ms'");
    let ran = repository.compare(&["--base", "HEAD"]);
    expect(&ran, 3, &["the base reports tokens_per_second", "it reports latency_ms"]);
    repository.script("decode", "echo 'performance: 3 x'; exit 7");
    let ran = repository.compare(&["--base", "HEAD"]);
    expect(&ran, 3, &["the candidate failed", "1 failed"]);
    repository.commit("broken");
    repository.script("decode", SPEED);
    expect(&repository.compare(&["--base", "HEAD"]), 3, &["the base failed", "base/execution-"]);
    repository.script("decode", "echo 'performance: -5 tokens_per_second'");
    let ran = repository.compare(&["--base", "HEAD~1", "--max-samples", "6"]);
    expect(&ran, 1, &["there is no ratio between 100 and -5"]);
    repository.is_clean();
}

#[test]
fn a_signal_ends_it_and_nothing_is_left() {
    let repository = Repository::with("decode", SPEED);
    repository.script("decode", &format!("touch \"$DIR/begun\"; sleep 60; {SPEED}"));
    for (signal, status) in [("TERM", 3), ("INT", 3), ("KILL", -9)] {
        let _ = std::fs::remove_file(repository.path("begun"));
        let running = repository.mad(&["compare", "--base", "HEAD"]).start();
        eventually("it has begun", || repository.path("begun").exists());
        assert_eq!(repository.git(&["worktree", "list"]).lines().count(), 2);
        running.signal(signal);
        let ran = running.wait();
        assert_eq!(ran.status, status, "{}", ran.said());
        if signal != "KILL" {
            assert!(ran.stdout.contains("interrupted"), "{}", ran.said());
            repository.is_clean();
        }
    }
    let plan = repository.mad(&["clean", "--plan"]).run();
    expect(&plan, 0, &["worktree", "a comparison that was killed", "would be removed"]);
    expect(&repository.mad(&["clean"]).run(), 0, &["worktree", "removed"]);
    repository.is_clean();
}

#[test]
fn a_submodule_is_as_the_commit_has_it() {
    let repository =
        Repository::with("decode", "echo \"performance: $(cat part/speed) tokens_per_second\"");
    let part = repository.path("part");
    std::fs::create_dir(&part).expect("a directory");
    git(&part, &["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(part.join("speed"), "100").expect("a file");
    git(&part, &["add", "--all"]);
    git(&part, &["commit", "--quiet", "--message", "slow"]);
    let path = part.to_string_lossy();
    repository.git(&["submodule", "--quiet", "add", &path, "scripts/decode/part"]);
    repository.commit("with a part");
    let inner = repository.root().join("scripts/decode/part");
    std::fs::write(inner.join("speed"), "120").expect("a file");
    git(&inner, &["commit", "--quiet", "--all", "--message", "fast"]);
    let ran = repository.compare(&["--base", "HEAD", "--min-effect", "5%"]);
    expect(&ran, 0, &["1 faster", "+20.00 %"]);
    repository.is_clean();
}
