//! Many runs of one entry, made from the records of a real one.

use std::fs;
use std::path::PathBuf;

use mad_harness::slug::slug;
use serde_json::{Value, json};

use super::{Fixture, Ran};

/// Reports `$VALUE`, or fails without one.
pub const SCRIPT: &str =
    "[ -n \"${VALUE:-}\" ] || exit 7\necho \"performance: $VALUE ${UNIT:-tok/s}\"";

/// Many runs of one entry, made from the records of a real one: what the n-th measured, none
/// where it failed.
pub struct Past {
    pub fixture: Fixture,
    pub run: Value,
    measurement: Value,
}

impl Past {
    pub fn new() -> Past {
        let fixture = Fixture::with("m", SCRIPT);
        fixture.mad(&["benchmark"]).env("VALUE", "1").run().exits(0);
        let run = fixture.record("run.json");
        let measurement = fixture.record("m/attempt-1/measurement.json");
        fs::remove_dir_all(fixture.path("mad/runs")).expect("the real run goes");
        Past { fixture, run, measurement }
    }

    /// One run per value, a day apart.
    pub fn of(values: &[Option<f64>]) -> Past {
        let past = Past::new();
        for (i, value) in values.iter().enumerate() {
            past.add(i, *value, |_| ());
        }
        past
    }

    /// The n-th run, after a change to its measurement.
    pub fn add(&self, n: usize, value: Option<f64>, change: impl Fn(&mut Value)) {
        let started = format!("2026-{:02}-{:02}T03:00:00Z", 1 + n / 28, 1 + n % 28);
        let id = format!("night-{n:04}");
        let mut run = self.run.clone();
        run["id"] = json!(id);
        run["started"] = json!(started);
        let mut m = self.measurement.clone();
        m["run"] = json!(id);
        m["started"] = json!(started);
        m["machine_class"] = json!("quiet-box");
        m["executions"][0]["started"] = json!(started);
        m["provenance"]["commit"] = json!(format!("c0ffee{:04}{:030}", n / 10, 0));
        match value {
            Some(value) => m["executions"][0]["samples"][0]["value"] = json!(value),
            None => {
                m["failure"] = json!("exit status 7");
                m["executions"][0]["failure"] = json!("exit status 7");
                m["executions"][0]["samples"] = json!([]);
            }
        }
        change(&mut m);
        let dir = self.dir(n).join(slug(m["id"].as_str().expect("an id"))).join("attempt-1");
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("measurement.json"), m.to_string()).expect("a record");
        fs::write(self.dir(n).join("run.json"), run.to_string()).expect("a record");
    }

    pub fn dir(&self, n: usize) -> PathBuf {
        self.fixture.path(&format!("mad/runs/night-{n:04}"))
    }

    pub fn ask(&self, args: &[&str]) -> Ran {
        let args: Vec<&str> = ["history"].iter().chain(args).copied().collect();
        self.fixture.mad(&args).run()
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        self.ask(&args).exits(0).json()
    }
}

/// Values around a level that stay within 2 %, without a pattern.
pub fn noise(n: usize) -> f64 {
    1.0 + ((n * n * 31 + n * 17) % 41) as f64 / 1000.0 - 0.02
}

/// A step down after 40 of 60 runs, and a few that failed.
pub fn stepped() -> Vec<Option<f64>> {
    let level = |n| if n < 40 { 100.0 } else { 90.0 };
    (0..60).map(|n| (n % 17 != 9).then(|| level(n) * noise(n))).collect()
}
