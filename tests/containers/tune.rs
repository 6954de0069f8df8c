//! A lever in a container: what is changed and what is kept are in the directory that it sees.

use serde_json::{Value, json};

use crate::common::json_file;
use crate::engine::Engine;

pub(crate) fn a_lever_reaches_the_container(engine: &Engine) {
    let body = "n=100\n\
                if grep -q '^  cache: true' c.yml; then\n\
                    if [ -f warm.bin ]; then n=150; else n=1; echo >warm.bin; fi\n\
                fi\n\
                echo \"performance: $n tokens_per_second\"";
    let lever = json!({
        "name": "train.cache", "kind": "config", "file": "c.yml", "values": ["true"],
        "warmup": 1, "keep": ["*.bin"],
    });
    let entry = engine.entry(body, json!({ "tune": { "levers": [lever] } }));
    let directory = format!("scripts/{}", entry.name);
    let config = "train:\n  cache: false # slow at first\n";
    entry.fixture.write(&format!("{directory}/c.yml"), config);
    let args = ["tune-search", &entry.name, "--seed", "1"];
    engine.mad(&entry.fixture, &args).run().exits(0);
    let all = std::fs::read_dir(entry.fixture.path("mad/tunings")).expect("searches");
    let newest = all.map(|e| e.expect("an entry").path()).max().expect("a search");
    let record: Value = json_file(&newest.join("tuning.json"));
    assert_eq!(record["recommendation"]["changes"][0]["value"], "true", "{record:#}");
    let text = std::fs::read_to_string(entry.fixture.root().join(directory).join("c.yml"));
    assert_eq!(text.expect("the user's file"), config);
}
