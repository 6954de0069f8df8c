//! `mad baseline accept --interactive`.

mod common;

use common::{Fixture, Mad, Ran, Shown, Then, check};

/// Reports the content of the file that is named after the entry.
fn script(name: &str) -> String {
    format!("echo \"performance: $(cat \"$DIR/{name}.value\") tok/s\"")
}

fn set(fixture: &Fixture, name: &str, value: &str) {
    std::fs::write(fixture.path(&format!("{name}.value")), value).expect("a file");
}

fn bench(fixture: &Fixture) -> Ran {
    fixture.mad(&["benchmark"]).run()
}

/// Three entries: of `better` a better number than the accepted one, of `same` the same, and
/// `fresh` was never accepted.
fn pending() -> Fixture {
    let mut fixture = Fixture::empty();
    for name in ["better", "fresh", "same"] {
        fixture = fixture.entry(name, &script(name), serde_json::json!({}));
        set(&fixture, name, "100");
    }
    bench(&fixture).exits(0);
    fixture.mad(&["baseline", "accept", "better", "same"]).run().exits(0);
    set(&fixture, "better", "150");
    bench(&fixture).exits(0);
    fixture
}

fn review(fixture: &Fixture, args: &[&str]) -> Mad {
    let args: Vec<&str> =
        ["baseline", "accept", "--interactive"].iter().chain(args).copied().collect();
    fixture.mad(&args)
}

/// With these lines on standard input.
fn answered(fixture: &Fixture, args: &[&str], answers: &str) -> Ran {
    review(fixture, args)
        .through_shell("printf \"$ANSWERS\" | \"$@\"")
        .env("ANSWERS", answers)
        .run()
}

/// Accepted runs of each entry.
fn counts(fixture: &Fixture) -> [usize; 3] {
    ["better", "fresh", "same"].map(|name| {
        let text = format!("\"model\": \"{name}\"");
        let files = fixture.files_with(&text);
        let file = files.iter().find(|f| f.to_string_lossy().contains("catalog/baselines"));
        file.map_or(0, |f| common::json_file(f)["accepted"].as_array().map_or(0, Vec::len))
    })
}

#[test]
fn each_entry_is_shown_and_asked_about() {
    let fixture = pending();
    let ran = answered(&fixture, &[], "x\na\n\nfaster loop\ns\na\n").exits(0);
    check(|| insta::assert_snapshot!("review", ran.said()));
    assert_eq!(counts(&fixture), [2, 0, 2]);
}

#[test]
fn all_that_follow() {
    let fixture = pending();
    answered(&fixture, &[], "A\nfaster loop\n").exits(0).says(&["3 accepted"]);
    assert_eq!(counts(&fixture), [2, 1, 2]);
    let fixture = pending();
    answered(&fixture, &["--why", "faster loop"], "A\n").exits(0).says(&["3 accepted"]);
    assert_eq!(counts(&fixture), [2, 1, 2]);
}

#[test]
fn who_quits_keeps_what_was_accepted() {
    let fixture = pending();
    let ran = answered(&fixture, &["--why", "faster loop"], "a\nq\n").exits(0);
    ran.says(&["1 accepted, 2 left as they were"]);
    assert_eq!(counts(&fixture), [2, 0, 1]);
}

#[test]
fn what_is_rejected_is_never_accepted() {
    let fixture = pending();
    answered(&fixture, &["better"], "r\n").exits(0).says(&["rejected better", "1 rejected"]);
    let rejected = ["was rejected at", "by tester", "rejected.json to allow it"];
    for args in [&["better", "--why", "x"][..], &["better", "--why", "x", "--run", "latest"]] {
        let args: Vec<&str> = ["baseline", "accept"].iter().chain(args).copied().collect();
        fixture.mad(&args).run().exits(1).says(&rejected);
    }
    assert_eq!(counts(&fixture), [1, 0, 1]);
    // A first baseline is made of the runs before and after it.
    answered(&fixture, &["fresh"], "r\n").exits(0);
    bench(&fixture).exits(0);
    fixture.mad(&["baseline", "accept", "fresh", "--agree", "2"]).run().exits(0);
    assert_eq!(counts(&fixture), [1, 2, 1]);
}

#[test]
fn nobody_there_to_answer() {
    let fixture = pending();
    let told = ["nobody answers", "pipe the answers in", "without --interactive"];
    review(&fixture, &[]).run().exits(4).says(&told);
    assert_eq!(counts(&fixture), [1, 0, 1]);
    let ran = answered(&fixture, &["--why", "faster loop"], "a\n").exits(1);
    ran.says(&["1 accepted, 2 left as they were", "standard input ended in the middle"]);
    assert_eq!(counts(&fixture), [2, 0, 1]);
}

#[test]
fn what_cannot_be_accepted_is_not_asked_about() {
    let fixture = pending();
    let ran = answered(&fixture, &["--agree", "9", "--why", "faster loop"], "a\na\n").exits(1);
    ran.says(&["refused: fresh: a first baseline takes 9 runs", "2 accepted, 1 refused"]);
    assert_eq!(counts(&fixture), [2, 0, 2]);
}

#[test]
fn options_that_do_not_go_together() {
    let fixture = pending();
    review(&fixture, &["--json"]).run().exits(4).says(&["cannot be used with"]);
    review(&fixture, &["--force", "--why", "x"]).run().exits(4).says(&["cannot be used with"]);
}

/// What a person sees who answers like this on a terminal.
fn on_a_terminal(fixture: &Fixture, args: &[&str], answers: &[&str]) -> Option<Shown> {
    let steps: Vec<(&str, Then<'_>)> =
        answers.iter().map(|keys| ("? ", Then::Type(keys))).collect();
    fixture.in_terminal(80, review(fixture, args), &steps)
}

#[test]
fn on_a_terminal_too() {
    let fixture = pending();
    let answers = ["a\n", "faster loop\n", "s\n", "q\n"];
    let Some(shown) = on_a_terminal(&fixture, &[], &answers) else { return };
    assert!(shown.all().contains("1 accepted, 2 left as they were"), "{}", shown.all());
    assert_eq!(shown.status, 0, "{}", shown.all());
    assert_eq!(counts(&fixture), [2, 0, 1]);
}

#[test]
fn interrupted_in_the_middle() {
    let fixture = pending();
    // Control-C at the second question.
    let answers = ["a\n", "\u{3}"];
    let args = ["--why", "faster loop"];
    let Some(shown) = on_a_terminal(&fixture, &args, &answers) else { return };
    for text in
        ["1 accepted, 2 left as they were", "interrupted; what was accepted so far is in the files"]
    {
        assert!(shown.all().contains(text), "{}", shown.all());
    }
    assert_eq!(shown.status, 1, "{}", shown.all());
    assert_eq!(counts(&fixture), [2, 0, 1]);
    // Nothing is left half done.
    assert!(fixture.files_with("faster loop").iter().all(|f| !f.ends_with(".tmp")));
}
