//! Logging in to a registry for one pull or build, without touching the user's own logins.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::credentials::Credentials;

/// How the clients call Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A login that the client finds through its environment; gone when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Login {
    dir: Option<PathBuf>,
}

impl Login {
    /// The login for the registry of `image` in `credentials`, if there is one, written
    /// below `dir` for this user alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn new(credentials: &Credentials, image: &str, dir: &Path) -> Result<Login> {
        let Some((registry, login)) = credentials.registry_login(image) else {
            return Ok(Login::default());
        };
        let (user, password) =
            (login.username().unwrap_or_default(), login.password().unwrap_or_default());
        let registry = if registry == "docker.io" { DOCKER_HUB } else { &registry };
        let auth = json!({ "auth": STANDARD.encode(format!("{user}:{password}")) });
        let dir = dir.join("login");
        write(&dir, registry, &auth)
            .with_context(|| format!("cannot write the login for {registry}"))?;
        Ok(Login { dir: Some(dir) })
    }

    /// Variables for the client: Docker's and Podman's.
    pub(super) fn environment(&self) -> Vec<(String, Option<String>)> {
        let Some(dir) = &self.dir else { return Vec::new() };
        let text = |path: PathBuf| Some(path.display().to_string());
        vec![
            ("DOCKER_CONFIG".to_owned(), text(dir.clone())),
            ("REGISTRY_AUTH_FILE".to_owned(), text(dir.join("config.json"))),
        ]
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir {
            // It holds links and one file; nothing else is lost with it.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Writes a configuration that is the user's own but for this login.
fn write(dir: &Path, registry: &str, auth: &Value) -> Result<()> {
    let users = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".docker")));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut config = Map::new();
    for entry in users.iter().flat_map(fs::read_dir).flatten().flatten() {
        if entry.file_name() == "config.json" {
            let text = fs::read(entry.path())?;
            config = serde_json::from_slice(&text).unwrap_or_default();
        } else {
            // Contexts and plug-ins stay what they are.
            match symlink(entry.path(), dir.join(entry.file_name())) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e.into()),
                _ => {}
            }
        }
    }
    // A store of credentials would win over the login in the file.
    config.remove("credsStore");
    if let Some(helpers) = config.get_mut("credHelpers").and_then(Value::as_object_mut) {
        helpers.remove(registry);
    }
    let logins = config.entry("auths").or_insert_with(|| json!({}));
    logins[registry] = auth.clone();
    let path = dir.join("config.json");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(Value::from(config).to_string().as_bytes())?;
    Ok(())
}
