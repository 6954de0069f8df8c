//! Several nodes.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::common::Fixture;

fn on_nodes(body: &str, nodes: u32, extra: Value) -> Fixture {
    let mut all = json!({ "distributed": { "launcher": "torchrun", "nnodes": nodes } });
    if let (Some(all), Value::Object(extra)) = (all.as_object_mut(), extra) {
        all.extend(extra);
    }
    Fixture::empty().entry("wide", body, all)
}

pub(crate) fn numbers_of_nodes_become_one(cluster: &Cluster) {
    let body = r#"echo "node $NODE_RANK of $NNODES at $MASTER_ADDR"
        echo "performance: $((10 + NODE_RANK)) tokens_per_second""#;
    let fixture = on_nodes(body, 3, json!({}));
    cluster.benchmark(&fixture, "{}", &[]).run().exits(0).says(&["is the sum of 3 numbers"]);
    let record = fixture.record("wide/attempt-1/measurement.json");
    let execution = &record["executions"][0];
    assert_eq!(execution["samples"][0]["value"], 33.0);
    let of_nodes = execution["nodes"].as_array().expect("nodes");
    let values: Vec<&Value> = of_nodes.iter().map(|n| &n["samples"][0]["value"]).collect();
    assert_eq!(values, [&json!(10.0), &json!(11.0), &json!(12.0)]);
    let log = fixture.log("wide");
    for rank in 0..3 {
        assert!(log.contains(&format!("{rank}: node {rank} of 3 at n")), "{log}");
    }
    let row = &fixture.rows()[0];
    assert_eq!((row.get("nnodes"), row.get("performance")), ("3", "33"));
}

pub(crate) fn the_rule_of_a_metric(cluster: &Cluster) {
    let fixture = on_nodes(r#"echo "performance: $((10 + NODE_RANK)) latency_ms""#, 2, json!({}));
    cluster.benchmark(&fixture, "{}", &[]).run().exits(0);
    let rule = r#"{"aggregate": {"latency_ms": "mean"}}"#;
    cluster.benchmark(&fixture, rule, &[]).run().exits(0);
    let rows = fixture.rows();
    assert_eq!(rows[0].get("performance"), "11");
    assert_eq!(rows[1].get("performance"), "10.5");
    // Only the first node reports: its number stands as it is.
    let body = r#"[ "$NODE_RANK" != 0 ] || echo "performance: 7.50 tokens_per_second""#;
    let fixture = on_nodes(body, 2, json!({}));
    cluster.benchmark(&fixture, "{}", &[]).run().exits(0);
    assert_eq!(fixture.rows()[0].get("performance"), "7.50");
}

pub(crate) fn a_node_that_fails_fails_all(cluster: &Cluster) {
    let body = r#"if [ "$NODE_RANK" = 1 ]; then echo "it breaks here"; exit 7; fi
        sleep 300
        echo "performance: 1 x""#;
    let fixture = on_nodes(body, 2, json!({}));
    let said = cluster.benchmark(&fixture, "{}", &[]).run().exits(3);
    said.says(&["exit status 7"]);
    assert!(fixture.log("wide").contains("1: it breaks here"));
}

pub(crate) fn a_file_of_results_per_node(cluster: &Cluster) {
    let body = r#"printf 'model,performance,metric\na,%s,tokens_per_second\n' $((1 + NODE_RANK)) >out.csv"#;
    let fixture = on_nodes(body, 2, json!({ "multiple_results": "out.csv" }));
    cluster.benchmark(&fixture, "{}", &[]).run().exits(0);
    assert_eq!(fixture.rows()[0].get("performance"), "3");
}

pub(crate) fn launchers(cluster: &Cluster) {
    let said = |launcher: &str, nodes: u32| {
        let body = r#"echo "runner: $MAD_MULTI_NODE_RUNNER"
            if [ "$NODE_RANK" = 0 ]; then echo "performance: 1 x"; fi"#;
        let distributed = json!({ "launcher": launcher, "nnodes": nodes, "nproc_per_node": 2,
            "port": 29500 });
        let fixture = on_nodes(body, nodes, json!({ "distributed": distributed }));
        let slurm = format!("{{\"nodelist\": \"n[1-{nodes}]\"}}");
        cluster.benchmark(&fixture, &slurm, &[]).run().exits(0);
        let log = fixture.log("wide");
        // Of the first node, whichever printed first.
        let is_first =
            |line: &&str| line.strip_prefix("0: ").unwrap_or(line).starts_with("runner:");
        let line = log.lines().find(is_first).expect("a line").to_owned();
        let before = line.find("--hostfile=").zip(line.find("hostfile --no_ssh"));
        match before {
            Some((from, to)) => format!("{}--hostfile=DIR/{}", &line[..from], &line[to..]),
            None => line,
        }
    };
    let all = [
        ("torchrun", 1),
        ("torchrun", 2),
        ("deepspeed", 1),
        ("deepspeed", 2),
        ("megatron", 2),
        ("vllm", 2),
        ("sglang", 1),
    ];
    let lines: Vec<String> = all.iter().map(|(launcher, nodes)| said(launcher, *nodes)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
