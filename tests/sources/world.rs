//! Repositories to fetch from, a cache to fetch into, and this program as another process.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mad_harness::credentials::Credentials;
use mad_harness::source::{Repository, Source};
use serde_json::json;
use tempfile::TempDir;

/// A temporary directory: `remote/` is served, `cache/` is ours.
pub struct World(TempDir);

impl World {
    pub fn new() -> World {
        let world = World(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(world.path("remote")).expect("a directory");
        world
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn remote(&self, name: &str) -> PathBuf {
        self.path("remote").join(name)
    }

    /// A repository with one commit.
    pub fn repository(&self, name: &str) -> PathBuf {
        let dir = self.remote(name);
        git(&self.path("remote"), &["init", "--quiet", "--initial-branch=main", name]);
        // Only the newest commits of branches are given away otherwise.
        git(&dir, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
        self.commit(name, "file", "one\n");
        dir
    }

    /// Commits a file; returns the commit.
    pub fn commit(&self, name: &str, file: &str, text: &str) -> String {
        let dir = self.remote(name);
        fs::write(dir.join(file), text).expect("a file");
        git(&dir, &["add", "--all"]);
        git(&dir, &["commit", "--quiet", "--message", text]);
        git(&dir, &["rev-parse", "HEAD"])
    }

    /// Makes what is at `url` a submodule; `from` is where it is now.
    pub fn submodule(&self, name: &str, path: &str, url: &str, from: &Path) -> String {
        let dir = self.remote(name);
        let from = from.to_str().expect("UTF-8");
        git(&dir, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from, path]);
        git(&dir, &["config", "--file", ".gitmodules", &format!("submodule.{path}.url"), url]);
        self.commit(name, "other", &format!("{path}\n"))
    }

    pub fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// The one clone in the cache.
    pub fn clone_dir(&self) -> PathBuf {
        let entries = fs::read_dir(self.cache().join("clones")).expect("clones").flatten();
        entries.map(|e| e.path()).find(|p| p.is_dir()).expect("a clone")
    }

    /// `credential.json` with one login, `x`.
    pub fn credentials(&self, fields: serde_json::Value) -> Credentials {
        let path = self.path("credential.json");
        fs::write(&path, json!({ "x": fields }).to_string()).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        Credentials::load(&self.path("")).expect("credentials")
    }

    /// Files that hold `text`, the served ones left out.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.path("")];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).expect("a directory").flatten() {
                let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
                if kind.is_dir() && path != self.path("remote") {
                    open.push(path);
                } else if kind.is_file() {
                    let content = fs::read(&path).unwrap_or_default();
                    if String::from_utf8_lossy(&content).contains(text) {
                        found.push(path);
                    }
                }
            }
        }
        found
    }

    /// This program as another process, which resolves `url` and writes the commit to
    /// standard output.
    pub fn elsewhere(&self, url: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args(["--exact", "another_process", "--nocapture", "--test-threads=1"])
            .env("SOURCES_URL", url)
            .env("SOURCES_DIR", self.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// `project` holds `sub dir/middle` by a relative URL, which holds `inner` by another. Returns
/// the commit.
pub fn nested(world: &World) -> String {
    world.repository("project");
    let (middle, inner) = (world.repository("middle.git"), world.repository("inner.git"));
    world.submodule("middle.git", "inner", "../inner.git", &inner);
    let commit = world.submodule("project", "sub dir/middle", "../middle.git", &middle);
    // Newer than what is measured.
    world.commit("middle.git", "file", "two\n");
    world.commit("inner.git", "file", "two\n");
    commit
}

/// What came of a resolve or a checkout.
pub struct Outcome<T> {
    pub result: anyhow::Result<(T, Vec<String>)>,
    pub log: String,
}

impl<T> Outcome<T> {
    /// What it is good for; there must be no warning.
    #[track_caller]
    pub fn good(self) -> T {
        let log = self.log;
        let (value, warnings) = self.result.unwrap_or_else(|e| panic!("{e:#}\n{log}"));
        assert_eq!(warnings, Vec::<String>::new());
        value
    }

    /// Its one warning.
    #[track_caller]
    pub fn warning(self) -> (T, String) {
        let (value, warnings) = self.result.expect("an outcome");
        let [warning] = <[String; 1]>::try_from(warnings).expect("one warning");
        assert!(self.log.contains(&format!("warning: {warning}")), "{}", self.log);
        (value, warning)
    }

    /// The message of its failure.
    #[track_caller]
    pub fn error(self) -> String {
        match self.result {
            Err(e) => format!("{e:#}"),
            Ok(_) => panic!("should have failed:\n{}", self.log),
        }
    }
}

pub fn never() -> bool {
    false
}

pub fn resolve(world: &World, repository: &Repository) -> Outcome<Source> {
    let mut log = Vec::new();
    let result = repository.resolve(&world.cache(), &mut log, &never);
    Outcome { result, log: text(log) }
}

/// Into the directory `into` of `world`, whose path is the outcome.
pub fn checkout(
    world: &World,
    repository: &Repository,
    source: &Source,
    into: &str,
) -> Outcome<PathBuf> {
    let (mut log, path) = (Vec::new(), world.path(into));
    let result = repository.checkout(&world.cache(), source, &path, &mut log, &never);
    Outcome { result: result.map(|warnings| (path, warnings)), log: text(log) }
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// The repository at a path or URL that needs no login.
pub fn open(url: impl AsRef<Path>) -> Repository {
    let url = url.as_ref().to_str().expect("UTF-8");
    Repository::new(url, None).unwrap_or_else(|e| panic!("{e:#}"))
}

/// git for the tests' own purposes; what it printed.
#[track_caller]
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|v| (v, "tester")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|v| (v, "tests@example.com")))
        .output()
        .expect("git");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
    text(output.stdout).trim_end().to_owned()
}

/// The text of a file.
#[track_caller]
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
