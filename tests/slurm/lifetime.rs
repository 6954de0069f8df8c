//! Who outlives whom.

use serde_json::json;

use crate::cluster::Cluster;
use crate::common::{Fixture, json_file};

/// Counts its starts, and waits until it may end.
const WAIT: &str = "echo start >>\"$DIR/starts\"\n\
    until [ -e \"$DIR/go\" ]; do sleep 0.1; done\necho \"performance: 5 tokens_per_second\"";

fn starts(fixture: &Fixture) -> usize {
    std::fs::read_to_string(fixture.path("starts")).map_or(0, |text| text.lines().count())
}

pub(crate) fn an_interrupt_cancels(cluster: &Cluster) {
    for signal in ["INT", "TERM"] {
        let fixture = Fixture::with("one", WAIT).entry("two", WAIT, json!({}));
        let mad = cluster.benchmark(&fixture, "{}", &[]).start();
        cluster.until("both run", || starts(&fixture) == 2);
        mad.signal(signal);
        mad.wait().exits(3);
        cluster.until("no job is left", || cluster.jobs("PENDING,RUNNING,COMPLETING").is_empty());
    }
}

pub(crate) fn a_killed_run_is_collected(cluster: &Cluster) {
    let fixture = Fixture::with("one", WAIT).entry("two", WAIT, json!({}));
    let mad = cluster.benchmark(&fixture, "{}", &["--samples", "2"]).start();
    cluster.until("both run", || starts(&fixture) == 2);
    mad.signal("KILL");
    mad.wait();
    // It goes on without anybody.
    assert_eq!(cluster.jobs("RUNNING").len(), 2);
    std::fs::write(fixture.path("go"), "").expect("a file");
    let attached = cluster.mad(&fixture, &["attach", "latest"]).run().exits(0);
    attached.says(&["2 of 2 passed"]);
    assert_eq!(starts(&fixture), 4);
    assert_eq!((fixture.rows().len(), fixture.runs().len()), (2, 1));
    // Again: there is nothing to do, and nothing is measured.
    cluster.mad(&fixture, &["attach", "latest"]).run().exits(0);
    assert_eq!((fixture.rows().len(), starts(&fixture)), (2, 4));
}

pub(crate) fn a_job_that_was_not_noted(cluster: &Cluster) {
    let fixture = Fixture::with("one", WAIT);
    cluster.benchmark(&fixture, "{}", &["--detach"]).run().exits(0);
    cluster.until("it runs", || starts(&fixture) == 1);
    // As if the process had died between sbatch and the note.
    let note = fixture.runs()[0].join("one/attempt-1/slurm-1/note.json");
    let mut known = json_file(&note);
    known.as_object_mut().expect("an object").remove("job").expect("an id");
    std::fs::write(&note, known.to_string()).expect("a file");
    let begin = fixture.runs()[0].join("one/attempt-1/slurm-1/try-0/begin");
    let begun = std::fs::read(&begin).expect("a file");
    std::fs::remove_file(&begin).expect("a file");
    std::fs::write(fixture.path("go"), "").expect("a file");
    let mad = cluster.mad(&fixture, &["attach", "latest"]).start();
    std::fs::write(&begin, begun).expect("a file");
    mad.wait().exits(0);
    assert_eq!(starts(&fixture), 1);
}

pub(crate) fn jobs_are_left_and_collected(cluster: &Cluster) {
    let fixture = Fixture::with("one", WAIT).entry("two", WAIT, json!({}));
    let said = cluster.benchmark(&fixture, "{}", &["--detach"]).run().exits(0);
    said.says(&["Slurm job", "mad attach"]);
    std::fs::write(fixture.path("go"), "").expect("a file");
    // Also when they have ended long ago.
    cluster.until("both ended", || {
        starts(&fixture) == 2 && cluster.jobs("PENDING,RUNNING").is_empty()
    });
    cluster.mad(&fixture, &["attach", "latest"]).run().exits(0).says(&["2 of 2 passed"]);
    assert_eq!(starts(&fixture), 2);
}

pub(crate) fn clean_asks_first(cluster: &Cluster) {
    let fixture = Fixture::with("one", WAIT);
    cluster.benchmark(&fixture, "{}", &["--detach"]).run().exits(0);
    let job = cluster.running();
    let clean = |args: &[&str]| cluster.mad(&fixture, &[&["clean"], args].concat()).run().exits(0);
    clean(&[]).says(&["slurm job", &job, "mad attach", "--jobs"]);
    assert_eq!(cluster.jobs("RUNNING"), [job.as_str()]);
    clean(&["--jobs", "--plan"]).says(&["would be removed"]);
    assert_eq!(cluster.jobs("RUNNING"), [job.as_str()]);
    clean(&["--jobs"]).says(&["removed"]);
    cluster.until("it ended", || cluster.jobs("PENDING,RUNNING,COMPLETING").is_empty());
    clean(&[]).says(&["nothing is left over"]);
}
