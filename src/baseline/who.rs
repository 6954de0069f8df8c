//! Who accepts numbers.

use std::path::Path;
use std::process::{Command, Stdio};

/// Variables of CI systems that name who started the job: GitHub and Gitea, GitLab, Jenkins
/// (with its plugin "build user vars"), Azure, CircleCI, Buildkite.
const ACTORS: [&str; 6] = [
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BUILD_USER_ID",
    "BUILD_REQUESTEDFOR",
    "CIRCLE_USERNAME",
    "BUILDKITE_BUILD_CREATOR",
];

/// Variables that say that this is a job of a CI system.
const JOBS: [&str; 6] =
    ["CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "TF_BUILD", "BUILDKITE"];

/// Whether this is a job of a CI system.
pub fn in_ci() -> bool {
    said_to_be_ci(&variable)
}

/// Who is at the keyboard, or started the job: the CI system's answer in a job, git's for the
/// repository at `root` elsewhere, the operating system's otherwise.
pub fn who(root: &Path) -> String {
    if in_ci() {
        return actor(&variable);
    }
    let system = || variable("USER").or_else(|| variable("LOGNAME"));
    git_user(root).or_else(system).unwrap_or_else(|| "unknown".to_owned())
}

fn said_to_be_ci(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    JOBS.iter().any(|name| variable(name).is_some_and(|v| v != "false" && v != "0"))
}

fn actor(variable: &dyn Fn(&str) -> Option<String>) -> String {
    match ACTORS.iter().find_map(|name| variable(name)) {
        Some(actor) => format!("{actor} (CI)"),
        None => "CI".to_owned(),
    }
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

fn git_user(root: &Path) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["config", "user.name"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who it is where these variables are set; none outside of CI.
    fn told(set: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        said_to_be_ci(&variable).then(|| actor(&variable))
    }

    #[test]
    fn ci_systems_name_who_started_a_job() {
        assert_eq!(told(&[("USER", "ada")]), None);
        assert_eq!(told(&[("CI", "false")]), None);
        assert_eq!(told(&[("CI", "true")]).as_deref(), Some("CI"));
        let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_ACTOR", "ada")];
        assert_eq!(told(&github).as_deref(), Some("ada (CI)"));
        let gitlab = [("CI", "1"), ("GITLAB_USER_LOGIN", "grace")];
        assert_eq!(told(&gitlab).as_deref(), Some("grace (CI)"));
        let jenkins = [("JENKINS_URL", "http://ci/"), ("BUILD_USER_ID", "alan")];
        assert_eq!(told(&jenkins).as_deref(), Some("alan (CI)"));
    }
}
