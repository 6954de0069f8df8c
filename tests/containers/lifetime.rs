//! How containers end, and that none is left: by themselves, late, by signals, by force, by
//! other people, and when the engine itself fails.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::{Running, alive, eventually, send, supervisor};
use crate::engine::{Engine, Entry};

/// Says that it has started and then sleeps for ever.
pub(crate) fn sleeper<'e>(engine: &'e Engine, before: &str) -> Entry<'e> {
    sleeper_with(engine, before, json!({}))
}

fn sleeper_with<'e>(engine: &'e Engine, before: &str, extra: Value) -> Entry<'e> {
    let body = format!("{before}\necho started\nsleep 1000000 & wait\necho 'performance: 1 x/s'");
    engine.entry(&body, extra)
}

/// Starts `mad` and waits until the log `path` of its run says `started`.
fn start_mad(entry: &Entry<'_>, args: &[&str], path: &str) -> Running {
    let before = entry.fixture.runs().len();
    let running = entry.mad(args).start();
    let path = format!("{}/attempt-1/{path}/run.log", entry.name);
    let says_so = |run: &PathBuf| {
        fs::read_to_string(run.join(&path))
            .is_ok_and(|text| text.lines().any(|l| l.ends_with("started")))
    };
    eventually("it starts", || entry.fixture.runs().get(before).is_some_and(says_so));
    running
}

/// Starts `mad benchmark` and waits for its script.
pub(crate) fn start(entry: &Entry<'_>, args: &[&str]) -> Running {
    start_mad(entry, &[&["benchmark"], args].concat(), "execution-1")
}

/// The next run finds no lease held and nothing that confuses it.
pub(crate) fn next_run_works(entry: &Entry<'_>) {
    entry.fixture.write(&format!("scripts/{}/run.sh", entry.name), "echo 'performance: 2 x/s'\n");
    entry.benchmark(&[]).run().exits(0);
    entry.nothing_is_left();
}

pub(crate) fn a_script_that_takes_too_long(engine: &Engine) {
    for before in ["", "trap '' TERM"] {
        let entry = sleeper(engine, before);
        let ran = entry.benchmark(&["--timeout", "2", "--kill-grace", "1"]).run().exits(3);
        ran.says(&["not finished after 2 s (see --timeout)"]);
        entry.nothing_is_left();
        let exit = &entry.measurement()["executions"][0]["exit"];
        assert_eq!(*exit, json!({ "timed-out": { "after_s": 2.0 } }));
        next_run_works(&entry);
    }
}

pub(crate) fn a_script_has_time_to_say_goodbye(engine: &Engine) {
    let entry = sleeper(engine, "trap 'echo goodbye; exit 0' TERM");
    let running = start(&entry, &["--kill-grace", "600"]);
    running.signal("TERM");
    running.wait().exits(3).says(&["interrupted", "cancelled"]);
    assert_eq!(entry.log(), "started\ngoodbye\n");
    entry.nothing_is_left();
}

/// Also what a script started apart from itself is told.
pub(crate) fn daemons_end_with_the_script(engine: &Engine) {
    let daemon = "setsid bash -c 'trap \"echo told >> told\" TERM; echo up > up; \
                  while :; do sleep 0.1; done' > /dev/null 2>&1 < /dev/null &\n\
                  until [ -e up ]; do sleep 0.01; done";
    let entry = engine.entry(&format!("{daemon}\necho 'performance: 1 x/s'"), json!({}));
    entry.benchmark(&[]).run().exits(0);
    entry.nothing_is_left();
    let goodbye = "trap 'until [ -e told ]; do sleep 0.01; done; echo goodbye; exit 0' TERM";
    let entry = sleeper(engine, &format!("{daemon}\n{goodbye}"));
    let running = start(&entry, &["--kill-grace", "600"]);
    running.signal("TERM");
    running.wait().exits(3);
    assert!(entry.log().ends_with("goodbye\n"), "{}", entry.log());
    entry.nothing_is_left();
}

pub(crate) fn a_signal_ends_the_run(engine: &Engine) {
    for signal in ["INT", "TERM", "HUP"] {
        let entry = sleeper(engine, "");
        let running = start(&entry, &[]);
        running.signal(signal);
        running.wait().exits(3).says(&["interrupted", "cancelled"]);
        entry.nothing_is_left();
    }
}

pub(crate) fn a_signal_ends_the_test_target(engine: &Engine) {
    let entry = sleeper(engine, "");
    let running = start_mad(&entry, &["__test-target", "bench::"], "execution-1");
    running.signal("TERM");
    assert_ne!(running.wait().status, 0);
    entry.nothing_is_left();
}

pub(crate) fn a_second_signal_ends_it_at_once(engine: &Engine) {
    let entry = sleeper(engine, "trap '' TERM");
    let running = start(&entry, &["--kill-grace", "3600"]);
    running.signal("INT");
    eventually("it is told", || running.said().contains("again: at once"));
    running.signal("INT");
    assert_eq!(running.wait().status, 130);
    eventually("the container is gone", || entry.containers().is_empty());
    next_run_works(&entry);
}

/// The signal comes while the client is about to ask for the container.
pub(crate) fn a_container_that_is_just_being_made(engine: &Engine) {
    let entry = sleeper(engine, "");
    let (asked, go) = (entry.fixture.path("asked"), entry.fixture.path("go"));
    entry.wrap_client(&format!(
        "if [ $1 = run ]; then touch '{}'; until [ -e '{}' ]; do sleep 0.01; done; fi",
        asked.display(),
        go.display()
    ));
    let running = entry.benchmark(&[]).start();
    eventually("the client is started", || asked.exists());
    running.signal("TERM");
    eventually("it is told", || entry.calls_so_far().iter().any(|c| c.starts_with("stop ")));
    fs::write(go, "").expect("a file");
    running.wait().exits(3).says(&["cancelled"]);
    entry.nothing_is_left();
}

pub(crate) fn a_signal_during_a_build(engine: &Engine) {
    let entry = engine.entry_without_image("echo 'performance: 1 x/s'", json!({}));
    // A number that no other process sleeps for.
    let seconds = format!("1000000.{}", entry.name.trim_start_matches('t').replace('-', ""));
    let text = format!("FROM {}\nRUN echo started; sleep {seconds}", engine.base);
    entry.dockerfile("Dockerfile", "{}", &text);
    let running = start_mad(&entry, &["benchmark"], "build");
    assert!(alive(&seconds));
    running.signal("TERM");
    running.wait().says(&["cancelled"]);
    eventually("the build is ended", || !alive(&seconds));
}

pub(crate) fn a_killed_harness(engine: &Engine) {
    let entry = sleeper(engine, "trap '' TERM INT HUP");
    let running = start(&entry, &["--kill-grace", "3600"]);
    running.signal("KILL");
    assert_eq!(running.wait().status, -9);
    eventually("the container is gone", || entry.containers().is_empty());
    next_run_works(&entry);
}

pub(crate) fn a_killed_supervisor(engine: &Engine) {
    let entry = sleeper(engine, "");
    let running = start(&entry, &[]);
    send("KILL", &supervisor(&entry.fixture));
    running.wait().exits(3).says(&["the supervisor ended without a word"]);
    entry.nothing_is_left();
    next_run_works(&entry);
}

pub(crate) fn the_next_run_removes_what_both_left(engine: &Engine) {
    let entry = sleeper(engine, "");
    let running = start(&entry, &[]);
    let supervisor = supervisor(&entry.fixture);
    // Stopped first: it would end the container as soon as the harness is gone.
    send("STOP", &supervisor);
    running.signal("KILL");
    running.wait();
    send("KILL", &supervisor);
    let name = entry.containers().pop().expect("the container runs on");
    entry.fixture.write(&format!("scripts/{}/run.sh", entry.name), "echo 'performance: 2 x/s'\n");
    let ran = entry.benchmark(&[]).run().exits(0);
    ran.says(&[&format!("removed container {name}, left over from a killed run")]);
    entry.nothing_is_left();
}

/// Both build the image, too.
pub(crate) fn two_runs_of_one_entry_at_once(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 1 x/s'", json!({}));
    let running = [(); 3].map(|()| entry.benchmark(&[]).start());
    for one in running {
        one.wait().exits(0);
    }
    assert_eq!(entry.fixture.rows().len(), 3);
    entry.nothing_is_left();
}

pub(crate) fn a_container_that_somebody_ends(engine: &Engine) {
    let entry = sleeper(engine, "");
    let running = start(&entry, &[]);
    engine.ask(&["rm", "-f", &entry.containers()[0]]);
    // To remove it is to kill it first: which of the two is seen is a matter of moments.
    let said = running.wait().exits(3).said();
    assert!(said.contains("somebody removed the container") || said.contains("SIGKILL"), "{said}");
    let running = start(&entry, &[]);
    engine.ask(&["kill", &entry.containers()[0]]);
    running.wait().exits(3).says(&["SIGKILL"]);
    entry.nothing_is_left();
}

pub(crate) fn too_little_memory(engine: &Engine) {
    let limit = json!({ "additional_docker_run_options": "--memory 16m --memory-swap 16m" });
    let greedy = "dd if=/dev/zero of=/dev/null bs=512M count=1";
    let script = format!("exec {greedy} # performance: 1 x/s");
    let entry = engine.entry(&script, limit.clone());
    // Docker hears of it from the kernel, at times only after the end; Podman not at all
    // where control groups are of version 1. All say that it may have been memory.
    let ran = entry.benchmark(&[]).run().exits(3).says(&["memory"]);
    if engine.program == "docker" {
        let told = |said: String| said.contains("out of memory: the kernel ended a process");
        let again = || told(entry.benchmark(&[]).run().exits(3).said());
        eventually("it is told", || told(ran.said()) || again());
    }
    // A script that goes on, and reports a number.
    let entry = engine.entry(&format!("{greedy}; echo 'performance: 1 x/s'"), limit);
    entry.benchmark(&[]).run().exits(0);
    entry.nothing_is_left();
}

/// A container that shares the processes of another one, as with `--pid=host`.
pub(crate) fn processes_of_others_are_let_alone(engine: &Engine) {
    let before = "trap 'echo goodbye; exit 0' TERM";
    let other = format!("bystander-of-{}", sleeper(engine, before).name);
    let idle = "sleep 1000001 & wait";
    engine.ask(&[
        "run",
        "-d",
        "--name",
        &other,
        "--network=none",
        &engine.base,
        "bash",
        "-c",
        idle,
    ]);
    let options = json!({ "additional_docker_run_options": format!("--pid=container:{other}") });
    let entry = sleeper_with(engine, before, options);
    let running = start(&entry, &["--kill-grace", "600"]);
    running.signal("TERM");
    running.wait().exits(3);
    assert!(engine.ask(&["exec", &other, "ps"]).contains("sleep 1000001"));
    engine.ask(&["rm", "-f", &other]);
    assert_eq!(entry.log(), "started\ngoodbye\n");
    entry.nothing_is_left();
}
