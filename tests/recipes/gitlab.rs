//! The recipe for GitLab: `before_script` and `script` in one shell, `after_script` in another.

use serde_json::{Map, Value};

use crate::workplace::{Step, Variables, Workplace, variables, yaml};

/// GitLab's shell has these options.
const SHELL: [&str; 3] = ["bash", "-eo", "pipefail"];

/// A job with what it extends.
fn job(recipe: &Value, name: &str) -> Map<String, Value> {
    let own = recipe[name].as_object().unwrap_or_else(|| panic!("no job {name}"));
    let Some(base) = own.get("extends").and_then(Value::as_str) else { return own.clone() };
    let mut job = job(recipe, base);
    for (key, value) in own {
        match (job.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(own)) => base.extend(own.clone()),
            _ => {
                job.insert(key.clone(), value.clone());
            }
        }
    }
    job
}

fn lines(job: &Map<String, Value>, key: &str) -> String {
    let lines = job.get(key).and_then(Value::as_array);
    let lines = lines.into_iter().flatten().map(|line| line.as_str().expect("a line"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Runs a job: how its script ended, with what both shells said.
fn run(place: &Workplace, name: &str, more: &[(&str, &str)]) -> Step {
    let recipe = yaml("gitlab/mad.gitlab-ci.yml");
    let job = job(&recipe, name);
    let root = place.fixture.root().display().to_string();
    let predefined = [
        ("CI_PROJECT_DIR", root.as_str()),
        ("CI_PROJECT_URL", "../remote"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_PIPELINE_ID", "42"),
        ("GITLAB_USER_NAME", "ada"),
        ("GITLAB_USER_EMAIL", "ada@example.com"),
        ("MAD_PUSH_TOKEN", "glpat-secret"),
    ];
    let mut all: Variables =
        predefined.iter().chain(more).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    for given in [&recipe["variables"], &job.get("variables").cloned().unwrap_or_default()] {
        for (name, value) in variables(given) {
            let value = value.replace("$CI_PROJECT_DIR", &root);
            all.entry(name).or_insert(value);
        }
    }
    let script = lines(&job, "before_script") + &lines(&job, "script");
    let mut step = place.run(&SHELL, &script, &all);
    let after = lines(&job, "after_script");
    let after = place.run(&SHELL, &after, &all);
    step.said += &after.said;
    assert_eq!(after.status, 0, "{}", step.said);
    step
}

#[track_caller]
fn ends(step: Step, status: i32) -> String {
    assert_eq!(step.status, status, "{}", step.said);
    step.said
}

#[test]
fn validation_runs_nothing_of_the_change() {
    let place = Workplace::new();
    place.fixture.write("scripts/gen/get_models_json.py", "open('pwned', 'w')\n");
    ends(run(&place, "validate", &[]), 0);
    assert!(!place.fixture.root().join("pwned").exists(), "a program of the change was run");
    place.fixture.write("models.json", r#"[{"name": "m", "scripts": "none.sh"}]"#);
    ends(run(&place, "validate", &[]), 1);
}

#[test]
fn the_gate_ends_with_its_status_and_leaves_its_results() {
    let place = Workplace::new();
    let gate = |value: &str| run(&place, "gate", &[("VALUE", value)]);
    ends(gate("100"), 1);
    place.accept();
    ends(gate("100"), 0);
    place.has_results("same");
    ends(gate("fail"), 3);
    ends(gate("50"), 5);
    place.has_results("regressed");
    assert!(place.file("mad-report.md").contains("biggest regression"));
    assert!(place.asked().contains("cargo install --locked --git https://git.example.com/"));
    assert!(place.asked().contains("selftest gate"));
}

#[test]
fn baselines_come_by_a_merge_request() {
    let place = Workplace::new();
    // What the entry sees is what it reports; the token must not be in it.
    let script =
        "if [ -n \"${MAD_PUSH_TOKEN:-}\" ]; then exit 9; fi\necho performance: 100 tok/s\n";
    place.fixture.write("scripts/m/run.sh", script);
    // A bare repository knows push options only if told.
    place.git(&["--git-dir=../remote.git", "config", "receive.advertisePushOptions", "true"]);
    let said = ends(run(&place, "baselines", &[]), 0);
    assert!(!said.contains("glpat-secret"), "{said}");
    let branch = ["--git-dir=../remote.git", "ls-tree", "-r", "--name-only", "mad-baselines-42"];
    let proposed = place.git(&branch);
    assert!(proposed.contains("baselines/") && proposed.contains("/m.json"), "{proposed}");
}
