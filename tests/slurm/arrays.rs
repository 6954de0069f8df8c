//! Jobs that are ready at about the same time are one array.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::common::{Fixture, Mad, Running, json_file};

/// Enough for an array: of those that come while the first are submitted, or of these. And more
/// than there are nodes: some have to wait.
const JOBS: usize = 16;

const WAIT: &str = "echo start >>\"$DIR/starts\"\n\
    until [ -e \"$DIR/go\" ]; do sleep 0.1; done\necho \"performance: 5 tokens_per_second\"";

fn alike(jobs: usize, body: &str) -> Fixture {
    (0..jobs).fold(Fixture::empty(), |fixture, i| fixture.entry(&format!("m{i}"), body, json!({})))
}

fn starts(fixture: &Fixture) -> usize {
    fs::read_to_string(fixture.path("starts")).map_or(0, |text| text.lines().count())
}

fn go(fixture: &Fixture) {
    fs::write(fixture.path("go"), "").expect("a file");
}

/// Notes of the entries' jobs, as far as they are there.
fn notes(fixture: &Fixture) -> Vec<(std::path::PathBuf, Value)> {
    let run = fixture.runs().pop();
    let entries = run.and_then(|run| fs::read_dir(run).ok()).into_iter().flatten().flatten();
    let notes = entries.map(|entry| entry.path().join("attempt-1/slurm-1/note.json"));
    notes.filter(|note| note.exists()).map(|note| (note.clone(), json_file(&note))).collect()
}

/// How many of the jobs are tasks of an array.
fn tasks(fixture: &Fixture) -> usize {
    let is_task = |note: &Value| note["job"].as_str().is_some_and(|id| id.contains('_'));
    notes(fixture).iter().filter(|(_, note)| is_task(note)).count()
}

/// Words of each call of a program.
fn calls(fixture: &Fixture, program: &str) -> Vec<String> {
    let text = fs::read_to_string(fixture.path("calls")).unwrap_or_default();
    text.lines().filter(|line| line.starts_with(program)).map(str::to_owned).collect()
}

/// Starts `mad`, whose first call of sbatch takes until all `jobs` are ready. Calls of Slurm's
/// programs are written down.
fn start(cluster: &Cluster, fixture: &Fixture, mad: Mad, jobs: usize, missing: &[&str]) -> Running {
    let bin = fixture.path("bin");
    fs::create_dir_all(&bin).expect("a directory");
    let (log, ready) = (fixture.path("calls"), fixture.path("ready"));
    for program in ["sbatch", "squeue", "scontrol"] {
        let (log, ready) = (log.display(), ready.display());
        let hold = match program {
            "sbatch" => format!("until [ -e '{ready}' ]; do sleep 0.05; done\n"),
            _ => String::new(),
        };
        let end = match missing.contains(&program) {
            true => "exit 127".to_owned(),
            false => format!("exec /usr/bin/{program} \"$@\""),
        };
        let text = format!("#!/bin/sh\necho \"{program} $*\" >>'{log}'\n{hold}{end}\n");
        let path = bin.join(program);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let running = mad.env("PATH", format!("{}:{path}", bin.display())).start();
    cluster.until("all are ready", || notes(fixture).len() == jobs);
    fs::write(ready, "").expect("a file");
    running
}

pub(crate) fn alike_jobs_are_an_array(cluster: &Cluster) {
    let body = |name: &str| {
        format!(
            "echo \"in array '$SLURM_ARRAY_TASK_ID'\"\necho {name} >>\"$DIR/starts\"\n\
             echo \"performance: 5 tokens_per_second\""
        )
    };
    let mut fixture = Fixture::empty().entry("other", &body("other"), json!({ "timeout": 7000 }));
    for i in 0..JOBS {
        let name = format!("m{i}");
        fixture = fixture.entry(&name, &body(&name), json!({}));
    }
    let mad = cluster.benchmark(&fixture, "{\"exclusive\": false}", &[]);
    start(cluster, &fixture, mad, JOBS + 1, &[]).wait().exits(0);
    let sent = calls(&fixture, "sbatch");
    assert!(sent.iter().any(|call| call.contains("--array=0-")), "{sent:#?}");
    assert!(sent.len() < JOBS, "{sent:#?}");
    assert_eq!((fixture.rows().len(), starts(&fixture)), (JOBS + 1, JOBS + 1));
    // Each is its own entry, and does not know that it is one of many.
    let mut scripts: Vec<String> = fixture.text("starts").lines().map(str::to_owned).collect();
    scripts.sort();
    scripts.dedup();
    assert_eq!(scripts.len(), JOBS + 1, "{scripts:?}");
    assert!(fixture.log("m3").contains("in array ''"), "{}", fixture.log("m3"));
    assert!(!fixture.runs()[0].join(".arrays").exists());
}

pub(crate) fn cells_of_a_sweep_are_an_array(cluster: &Cluster) {
    let body = "echo start >>\"$DIR/starts\"\necho \"performance: $N tokens_per_second\"";
    let fixture = Fixture::with("one", body);
    let axis = "env_vars.N=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16";
    let context = "{\"slurm\": {\"exclusive\": false}}";
    let mad = cluster.mad(&fixture, &["sweep", "one", "--axis", axis, "-c", context]);
    start(cluster, &fixture, mad, JOBS, &[]).wait().exits(0);
    let sent = calls(&fixture, "sbatch");
    assert!(sent.iter().any(|call| call.contains("--array=0-")), "{sent:#?}");
    assert_eq!(starts(&fixture), JOBS);
    let rows = fs::read_to_string(fixture.runs()[0].join("perf.csv")).expect("results");
    assert_eq!(rows.lines().count(), JOBS + 1, "{rows}");
}

pub(crate) fn one_task_is_cancelled(cluster: &Cluster) {
    let fixture = alike(JOBS, WAIT);
    let mad = cluster.benchmark(&fixture, "{}", &[]);
    let mad = start(cluster, &fixture, mad, JOBS, &[]);
    let mut waiting = Vec::new();
    cluster.until("some wait", || {
        let said = cluster.said(&["squeue", "--noheader", "--array", "--format=%i", "-tPD"]);
        waiting = said.lines().filter(|id| id.contains('_')).map(str::to_owned).collect();
        !waiting.is_empty() && tasks(&fixture) >= 8
    });
    // mad knows it: it has asked since.
    let asked = calls(&fixture, "squeue").len();
    cluster.until("it is asked", || calls(&fixture, "squeue").len() >= asked + 2);
    let task = waiting.pop().expect("one");
    assert!(cluster.slurm(&["scancel", &task]).status.success());
    cluster.until("it is gone", || {
        !cluster.said(&["squeue", "--noheader", "--array", "--format=%i"]).contains(&task)
    });
    go(&fixture);
    let said = mad.wait().exits(3);
    said.says(&[&format!("Slurm job {task}: CANCELLED"), "somebody cancelled the job"]);
    let passed = fixture.rows().iter().filter(|row| row.get("status") == "SUCCESS").count();
    assert_eq!((passed, starts(&fixture)), (JOBS - 1, JOBS - 1));
}

pub(crate) fn tasks_that_were_not_noted(cluster: &Cluster) {
    let fixture = alike(JOBS, WAIT);
    let mad = cluster.benchmark(&fixture, "{}", &["--detach"]);
    start(cluster, &fixture, mad, JOBS, &[]).wait().exits(0).says(&["mad attach"]);
    assert!(tasks(&fixture) >= 8);
    // As if the process had died between sbatch and the notes.
    for (path, mut note) in notes(&fixture) {
        note.as_object_mut().expect("an object").remove("job").expect("an id");
        fs::write(path, note.to_string()).expect("a file");
    }
    go(&fixture);
    cluster.mad(&fixture, &["attach", "latest"]).run().exits(0).says(&["16 of 16 passed"]);
    assert_eq!((fixture.rows().len(), starts(&fixture)), (JOBS, JOBS));
    assert!(!fixture.runs()[0].join(".arrays").exists());
}

pub(crate) fn tasks_are_ended(cluster: &Cluster) {
    let none_left = || cluster.jobs("PENDING,RUNNING,COMPLETING").is_empty();
    let fixture = alike(JOBS, WAIT);
    let mad = cluster.benchmark(&fixture, "{}", &[]);
    let mad = start(cluster, &fixture, mad, JOBS, &[]);
    cluster.until("all are submitted", || tasks(&fixture) >= 8 && starts(&fixture) >= 4);
    mad.signal("INT");
    mad.wait().exits(3);
    cluster.until("no job is left", none_left);

    let fixture = alike(JOBS, WAIT);
    let mad = cluster.benchmark(&fixture, "{}", &["--detach"]);
    start(cluster, &fixture, mad, JOBS, &[]).wait().exits(0);
    assert!(tasks(&fixture) >= 8);
    cluster.mad(&fixture, &["clean", "--jobs"]).run().exits(0).says(&["_1", "removed"]);
    cluster.until("no job is left", none_left);
    cluster.mad(&fixture, &["clean"]).run().exits(0).says(&["nothing is left over"]);
}

pub(crate) fn arrays_have_limits(cluster: &Cluster) {
    const MANY: usize = 20;
    cluster.with_setting("MaxArraySize=9", || {
        // Where the limit is known, and where Slurm refuses what is too long.
        for (missing, is_in_parts) in [(&[][..], true), (&["scontrol"], false)] {
            let fixture = alike(MANY, "echo start >>\"$DIR/starts\"\necho \"performance: 5 x\"");
            let mad = cluster.benchmark(&fixture, "{\"exclusive\": false}", &[]);
            start(cluster, &fixture, mad, MANY, missing).wait().exits(0);
            assert_eq!((fixture.rows().len(), starts(&fixture)), (MANY, MANY));
            let sent = calls(&fixture, "sbatch");
            let is_short = |call: &String| (7..=8).any(|n| call.contains(&format!("=0-{n} ")));
            let within = sent.iter().filter(|call| call.contains("--array=")).all(is_short);
            assert_eq!(within, is_in_parts, "{sent:#?}");
        }
    });
}
