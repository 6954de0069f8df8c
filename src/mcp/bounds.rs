//! What arguments of tools may name: nothing outside the catalog and the run directory, and no
//! program.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// The directories that a server is bound to, for as long as it lives.
pub(super) struct Bounds {
    /// The catalog, where every command runs.
    pub(super) root: PathBuf,
    /// Where runs and records go.
    pub(super) run_dir: PathBuf,
}

/// Keys of the context that choose among what the catalog has. All others say what else to run,
/// where, or what to mount.
const KEYS: [&str; 7] = [
    "docker_cpus",
    "docker_env_vars",
    "docker_gpus",
    "env_vars",
    "gpu_vendor",
    "guest_os",
    "model_args",
];

/// Variables that make a shell, an interpreter, the linker or git run or load something, by
/// the beginnings of their names.
const LOADING: [&str; 25] = [
    "AUDIT",
    "BASH",
    "CUDA_INJECTION",
    "DYLD_",
    "EDITOR",
    "ENV",
    "GCONV",
    "GIT_",
    "GLIBC",
    "HSA_TOOLS",
    "IFS",
    "JAVA",
    "LD_",
    "LUA",
    "NODE",
    "PAGER",
    "PATH",
    "PERL",
    "PROMPT",
    "PS4",
    "PYTHON",
    "RUBY",
    "SHELL",
    "SSH_",
    "VISUAL",
];

impl Bounds {
    /// Those of the catalog in `root`; runs are below it, unless `run_dir` says otherwise.
    pub(super) fn new(root: &Path, run_dir: Option<&Path>) -> Result<Bounds> {
        let root = root
            .canonicalize()
            .with_context(|| format!("--root {}: no such directory", root.display()))?;
        ensure!(root.is_dir(), "--root {} is no directory", root.display());
        let run_dir = match run_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => root.join("target/mad"),
        };
        ensure!(run_dir.to_str().is_some(), "the run directory {run_dir:?} is no text");
        Ok(Bounds { root, run_dir })
    }

    /// Where the file or directory `path` really is, which exists below one of the directories.
    /// A relative path is one of the catalog.
    pub(super) fn inside(&self, path: &str) -> Result<String> {
        let refused = || {
            format!(
                "{path:?} is not below the catalog {} or the run directory {}",
                self.root.display(),
                self.run_dir.display()
            )
        };
        let up = Path::new(path).components().any(|c| c == Component::ParentDir);
        ensure!(!up, "{}: `..` is not allowed", refused());
        let asked = self.root.join(path);
        let below = |path: &Path| {
            // It may not exist before the first run.
            let run_dir = self.run_dir.canonicalize();
            path.starts_with(&self.root) || run_dir.is_ok_and(|dir| path.starts_with(dir))
        };
        let named_below = asked.starts_with(&self.root) || asked.starts_with(&self.run_dir);
        let real = match asked.canonicalize() {
            Ok(real) if below(&real) => real,
            Ok(_) if named_below => bail!("{}: a symbolic link leads out", refused()),
            Err(e) if named_below => return Err(e).context(format!("{path:?} cannot be read")),
            // Of what is elsewhere nobody learns whether it exists.
            Ok(_) | Err(_) => bail!(refused()),
        };
        let real = real.into_os_string().into_string();
        real.ok().with_context(|| format!("{path:?} leads to a path that is no text"))
    }

    /// Results: `latest`, the id of a run, or a path below the directories.
    pub(super) fn results(&self, name: &str) -> Result<String> {
        if ["latest", "latest-tuning"].contains(&name) {
            return Ok(name.to_owned());
        }
        let places = ["runs", "tunings"].iter().map(|kind| self.run_dir.join(kind).join(name));
        let place = places.into_iter().find(|place| is_id(name) && place.is_dir());
        match place.as_deref().and_then(Path::to_str) {
            Some(place) => self.inside(place),
            None => self.inside(name),
        }
    }

    /// The id of a search: a word, no path.
    ///
    /// # Errors
    /// When it is a path.
    pub(super) fn search<'n>(&self, id: &'n str) -> Result<&'n str> {
        ensure!(is_id(id), "resume: the id of a search, not {id:?}");
        Ok(id)
    }

    /// The context as the command reads it.
    pub(super) fn context(&self, context: &Map<String, Value>) -> Result<String> {
        for (key, value) in context {
            ensure!(
                KEYS.contains(&key.as_str()),
                "the key {key:?} of a context is not allowed here; these are: {}",
                KEYS.join(", ")
            );
            match (key.as_str(), value) {
                ("env_vars" | "docker_env_vars", Value::Object(variables)) => {
                    variables.iter().try_for_each(|(name, value)| variable(name, value))?;
                }
                ("env_vars" | "docker_env_vars", _) => bail!("{key} must be an object"),
                (_, Value::String(text)) => word(text)?,
                (_, Value::Number(_)) => {}
                _ => bail!("{key} must be a string"),
            }
        }
        Ok(Value::Object(context.clone()).to_string())
    }
}

/// A variable that a script may be given: a setting, and nothing that makes another program run.
fn variable(name: &str, value: &Value) -> Result<()> {
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    ensure!(!name.is_empty() && name.chars().all(upper), "{name:?} is no name of a variable");
    ensure!(
        !LOADING.iter().any(|l| name.starts_with(l)),
        "the variable {name} is not allowed here: it can make other programs run"
    );
    match value {
        Value::String(text) => word(text).with_context(|| format!("the variable {name}")),
        Value::Number(_) | Value::Bool(_) => Ok(()),
        _ => bail!("the variable {name} must be a string"),
    }
}

/// Text that reaches a script: nothing a shell would run, and no path outside its directory.
pub(super) fn word(text: &str) -> Result<()> {
    let special = |c: char| c.is_control() || "$`;&|<>(){}\\\"'*?!#".contains(c);
    ensure!(!text.contains(special), "{text:?}: special characters of shells are not allowed");
    let apart = |c: char| c.is_whitespace() || ":=,".contains(c);
    for part in text.split(apart) {
        let out = part.starts_with(['/', '~']) || part.split('/').any(|p| p == "..");
        ensure!(!out, "{text:?} names a path outside the catalog");
    }
    Ok(())
}

/// Whether it is one plain word of a path.
fn is_id(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
}
