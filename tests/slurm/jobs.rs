//! An entry as a job.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cluster::Cluster;
use crate::common::Fixture;

const NUMBER: &str = r#"echo "performance: 5 tokens_per_second""#;

pub(crate) fn an_entry_is_a_job(cluster: &Cluster) {
    let fixture = Fixture::with("one", &format!("echo \"on $SLURMD_NODENAME\"\n{NUMBER}"));
    cluster.benchmark(&fixture, "{}", &[]).run().exits(0).says(&["tokens_per_second"]);
    assert!(fixture.log("one").starts_with("on n"));
    let record = fixture.record("one/attempt-1/measurement.json");
    assert_eq!(record["engine"], "slurm");
    assert_eq!(record["machine_class"], "slurm-default-1n-cpu");
    let node = &record["executions"][0]["nodes"][0]["name"];
    assert!(node.as_str().is_some_and(|name| name.starts_with('n')), "{record:#}");
    let rows = fixture.rows();
    assert_eq!(rows[0].get("deployment_type"), "slurm");
    // Raw output, in which secrets would be readable, is gone.
    let run = fixture.runs().pop().expect("a run");
    assert!(!run.join("one/attempt-1/slurm-1").exists());
}

pub(crate) fn what_a_user_wrote_is_data(cluster: &Cluster) {
    let odd = "$(touch /tmp/mad-owned) `id` 'x' \"y\" \\ ; | & * ~ %j\ttab";
    let body = format!(
        "printf '%s\\n' \"args:\" \"$@\"\nprintf '%s\\n' \"odd: $ODD\" \"port: $MASTER_PORT\" \\\n\
         \"own: $job $node $status $started $name\"\n{NUMBER}"
    );
    let args = shell_words::quote(odd).into_owned();
    // Also names that a script might have for what is its own.
    let names = ["job", "node", "status", "started", "name"];
    let mut env: BTreeMap<&str, &str> = names.map(|name| (name, name)).into();
    env.insert("MASTER_PORT", "1");
    let extra = json!({ "args": format!("--a 'b c' {args}"), "env_vars": env });
    let fixture = Fixture::empty().entry("a b'$(id)", &body, extra);
    let context = json!({ "slurm": {}, "env_vars": { "ODD": odd } }).to_string();
    cluster.mad(&fixture, &["benchmark", "-c", &context]).run().exits(0);
    let runs = fixture.runs();
    let model = std::fs::read_dir(runs.last().expect("a run")).expect("a directory").flatten();
    let log = model.map(|e| e.path().join("attempt-1/execution-1/run.log")).find(|p| p.exists());
    let log = std::fs::read_to_string(log.expect("a log")).expect("text");
    assert!(log.contains(&format!("args:\n--a\nb c\n{odd}\n")), "{log}");
    assert!(log.contains(&format!("odd: {odd}\nport: 1\n")), "{log}");
    assert!(log.contains("own: job node status started name\n"), "{log}");
    assert!(!std::path::Path::new("/tmp/mad-owned").exists());
}

pub(crate) fn secrets_stay_out(cluster: &Cluster) {
    let fixture = Fixture::with("one", &format!("echo \"it is $MAD_SECRETS_HFTOKEN\"\n{NUMBER}"));
    let secret = "s3cr3t-of-the-tests";
    let run = cluster.benchmark(&fixture, "{}", &["--keep-alive"]);
    run.env("MAD_SECRETS_HFTOKEN", secret).run().exits(0);
    assert!(fixture.log("one").contains("it is ***"));
    assert!(!cluster.said(&["scontrol", "show", "job", "--details"]).contains(secret));
}

pub(crate) fn every_selected_entry_is_deployed(cluster: &Cluster) {
    let mut fixture = Fixture::empty();
    for i in 0..6 {
        fixture = fixture.entry(&format!("m{i}"), NUMBER, json!({}));
    }
    cluster.benchmark(&fixture, "{\"exclusive\": false}", &[]).run().exits(0);
    assert_eq!(fixture.rows().len(), 6);
    assert!(fixture.rows().iter().all(|row| row.get("status") == "SUCCESS"));
}

pub(crate) fn all_executions_are_one_job(cluster: &Cluster) {
    let body = format!("echo $SLURM_JOB_ID >>\"$JOBS\"\nsleep 1000 &\n{NUMBER}");
    let fixture = Fixture::with("one", &body);
    let jobs = fixture.path("jobs").display().to_string();
    let context = json!({ "slurm": {}, "env_vars": { "JOBS": jobs } }).to_string();
    let args = ["benchmark", "-c", &context, "--warmup", "1", "--samples", "2"];
    cluster.mad(&fixture, &args).run().exits(0);
    let text = fixture.text("jobs");
    let jobs: Vec<&str> = text.lines().collect();
    assert_eq!(jobs.len(), 3);
    assert!(jobs.iter().all(|job| *job == jobs[0]), "{jobs:?}");
}

pub(crate) fn options_arrive(cluster: &Cluster) {
    let fixture = Fixture::with("one", &format!("scontrol show job $SLURM_JOB_ID\n{NUMBER}"));
    let slurm = r#"{"partition": "main", "time": "1:30:00", "nodelist": "n3", "mem": "100M",
                    "cpus_per_task": 2, "exclusive": false, "options": ["--nice=7"]}"#;
    cluster.benchmark(&fixture, slurm, &[]).run().exits(0);
    let log = fixture.log("one");
    for word in ["Partition=main", "TimeLimit=01:30:00", "ReqNodeList=n3", "CPUs/Task=2", "Nice=7"]
    {
        assert!(log.contains(word), "{word} is missing in\n{log}");
    }
}

pub(crate) fn the_plan_is_the_command(cluster: &Cluster) {
    let extra = json!({ "n_gpus": "2", "distributed": { "launcher": "torchrun", "nnodes": 2 } });
    let fixture = Fixture::empty().entry("two", NUMBER, extra);
    let said = cluster.benchmark(&fixture, "{\"partition\": \"main\"}", &["--plan"]).run().exits(0);
    let line = said.stdout.lines().find(|line| line.contains("sbatch")).expect("a command");
    insta::assert_snapshot!(line.trim());
}

pub(crate) fn auto_chooses_slurm(cluster: &Cluster) {
    let fixture = Fixture::with("one", NUMBER);
    cluster.mad(&fixture, &["benchmark", "-c", "{'slurm': {}}"]).run().exits(0);
    let record = fixture.record("one/attempt-1/measurement.json");
    assert_eq!(record["engine"], "slurm");
}

pub(crate) fn a_script_that_manages_the_nodes_itself(cluster: &Cluster) {
    let fixture = Fixture::empty();
    fixture.write(
        "scripts/multi.slurm",
        "#!/bin/bash\n#SBATCH --nodes=9\nsrun --overlap -N2 -n2 -l hostname\n\
         echo \"performance: $SLURM_JOB_NUM_NODES nodes\"\n",
    );
    let entry = json!([{ "name": "multi", "scripts": "scripts/multi.slurm", "n_gpus": "1", "args": "",
        "slurm": { "nodes": 2 }, "distributed": { "launcher": "slurm_multi" } }]);
    fixture.write("models.json", entry.to_string());
    cluster.mad(&fixture, &["benchmark"]).run().exits(0);
    assert_eq!(fixture.rows()[0].get("performance"), "2");
    assert_eq!(fixture.rows()[0].get("nnodes"), "2");
}
