//! `mad clean`.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::build::image;
use crate::common::eventually;
use crate::daemon::Daemon;
use crate::engine::{Engine, Entry};

const NUMBER: &str = "echo 'performance: 1 x/s'";

/// Kind, name and state of what was found.
fn found(json: &Value) -> Vec<(String, String, String)> {
    let text = |left: &Value, key: &str| left[key].as_str().expect("text").to_owned();
    let left = json["leftovers"].as_array().expect("leftovers").iter();
    left.map(|l| (text(l, "kind"), text(l, "name"), text(l, "state"))).collect()
}

/// What was done about the image of this name.
fn state_of(json: &Value, image: &str) -> Option<String> {
    let all = found(json).into_iter();
    all.filter(|(_, name, _)| name.contains(image)).map(|(.., state)| state).next()
}

/// The id of the newest run.
fn run(entry: &Entry<'_>) -> String {
    entry.fixture.record("run.json")["id"].as_str().expect("an id").to_owned()
}

/// Here only what one run left behind is touched: the engine may have containers of others.
pub(crate) fn a_container_that_was_kept(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    let mut kept = Vec::new();
    for _ in 0..2 {
        let ran = entry.benchmark(&["--keep-alive"]).run().exits(0);
        ran.says(&["`mad clean` ends it"]);
        let name = entry.containers().into_iter().find(|name| !kept.contains(name));
        kept.push(name.expect("a container"));
    }
    let run = run(&entry);
    let clean = |args: &[&str]| {
        let args = [&["clean", &run, "--json"], args].concat();
        found(&entry.mad(&args).run().exits(0).json())
    };
    let as_is = |state: &str| vec![("container".to_owned(), kept[1].clone(), state.to_owned())];
    assert_eq!(clean(&["--plan"]), as_is("planned"));
    assert_eq!(entry.containers().len(), 2);
    assert_eq!(clean(&[]), as_is("removed"));
    assert_eq!(entry.containers(), kept[..1]);
    assert_eq!(clean(&[]), []);
    engine.ask(&["rm", "-f", &kept[0]]);
}

pub(crate) fn a_container_whose_run_goes_on(engine: &Engine) {
    let body = format!("touch /myworkspace/run_directory/started; sleep 1000; {NUMBER}");
    let entry = engine.entry(&body, json!({}));
    let running = entry.benchmark(&[]).start();
    let started = || {
        let run = entry.fixture.runs().pop();
        let execution =
            |run: std::path::PathBuf| run.join(&entry.name).join("attempt-1/execution-1");
        run.is_some_and(|run| execution(run).join("work/started").exists())
    };
    eventually("the script runs", started);
    let run = run(&entry);
    let left = entry.mad(&["clean", &run]).run().exits(0);
    left.says(&["left: its run goes on (--all removes it)"]);
    assert_eq!(entry.containers().len(), 1);
    let removed = entry.mad(&["clean", &run, "--all"]).run().exits(0);
    removed.says(&["removed: although its run goes on (--all)"]);
    running.wait().exits(3);
    entry.nothing_is_left();
}

/// A Docker and a store of Podman's that are nobody else's: all that is left over goes.
pub(crate) fn everything_that_is_left_over(_: &Engine) {
    let daemon = Daemon::start(|_| {});
    let docker = daemon.engine();
    let podman = Engine::reach("podman").ok();
    let engines: Vec<&Engine> = std::iter::once(&docker).chain(&podman).collect();
    let made: Vec<[Entry<'_>; 2]> = engines
        .iter()
        .map(|engine| {
            let entries = [(); 2].map(|()| engine.entry(NUMBER, json!({})));
            for entry in &entries {
                entry.mad(&["build"]).run().exits(0);
            }
            // What somebody made of one, or holds, is not ours to remove.
            let [unused, used] = &entries;
            engine.ask(&["tag", &image(unused), &format!("theirs-{}", unused.name)]);
            engine.ask(&[
                "create",
                "--name",
                &format!("holds-{}", used.name),
                &image(used),
                "true",
            ]);
            unused.benchmark(&["--keep-alive"]).run().exits(0);
            entries
        })
        .collect();
    // One command for both of them.
    let [first, _] = &made[0];
    let dir = tempfile::tempdir().expect("a temporary directory");
    symlink(docker.real_program(), dir.path().join("docker")).expect("a link");
    let clean = |args: &[&str]| {
        let args = [&["clean", "--images", "--json"], args].concat();
        let mad = match &podman {
            Some(podman) => podman.mad(&first.fixture, &args),
            // One that cannot be used may have images all the same.
            None => docker.mad(&first.fixture, &args).env("PATH", dir.path()),
        };
        mad.env("DOCKER_HOST", daemon.host()).run().exits(0).json()
    };
    for (args, state) in [(&["--plan"][..], "planned"), (&[], "removed")] {
        let done = clean(args);
        let containers = found(&done).into_iter().filter(|(kind, ..)| kind == "container");
        let states: Vec<String> = containers.map(|(.., state)| state).collect();
        assert_eq!(states, vec![state; engines.len()], "{done}");
        for [unused, used] in &made {
            assert_eq!(state_of(&done, &image(unused)).as_deref(), Some(state), "{done}");
            assert_eq!(state_of(&done, &image(used)).as_deref(), Some("left"), "{done}");
            assert_eq!(state_of(&done, "theirs-"), None, "{done}");
        }
    }
    for (engine, [unused, used]) in engines.iter().zip(&made) {
        unused.nothing_is_left();
        let has = |image: &str| engine.try_ask(&["image", "inspect", image]).is_ok();
        assert!(!has(&image(unused)) && has(&format!("theirs-{}", unused.name)));
        assert!(has(&image(used)));
        engine.ask(&["rm", "-f", &format!("holds-{}", used.name)]);
        engine.clean();
    }
}
