//! A profiler beside the script in its container.

use serde_json::json;

use crate::common::json_file;
use crate::engine::Engine;

/// Stands in for a profiler: runs what it is put before, and writes the trace of a GPU that does
/// nothing but matrix products.
const PROFILER: &str = r#"#!/bin/sh
"$@" || exit
i=0
{
    printf '{"schemaVersion": 1, "traceEvents": ['
    while [ $i -lt 200 ]; do
        printf '{"ph": "X", "cat": "kernel", "name": "ampere_sgemm_128x64", "pid": 0, "tid": 7, '
        printf '"ts": %s, "dur": 95, "args": {"device": 0}},' $((1000 + 100 * i))
        i=$((i + 1))
    done
    printf '{"ph": "M", "name": "process_name", "pid": 0}]}'
} >trace.json
"#;

pub(crate) fn an_entry_is_profiled_once(engine: &Engine) {
    let script = "echo \"beside the script: $(ls ..)\"\necho 'performance: 3 x/s'";
    let entry = engine.entry(script, json!({}));
    entry.fixture.write("scripts/common/profiler.sh", PROFILER);
    let tool = json!({ "cmd": "sh ../scripts/common/profiler.sh", "env_vars": { "TRACED": "1" } });
    let tools = json!({ "tools": { "mine": tool } });
    entry.fixture.write("scripts/common/tools.json", tools.to_string());
    let ran = entry.mad(&["profile", &entry.name, "--tool", "mine", "--json"]).run().exits(0);
    let told = ran.json();
    assert_eq!(told["diagnosis"]["bottleneck"], "compute", "{told:#}");
    assert_eq!(told["diagnosis"]["hotspots"][0]["calls"], 200, "{told:#}");
    // Its number is told, and never counts.
    let measurement = entry.measurement();
    assert_eq!(measurement["engine"], "container");
    assert_eq!(measurement["executions"][0]["profiled"], true);
    assert!(!entry.fixture.path("perf.csv").exists());
    let run = entry.fixture.runs().pop().expect("a run");
    let traces = run.join(&entry.name).join("attempt-1/execution-1/profile/trace.json");
    assert_eq!(json_file(&traces)["schemaVersion"], 1);
    assert!(entry.log().contains("beside the script"), "{}", entry.log());
    entry.nothing_is_left();
    // What looks at processes of the host sees none of a container.
    let refused = entry.mad(&["profile", &entry.name, "--tool", "builtin"]).run().exits(4);
    refused.says(&["not of a container"]);
}
