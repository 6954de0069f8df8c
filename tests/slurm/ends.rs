//! How jobs end that do not end well, and what is said about it.

use serde_json::json;

use crate::cluster::Cluster;
use crate::common::Fixture;

const SLEEP: &str = "echo begun\nsleep 600\necho \"performance: 5 tokens_per_second\"";
const NUMBER: &str = r#"echo "performance: 5 tokens_per_second""#;

pub(crate) fn a_script_that_fails(cluster: &Cluster) {
    let fixture = Fixture::with("one", "echo \"this is why\"\nexit 7");
    let said = cluster.benchmark(&fixture, "{}", &["--samples", "3"]).run().exits(3);
    said.says(&["exit status 7", "this is why"]);
    assert!(!fixture.runs()[0].join("one/attempt-1/execution-2").exists());
}

pub(crate) fn a_script_that_takes_too_long(cluster: &Cluster) {
    let fixture = Fixture::with("one", SLEEP);
    let said = cluster.benchmark(&fixture, "{}", &["--timeout", "1"]).run().exits(3);
    said.says(&["not finished after 1 s"]);
    assert!(cluster.jobs("RUNNING,PENDING").is_empty());
}

pub(crate) fn an_option_that_the_cluster_refuses(cluster: &Cluster) {
    let fixture = Fixture::empty().entry("one", NUMBER, json!({ "n_gpus": "3" }));
    cluster
        .benchmark(&fixture, "{\"partition\": \"nosuch\"}", &[])
        .run()
        .exits(3)
        .says(&["Slurm does not take the job", "invalid partition specified: nosuch"]);
    cluster.benchmark(&fixture, "{}", &[]).run().exits(3).says(&[
        "Requested node configuration is not available",
        "no node of the cluster has what is asked for",
    ]);
    assert_eq!(fixture.rows().len(), 2);
    assert!(fixture.rows().iter().all(|row| row.get("status") == "FAILURE"));
}

pub(crate) fn values_that_are_none(cluster: &Cluster) {
    let fixture = Fixture::with("one", NUMBER);
    let slurm = r#"{"partiton": "main", "qos": "a;b", "options": ["--output=/tmp/x"]}"#;
    cluster.benchmark(&fixture, slurm, &[]).run().exits(2).says(&[
        "`slurm.partiton` is no key that is known",
        "`slurm.qos` has the character ';'",
        "--output is set by mad",
    ]);
    cluster.benchmark(&fixture, "3", &[]).run().exits(4);
    let all = Fixture::empty().entry("all", NUMBER, json!({ "n_gpus": "-1" }));
    cluster.benchmark(&all, "{}", &[]).run().exits(2).says(&["gpus_per_node"]);
}

pub(crate) fn a_job_that_somebody_cancels(cluster: &Cluster) {
    let fixture = Fixture::with("one", SLEEP);
    let mad = cluster.benchmark(&fixture, "{}", &["--live-output"]).start();
    let job = cluster.running();
    cluster.until("it has begun", || mad.said().contains("begun"));
    assert!(cluster.slurm(&["scancel", &job]).status.success());
    mad.wait().exits(3).says(&["CANCELLED", "somebody cancelled the job"]);
    assert!(fixture.log("one").starts_with("begun\n"));
}

pub(crate) fn a_node_that_fails(cluster: &Cluster) {
    let fixture = Fixture::with("one", SLEEP);
    let mad = cluster.benchmark(&fixture, "{\"nodelist\": \"n2\"}", &[]).start();
    cluster.running();
    cluster.slurm(&["scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test"]);
    mad.wait().exits(3).says(&["NODE_FAIL", "a node of the job failed"]);
}

pub(crate) fn a_limit_of_the_cluster(cluster: &Cluster) {
    let fixture = Fixture::with("one", SLEEP);
    let mad = cluster.benchmark(&fixture, "{\"time\": \"10\"}", &[]).start();
    let job = cluster.running();
    cluster.slurm(&["scontrol", "update", &format!("JobId={job}"), "EndTime=now"]);
    mad.wait().exits(3).says(&["TIMEOUT", "time limit"]);
}

pub(crate) fn a_job_that_never_starts(cluster: &Cluster) {
    let fixture = Fixture::with("one", NUMBER);
    cluster.slurm(&["scontrol", "update", "NodeName=n4", "State=DRAIN", "Reason=test"]);
    let run = cluster.benchmark(&fixture, "{\"nodelist\": \"n4\"}", &["--queue-timeout", "3"]);
    run.run().exits(3).says(&["did not start within 3 s (--queue-timeout)", "ReqNodeNotAvail"]);
    assert!(cluster.jobs("PENDING,RUNNING").is_empty());
}

pub(crate) fn a_job_that_is_requeued(cluster: &Cluster) {
    let body = format!(
        "echo \"try ${{SLURM_RESTART_COUNT:-0}}\"\n\
         [ \"${{SLURM_RESTART_COUNT:-0}}\" = 1 ] || sleep 600\n{NUMBER}"
    );
    let fixture = Fixture::with("one", &body);
    let mad = cluster.benchmark(&fixture, "{\"options\": [\"--requeue\"]}", &["-l"]).start();
    let job = cluster.running();
    cluster.until("it has begun", || mad.said().contains("try 0"));
    assert!(cluster.slurm(&["scontrol", "requeue", &job]).status.success());
    // A job that was requeued has to wait for some minutes, unless it is told otherwise. A node does
    // not start it in the second in which it was ended there.
    cluster.until("it waits", || cluster.jobs("PENDING") == [job.clone()]);
    cluster.slurm(&["scontrol", "update", &format!("JobId={job}"), "StartTime=now+2"]);
    mad.wait().exits(0).says(&["anew"]);
    assert!(fixture.log("one").starts_with("try 1\n"), "{}", fixture.log("one"));
}

pub(crate) fn a_directory_that_the_nodes_do_not_share(cluster: &Cluster) {
    let fixture = Fixture::with("one", NUMBER);
    let runs = fixture.path("mad");
    std::fs::create_dir_all(&runs).expect("a directory");
    cluster.with_another_view(4, &runs, || {
        let said = cluster.benchmark(&fixture, "{\"nodelist\": \"n4\"}", &[]).run().exits(3);
        said.says(&["is it on a file system that the nodes share with this host? (--run-dir)"]);
    });
}

pub(crate) fn a_module_that_is_not_there(cluster: &Cluster) {
    let fixture = Fixture::with("one", NUMBER);
    let said = cluster.benchmark(&fixture, "{\"modules\": [\"rocm/6.3\"]}", &[]).run().exits(3);
    said.says(&["cannot load the module rocm/6.3"]);
}
