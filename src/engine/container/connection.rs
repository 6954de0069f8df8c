//! Which container engine answers on this host.

use std::sync::OnceLock;

use serde_json::Value;

use super::cli::{ANSWER_LIMIT, Cli};
use crate::options::ContainerProgram;

/// A container engine that answers.
#[derive(Clone, Debug)]
pub struct Containers {
    /// How it is reached.
    pub cli: Cli,
    /// Which one it is; `docker` may be Podman under another name.
    pub kind: Kind,
    /// Version of the client.
    pub version: String,
    /// Whether nobody asked: the engine of a host that is only described.
    assumed: bool,
}

/// The engines that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client and a daemon.
    Docker,
    /// No daemon.
    Podman,
}

impl Containers {
    /// The engine that `wanted` means on this host, asked once per process.
    ///
    /// # Errors
    /// When none answers: what each of them said.
    pub fn here(wanted: ContainerProgram) -> &'static Result<Containers, String> {
        static FOUND: [OnceLock<Result<Containers, String>>; 3] = [const { OnceLock::new() }; 3];
        FOUND[wanted as usize].get_or_init(|| {
            let programs: &[&str] = match wanted {
                ContainerProgram::Auto => &["docker", "podman"],
                ContainerProgram::Docker => &["docker"],
                ContainerProgram::Podman => &["podman"],
            };
            let mut said = Vec::new();
            for program in programs {
                match Containers::reach(program) {
                    Ok(containers) => return Ok(containers),
                    Err(why) => said.push(why),
                }
            }
            Err(said.join("; "))
        })
    }

    /// The engine of a host that is only described: the one that was asked for, else Docker,
    /// with a builder that can keep secrets.
    pub(super) fn assumed(wanted: ContainerProgram) -> Containers {
        let (program, kind) = match wanted {
            ContainerProgram::Auto | ContainerProgram::Docker => ("docker", Kind::Docker),
            ContainerProgram::Podman => ("podman", Kind::Podman),
        };
        Containers { cli: Cli::new(program), kind, version: String::new(), assumed: true }
    }

    /// All engines of this host that answer, and what those said that are installed and do
    /// not.
    pub fn all() -> (Vec<&'static Containers>, Vec<String>) {
        let (mut found, mut silent) = (Vec::<&Containers>::new(), Vec::new());
        for (program, wanted) in
            [("docker", ContainerProgram::Docker), ("podman", ContainerProgram::Podman)]
        {
            match Containers::here(wanted) {
                // `docker` may have been Podman under another name.
                Ok(engine) if found.iter().all(|other| other.kind != engine.kind) => {
                    found.push(engine);
                }
                Ok(_) => {}
                Err(why) if is_installed(program) => silent.push(why.clone()),
                Err(_) => {}
            }
        }
        (found, silent)
    }

    fn reach(program: &str) -> Result<Containers, String> {
        let cli = Cli::new(program);
        let answer = cli.ask(&["version", "--format", "{{json .}}"], ANSWER_LIMIT);
        let text = answer.map_err(|e| e.to_string().replace('\n', " "))?;
        let value: Value =
            serde_json::from_str(&text).map_err(|e| format!("{program} version: {e}: {text}"))?;
        let version = value["Client"]["Version"].as_str().unwrap_or_default().to_owned();
        // Docker's client lists the parts of its daemon. Podman, also under Docker's name,
        // answers for itself, or for one of its own that is elsewhere.
        let docker = value["Server"]["Components"].is_array();
        let kind = if docker { Kind::Docker } else { Kind::Podman };
        Ok(Containers { cli, kind, version, assumed: false })
    }

    /// The variables that switch on BuildKit, the builder that can keep secrets; `None`
    /// if there is none. Podman's builder can, too.
    pub(super) fn buildkit(&self) -> Option<&'static [(&'static str, &'static str)]> {
        if self.kind == Kind::Podman {
            return Some(&[]);
        }
        static BUILDX: OnceLock<bool> = OnceLock::new();
        let major: u32 = self.version.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        // From 23 on the client builds through its plug-in `buildx` alone.
        let there = self.assumed
            || major < 23
            || *BUILDX.get_or_init(|| self.cli.ask(&["buildx", "version"], ANSWER_LIMIT).is_ok());
        there.then_some(&[("DOCKER_BUILDKIT", "1")])
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
