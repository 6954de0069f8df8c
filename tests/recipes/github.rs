//! The workflows and the action for GitHub, by a runner that knows as much as they need.

use std::fs;

use regex::Regex;
use serde_json::Value;

use crate::workplace::{Step, Variables, Workplace, ci, variables, yaml};

/// What GitHub runs a step with `shell: bash` by.
const SHELL: [&str; 5] = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];
/// Where the workflows have the action from, whatever its version.
const ACTION: &str = "OWNER/mad-harness/ci/github@";

/// A job in progress.
struct Job<'a> {
    place: &'a Workplace,
    /// What expressions (`github.sha`) mean.
    known: Variables,
    variables: Variables,
    /// The first step that failed: its name and status.
    failed: Option<(String, i32)>,
    said: String,
}

/// Runs a job of a workflow to its end.
fn run<'a>(place: &'a Workplace, file: &str, job: &str, more: &[(&str, &str)]) -> Job<'a> {
    let workflow = yaml(file);
    let definition = &workflow["jobs"][job];
    let root = ci("..").canonicalize().expect("the repository");
    let known = [
        ("github.action_path", root.join("ci/github").display().to_string()),
        ("github.sha", "HEAD".to_owned()),
        ("github.token", "token".to_owned()),
        ("github.repository", "owner/name".to_owned()),
        ("github.event.pull_request.number", "17".to_owned()),
        ("github.actor", "ada".to_owned()),
        ("github.run_id", "42".to_owned()),
        ("github.ref_name", "main".to_owned()),
        ("inputs.tags", "gpu-smoke".to_owned()),
        ("inputs.why", "a \"new\" driver; $(touch pwned)".to_owned()),
        ("inputs.runs", "3".to_owned()),
    ];
    let mut job = Job {
        place,
        known: known.map(|(name, value)| (name.to_owned(), value)).into(),
        variables: Variables::new(),
        failed: None,
        said: String::new(),
    };
    for (name, value) in more {
        job.variables.insert((*name).to_owned(), (*value).to_owned());
    }
    for (name, value) in variables(&definition["env"]) {
        let value = job.expanded(&value);
        job.variables.insert(name, value);
    }
    for name in ["SUMMARY", "OUTPUT", "PATH"] {
        let file = place.fixture.path(&format!("github-{name}"));
        fs::write(&file, "").expect("a file");
        let variable =
            if name == "SUMMARY" { "GITHUB_STEP_SUMMARY" } else { &format!("GITHUB_{name}") };
        job.variables.insert(variable.to_owned(), file.display().to_string());
    }
    job.variables.insert("RUNNER_OS".to_owned(), "Linux".to_owned());
    job.variables.insert("RUNNER_ARCH".to_owned(), "X64".to_owned());
    job.steps(&definition["steps"]);
    job
}

impl Job<'_> {
    fn steps(&mut self, steps: &Value) {
        for step in steps.as_array().expect("steps") {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Value) {
        if !self.is_due(step["if"].as_str()) {
            return;
        }
        if let Some(uses) = step["uses"].as_str() {
            if uses.starts_with(ACTION) {
                return self.action(&variables(&step["with"]));
            }
            // What is not ours is a certain commit: a tag can be moved.
            let pinned = Regex::new(r"^actions/[a-z-]+@[0-9a-f]{40}$").expect("an expression");
            assert!(pinned.is_match(uses), "{uses} is no certain commit");
            return;
        }
        let script = step["run"].as_str().expect("a step runs or uses something");
        assert!(!script.contains("${{"), "what comes from outside must be a variable:\n{script}");
        assert_eq!(step["shell"], "bash", "{script}");
        let mut variables = self.variables.clone();
        for (name, value) in crate::workplace::variables(&step["env"]) {
            variables.insert(name, self.expanded(&value));
        }
        let added = self.written("PATH");
        let path = added.lines().rev().chain([self.place.variables["PATH"].as_str()]);
        variables.insert("PATH".to_owned(), path.collect::<Vec<_>>().join(":"));
        let Step { status, said } = self.place.run(&SHELL, script, &variables);
        self.said += &said;
        if status != 0 && self.failed.is_none() {
            let name = step["name"].as_str().expect("a name");
            self.failed = Some((name.to_owned(), status));
        }
        if let Some(id) = step["id"].as_str() {
            for line in self.written("OUTPUT").lines() {
                let (name, value) = line.split_once('=').expect("name=value");
                self.known.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
            }
        }
    }

    /// The composite action, with its inputs.
    fn action(&mut self, with: &Variables) {
        let action = yaml("github/action.yml");
        let before = self.known.clone();
        for (name, input) in action["inputs"].as_object().expect("inputs") {
            let default = input["default"].as_str().expect("a default").to_owned();
            let value = with.get(name).cloned().unwrap_or(default);
            self.known.insert(format!("inputs.{name}"), value);
        }
        for name in with.keys() {
            assert!(!action["inputs"][name].is_null(), "the action has no input {name}");
        }
        self.steps(&action["runs"]["steps"]);
        let outputs = self.known.iter().filter(|(name, _)| name.starts_with("steps."));
        self.known =
            before.into_iter().chain(outputs.map(|(n, v)| (n.clone(), v.clone()))).collect();
    }

    /// Whether a step with this condition runs; there are no others than these.
    fn is_due(&self, condition: Option<&str>) -> bool {
        let condition = condition.unwrap_or("success()");
        let bare = condition.trim_start_matches("${{").trim_end_matches("}}").trim();
        let in_any_case = bare.starts_with("always()") || bare.starts_with("!cancelled()");
        let holds = |term: &str| match term.trim() {
            "success()" | "always()" | "!cancelled()" => true,
            term => {
                let (name, value) = term
                    .split_once(" == ")
                    .map(|(name, value)| (name, (value, true)))
                    .or_else(|| term.split_once(" != ").map(|(n, v)| (n, (v, false))))
                    .unwrap_or_else(|| panic!("unknown condition {term}"));
                (self.known[name] == value.0.trim_matches('\'')) == value.1
            }
        };
        bare.split("&&").all(holds) && (in_any_case || self.failed.is_none())
    }

    /// `text` with the values of its expressions; all of them are known.
    fn expanded(&self, text: &str) -> String {
        let expression = Regex::new(r"\$\{\{\s*([^}]*?)\s*\}\}").expect("an expression");
        let value = |found: &regex::Captures<'_>| {
            let name = &found[1];
            self.known.get(name).unwrap_or_else(|| panic!("unknown expression {name}")).clone()
        };
        expression.replace_all(text, value).into_owned()
    }

    /// What steps wrote to one of GitHub's files.
    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.place.fixture.path(&format!("github-{name}"))).expect("a file")
    }

    fn fails(&self, step: &str, status: i32) {
        assert_eq!(self.failed, Some((step.to_owned(), status)), "{}", self.said);
    }

    fn passes(&self) {
        assert_eq!(self.failed, None, "{}", self.said);
    }
}

#[test]
fn validation_annotates_what_it_finds_and_runs_nothing() {
    let place = Workplace::new();
    place.fixture.write("scripts/gen/get_models_json.py", "open('pwned', 'w')\n");
    run(&place, "github/validate.yml", "validate", &[]).passes();
    assert!(!place.fixture.root().join("pwned").exists(), "a program of the change was run");
    place.fixture.write("models.json", r#"[{"name": "m", "scripts": "none.sh"}]"#);
    let job = run(&place, "github/validate.yml", "validate", &[]);
    job.fails("Validate", 1);
    assert!(job.said.contains("::error file=models.json,line=1"), "{}", job.said);
    assert_eq!(place.asked().lines().count(), 1, "installed once: {}", place.asked());
}

#[test]
fn quick_entries_run_on_a_hosted_machine() {
    let place = Workplace::new();
    let job = run(&place, "github/validate.yml", "smoke", &[]);
    job.passes();
    place.has_results("tok/s");
    assert!(job.written("SUMMARY").contains("tok/s"));
    let job = run(&place, "github/validate.yml", "smoke", &[("VALUE", "fail")]);
    job.fails("Measure and judge", 3);
}

#[test]
fn the_gate_tells_a_regression_from_everything_else() {
    let place = Workplace::new();
    let gate = |value: &str| run(&place, "github/gate.yml", "gate", &[("VALUE", value)]);
    let judged = "Measure and judge";
    let job = gate("100");
    job.fails(judged, 1);
    assert!(job.said.contains("::error title=No verdict::"), "{}", job.said);
    place.accept();
    let job = gate("100");
    job.passes();
    place.has_results("same");
    assert!(job.written("OUTPUT").ends_with("status=0\n"));
    for (value, status, title) in [("50", 5, "Performance regression"), ("fail", 3, "A run failed")]
    {
        let job = gate(value);
        job.fails(judged, status);
        assert!(job.said.contains(&format!("::error title={title}::")), "{}", job.said);
        // The report is there all the same.
        assert!(job.written("SUMMARY").starts_with("<!--"), "{}", job.written("SUMMARY"));
        assert!(job.written("OUTPUT").ends_with(&format!("status={status}\n")));
    }
    gate("50");
    place.has_results("regressed");
    assert!(place.asked().contains("selftest gate"));
    place.fixture.write("models.json", "[");
    let job = gate("100");
    job.fails(judged, 4);
    assert!(job.said.contains("::error title=Configuration::"), "{}", job.said);
    assert_eq!(job.written("SUMMARY"), "", "an earlier run is no answer");
    let other = r#"[{"name": "m", "scripts": "scripts/m", "tags": ["other"]}]"#;
    place.fixture.write("models.json", other);
    gate("100").fails(judged, 2);
}

#[test]
fn the_comment_is_the_report() {
    let place = Workplace::new();
    run(&place, "github/gate.yml", "comment", &[]).passes();
    assert_eq!(place.asked(), "", "there is no report");
    place.fixture.write("mad-report.md", "the report");
    run(&place, "github/gate.yml", "comment", &[]).passes();
    let comment = "gh pr comment 17 --edit-last --create-if-none --body-file mad-report.md";
    assert_eq!(place.asked().trim(), comment);
}

#[test]
fn baselines_come_by_a_pull_request() {
    let place = Workplace::new();
    place.accept();
    let job = run(&place, "github/baselines.yml", "measure", &[("VALUE", "80")]);
    job.passes();
    assert!(job.written("SUMMARY").contains("tok/s"));
    run(&place, "github/baselines.yml", "propose", &[]).passes();
    let proposed = place.git(&["ls-tree", "-r", "--name-only", "origin/mad-baselines-42"]);
    assert!(proposed.contains("baselines/") && proposed.contains("/m.json"), "{proposed}");
    let message = place.git(&["log", "-1", "--format=%B", "origin/mad-baselines-42"]);
    assert!(message.contains("a \"new\" driver; $(touch pwned)"), "{message}");
    assert!(place.asked().contains("gh pr create --base main --head mad-baselines-42"));
    assert!(!place.fixture.root().join("pwned").exists(), "a text was run");
    // A run that fails is nothing to accept.
    run(&place, "github/baselines.yml", "measure", &[("VALUE", "fail")]).fails("Measure", 3);
}

/// Nobody gets more rights than he needs, and strangers do not reach the machine.
#[test]
fn rights_are_few() {
    for name in ["validate", "gate", "baselines"] {
        let workflow = yaml(&format!("github/{name}.yml"));
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{name}");
        assert!(workflow["on"]["pull_request_target"].is_null());
        for (id, job) in workflow["jobs"].as_object().expect("jobs") {
            let own = job["runs-on"].is_array();
            assert!(!own || job["permissions"].is_null(), "{name}: {id} may write");
            assert!(!own || job["if"].is_string(), "{name}: {id} runs for everybody");
            assert!(job["timeout-minutes"].is_number(), "{name}: {id}");
        }
        let text = fs::read_to_string(ci(&format!("github/{name}.yml"))).expect("a file");
        assert!(!text.contains("secrets."), "{name}");
    }
}
