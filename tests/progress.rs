//! What is told while something runs: on a terminal, in lines, and not at all.

mod common;

use common::{Fixture, Mad, Shown, Then, check, eventually};
use serde_json::json;

/// Prints a line, and goes on once there is a file beside the catalog.
fn waits(line: &str, file: &str) -> String {
    format!(
        "echo '{line}'\nuntil [ -e \"$DIR/{file}\" ]; do sleep 0.01; done\necho performance: 5 x/s"
    )
}

fn in_terminal(
    fixture: &Fixture,
    columns: u16,
    args: &[&str],
    steps: &[(&str, Then<'_>)],
) -> Option<Shown> {
    fixture.in_terminal(columns, fixture.mad(args).env("TERM", "xterm"), steps)
}

/// A screen without what differs from run to run.
fn snapshot(name: &str, screen: String) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r" +\d+:\d\d(/\d+:\d\d)?  ", "  [clock]  ");
    settings.add_filter(r"about \d+:\d\d left", "about [clock] left");
    settings.bind(|| check(|| insta::assert_snapshot!(name, screen)));
}

#[test]
fn on_a_terminal_there_is_a_line_for_each_that_runs() {
    let fixture = Fixture::empty()
        .entry("first", "echo performance: 5 x/s", json!({}))
        .entry("second", &waits("Epoch 1/2", "go"), json!({}))
        .entry("third", "exit 7", json!({}));
    let args = ["benchmark", "--samples", "1"];
    let steps = [("| Epoch 1/2", Then::Make("go"))];
    let Some(shown) = in_terminal(&fixture, 80, &args, &steps) else { return };
    assert_eq!(shown.status, 3, "{}", shown.all());
    snapshot("terminal", shown.screen(0));
    // What is said at the end stands alone.
    let end = shown.at_the_end();
    assert!(end.contains("third: failed (execution) after"), "{end}");
    assert!(!end.contains("Epoch"), "{end}");
    assert!(!end.contains("of 3 done\n\n"), "{end}");
    assert!(shown.has_cursor());
}

#[test]
fn a_narrow_terminal_and_lines_of_others() {
    let name = "pyt_vllm_a-very-long-name-of-a-model-of-70b-instruct";
    let body = "echo 'performance: nothing 日本語日本語日本語日本語'\n".to_owned()
        + &waits("日本語 \u{1b}[31mred\u{1b}[0m \u{1b}[2J", "go");
    let fixture = Fixture::with(name, &body);
    let args = ["-v", "benchmark", "--samples", "1"];
    let Some(shown) = in_terminal(&fixture, 40, &args, &[("…", Then::Make("go"))]) else {
        return;
    };
    snapshot("narrow", shown.screen(0));
    // The name is never cut in the table.
    assert!(shown.all().contains(name), "{}", shown.all());
}

#[test]
fn without_colour_where_none_is_wanted() {
    for (variable, coloured) in [("NO_COLOR", false), ("COLOUR", true)] {
        let fixture = Fixture::with("m", &waits("Epoch 1/2", "go"));
        let mad = fixture.mad(&["benchmark", "--samples", "1"]).env("TERM", "xterm");
        let steps = [("| Epoch 1/2", Then::Make("go"))];
        let Some(shown) = fixture.in_terminal(80, mad.env(variable, "1"), &steps) else { return };
        assert_eq!(shown.all().contains("\u{1b}[1m"), coloured, "{:?}", shown.all());
    }
}

#[test]
fn where_the_cursor_cannot_move_there_are_lines() {
    for (name, value) in [("TERM", "dumb"), ("CI", "true")] {
        let fixture = Fixture::with("m", &waits("Epoch 1/2", "go"));
        let mad = fixture.mad(&["benchmark", "--samples", "1"]).env("TERM", "xterm");
        let steps = [("m: execution 1 of 1", Then::Make("go"))];
        let Some(shown) = fixture.in_terminal(80, mad.env(name, value), &steps) else { return };
        assert!(!shown.all().contains('\u{1b}'), "{:?}", shown.all());
    }
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    // The second one at once: the script does not mind the first.
    for again in [false, true] {
        let body = if again { "trap '' TERM INT\n".to_owned() } else { String::new() };
        let fixture = Fixture::with("m", &(body + &waits("Epoch 1/2", "never")));
        let mad = fixture.mad(&["benchmark"]).env("TERM", "xterm").env("MAD_KILL_GRACE", "60");
        let mut steps = vec![("| Epoch 1/2", Then::Type("\u{3}"))];
        if again {
            steps.push(("interrupted: ending", Then::Type("\u{3}")));
        }
        let Some(shown) = fixture.in_terminal(80, mad, &steps) else { return };
        assert_eq!(shown.status, if again { 130 } else { 3 }, "{}", shown.all());
        assert!(shown.has_cursor());
        let end = shown.at_the_end();
        // What the key itself shows (`^C`) may have moved what stood there then.
        let (_, after) = end.split_once("interrupted: ending what runs").unwrap();
        assert!(again || !after.contains("Epoch"), "{end}");
    }
}

#[test]
fn the_output_of_scripts_comes_through_whole() {
    let fixture = Fixture::with("m", &waits("half\rwhole", "go"));
    let args = ["benchmark", "--samples", "1", "--live-output"];
    let Some(shown) = in_terminal(&fixture, 80, &args, &[("whole", Then::Make("go"))]) else {
        return;
    };
    assert!(shown.at_the_end().contains("m: execution 1 of 1\nwhole\n"), "{}", shown.at_the_end());
}

#[test]
fn secrets_are_no_last_lines() {
    let fixture = Fixture::with("m", &waits("token s3cr3t-value", "go"));
    let mad = fixture.mad(&["benchmark", "--samples", "1"]).env("TERM", "xterm");
    let mad = mad.env("MAD_SECRETS_HFTOKEN", "s3cr3t-value");
    let steps = [("| token ***", Then::Make("go"))];
    let Some(shown) = fixture.in_terminal(80, mad, &steps) else { return };
    assert!(!shown.all().contains("s3cr3t"), "{}", shown.all());
}

fn three() -> Fixture {
    Fixture::empty()
        .entry("first", "echo performance: 5 x/s", json!({}))
        .entry("second", "exit 7", json!({}))
        .entry("third", "echo performance: 5 x/s", json!({ "n_gpus": "9" }))
}

#[test]
fn in_lines_what_begins_and_what_ended() {
    let fixture = three();
    let ran = fixture.mad(&["benchmark", "--samples", "2", "--warmup", "1"]).run().exits(3);
    check(|| insta::assert_snapshot!("lines", ran.stderr));
    assert!(!ran.stdout.contains("execution 1 of"), "{}", ran.said());
    // What is known by then does not change the lines of short ones.
    let again = fixture.mad(&["benchmark", "--json", "--samples", "2", "--warmup", "1"]).run();
    let again = again.exits(3);
    again.json();
    check(|| insta::assert_snapshot!("lines", again.stderr));
}

#[test]
fn quiet_is_quiet() {
    let fixture = Fixture::with("m", "echo performance: 5 x/s");
    let run = |args: &[&str]| {
        let ran = fixture.mad(args).run();
        // It is over before a profiler could look.
        let errors = ran.stderr.lines().filter(|l| l.starts_with("error:")).count();
        assert_eq!(ran.stderr.lines().count(), errors, "{}", ran.said());
        assert!(errors == 0 || args.contains(&"profile"), "{}", ran.said());
    };
    run(&["-q", "benchmark"]);
    run(&["-q", "benchmark", "--json"]);
    run(&["-q", "benchmark", "--parallel"]);
    run(&["-q", "sweep", "m"]);
    run(&["-q", "sweep", "m", "--verify-isolation", "1"]);
    run(&["-q", "profile", "m"]);
}

#[test]
fn every_command_that_takes_long_tells() {
    let fixture = three();
    let told = |mad: Mad| {
        let ran = mad.run();
        // What failed is told by every form of the results.
        let lines = ran.stderr.lines().filter(|l| l.contains("first"));
        lines.map(|l| format!("{l}\n")).collect::<String>()
    };
    let one = ["--samples", "1"];
    let run = |args: &[&str]| told(fixture.mad(&[args, &one].concat()));
    let all = [
        run(&["benchmark", "--parallel"]),
        run(&["benchmark", "first", "--until", "decided"]),
        run(&[
            "sweep",
            "first,second",
            "--axis",
            "docker_env_vars.X=1,2",
            "--verify-isolation",
            "1",
        ]),
        run(&["profile", "first"]),
        run(&["compare", "first", "--base-context", "{'docker_env_vars': {'X': '1'}}"]),
    ];
    check(|| insta::assert_snapshot!("commands", all.join("\n")));
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_end() {
    let fixture = three();
    let ran = fixture.mad(&["benchmark"]).through_shell("{ \"$@\"; echo $? >status; } 2>&1 | true");
    ran.run().exits(0);
    eventually("it ends", || fixture.path("status").is_file());
    assert_eq!(fixture.text("status"), "3\n");
}

#[test]
fn who_waits_for_another_says_for_whom() {
    let fixture = Fixture::with("m", &waits("Epoch 1/2", "go"));
    let first = fixture.mad(&["benchmark", "--samples", "1"]).start();
    eventually("the first runs", || first.said().contains("m: execution 1 of 1"));
    let steps = [("m waits for", Then::Make("go"))];
    let Some(shown) = in_terminal(&fixture, 80, &["benchmark", "--samples", "1"], &steps) else {
        std::fs::write(fixture.path("go"), "").unwrap();
        return;
    };
    assert_eq!(shown.status, 0, "{}", shown.all());
    first.wait().exits(0);
    assert!(shown.screen(0).contains("m waits for the CPU, held by"), "{}", shown.screen(0));
}

#[test]
fn a_name_cannot_move_the_cursor() {
    let name = "m\u{1b}[2J\nx";
    let fixture = Fixture::with_catalog(json!([{ "name": name, "scripts": "m" }]).to_string());
    let ran = fixture.mad(&["benchmark"]).run();
    let told = ran.stderr.lines().filter(|l| l.contains("failed (invalid)"));
    assert_eq!(told.collect::<Vec<_>>().len(), 1, "{}", ran.said());
    assert!(ran.stderr.contains("m [2J x: failed (invalid) after"), "{}", ran.said());
}
