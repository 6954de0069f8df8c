//! `credential.json`: logins for registries, repositories and data stores.
//!
//! ```json
//! {
//!     "MY_GITHUB": { "username": "ci", "password": "…" },
//!     "gerrit.example.com": { "username": "ci", "ssh_key_file": "keys/id_ed25519" },
//!     "dockerhub": { "username": "ci", "password": "…", "repository": "example/ci" }
//! }
//! ```
//!
//! An entry names one by `cred`; registries are found by their host. The file is
//! optional, and no value of it is ever shown: everything that is not obviously public
//! is among the [`Credentials::secrets`], and `Debug` prints names alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::catalog::{Source, escape};
use crate::diagnostic::{Place, did_you_mean};

/// Name of the file, beside `models.json`.
pub const CREDENTIAL_FILE: &str = "credential.json";

/// The key of Docker Hub.
const DOCKER_HUB: &str = "dockerhub";

/// Fields whose last word is one of these are not secret.
const PUBLIC: [&str; 11] = [
    "USERNAME",
    "USER",
    "REPOSITORY",
    "REGISTRY",
    "ENDPOINT",
    "HOST",
    "PORT",
    "REGION",
    "BUCKET",
    "NAME",
    "FILE",
];

/// All logins there are.
#[derive(Clone, Default)]
pub struct Credentials {
    /// By key; `None` for a value that is no login, such as madengine's list `NAS_NODES`.
    logins: BTreeMap<String, Option<Credential>>,
    secrets: BTreeSet<String>,
    found: bool,
    warnings: Vec<String>,
}

/// One login: its fields by their names in upper case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    fields: BTreeMap<String, String>,
    /// Where a relative `ssh_key_file` starts.
    root: PathBuf,
}

impl Credentials {
    /// Reads `credential.json` below `root`, and lays `MAD_DOCKERHUB_USER`,
    /// `MAD_DOCKERHUB_PASSWORD` and `MAD_DOCKERHUB_REPO` of the environment over its key
    /// `dockerhub`. Without a file there is only the latter, if that.
    ///
    /// # Errors
    /// When the file cannot be read, is not an object, or gives a field twice. No message
    /// holds a value.
    pub fn load(root: &Path) -> Result<Credentials> {
        Credentials::read(root, &|name| std::env::var(name).ok())
    }

    fn read(root: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Credentials> {
        let mut credentials = Credentials::default();
        let path = root.join(CREDENTIAL_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                credentials.found = true;
                credentials.parse(root, text)?;
                credentials.check_permissions(&path)?;
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
        credentials.docker_hub(env);
        Ok(credentials)
    }

    fn parse(&mut self, root: &Path, text: String) -> Result<()> {
        let source = Source::new(CREDENTIAL_FILE, text);
        // Syntax errors alone can happen here, and their messages hold no values.
        let value: Value = serde_json::from_str(&source.text).map_err(|e| {
            let mut place = Place::file(CREDENTIAL_FILE);
            (place.line, place.column) = (e.line(), e.column());
            let message = e.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            anyhow!("{place}: this is not valid JSON: {message}")
        })?;
        let Value::Object(keys) = value else {
            bail!(
                "{}: the file must be an object of logins: \
                 `{{ \"<name>\": {{ \"username\": …, \"password\": … }} }}`",
                source.place("")
            );
        };
        for (key, value) in keys {
            hide(&key, &value, &mut self.secrets);
            let login = match value {
                Value::Object(fields) => {
                    let mut login = Credential { root: root.to_owned(), ..Credential::default() };
                    for (field, text) in crate::options::text_items(&fields) {
                        let name = field.to_ascii_uppercase();
                        if login.fields.insert(name, text).is_some() {
                            let place = format!("/{}/{}", escape(&key), escape(&field));
                            let place = source.key_place(&place);
                            bail!("{place}: `{key}` has the field `{field}` twice; remove one");
                        }
                    }
                    Some(login)
                }
                _ => None,
            };
            self.logins.insert(key, login);
        }
        Ok(())
    }

    fn check_permissions(&mut self, path: &Path) -> Result<()> {
        let mode = fs::metadata(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .permissions()
            .mode();
        if mode & 0o044 != 0 && !self.secrets.is_empty() {
            self.warnings.push(format!(
                "{CREDENTIAL_FILE} holds secrets and can be read by other users (mode {:04o}): \
                 `chmod 600 {}`",
                mode & 0o7777,
                path.display()
            ));
        }
        Ok(())
    }

    fn docker_hub(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let (user, password) = (env("MAD_DOCKERHUB_USER"), env("MAD_DOCKERHUB_PASSWORD"));
        self.secrets.extend(password.clone());
        let (username, password) = match (user, password) {
            (Some(user), Some(password)) => (user, password),
            (None, None) => return,
            (user, _) => {
                let (set, missing) = match user {
                    Some(_) => ("MAD_DOCKERHUB_USER", "MAD_DOCKERHUB_PASSWORD"),
                    None => ("MAD_DOCKERHUB_PASSWORD", "MAD_DOCKERHUB_USER"),
                };
                self.warnings.push(format!("{set} means nothing without {missing}"));
                return;
            }
        };
        let mut fields =
            BTreeMap::from([("USERNAME".to_owned(), username), ("PASSWORD".to_owned(), password)]);
        fields.extend(env("MAD_DOCKERHUB_REPO").map(|repo| ("REPOSITORY".to_owned(), repo)));
        let login = Credential { fields, ..Credential::default() };
        self.logins.insert(DOCKER_HUB.to_owned(), Some(login));
    }

    /// Whether there is a `credential.json`.
    pub fn found(&self) -> bool {
        self.found
    }

    /// What the user should know about the file and the environment.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The login of this key.
    pub fn get(&self, name: &str) -> Option<&Credential> {
        self.logins.get(name)?.as_ref()
    }

    /// The login that an entry names by `cred`; `None` if there is no `credential.json`
    /// at all, which madengine passes over too.
    ///
    /// # Errors
    /// When there is a file, and it has no such login.
    pub fn of_entry(&self, cred: &str) -> Result<Option<&Credential>> {
        match self.logins.get(cred) {
            Some(Some(login)) => Ok(Some(login)),
            Some(None) => bail!("`{cred}` in {CREDENTIAL_FILE} is no object, so it is no login"),
            None if !self.found => Ok(None),
            None => {
                let known: Vec<&str> = self.names().collect();
                let help = match did_you_mean(cred, self.names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "it has none".to_owned(),
                    None => format!("it has {}", known.join(", ")),
                };
                bail!("{CREDENTIAL_FILE} has no login `{cred}`; {help}")
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.logins.iter().filter(|(_, login)| login.is_some()).map(|(name, _)| name.as_str())
    }

    /// Every value that must not be seen: all texts and numbers of the file that are not
    /// obviously public (user names, hosts, …), at any depth, and the password of the
    /// environment.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// The registry of an image reference (`docker.io` if it names none), and the login
    /// with user name and password for it, if there is one.
    pub fn registry_login(&self, image: &str) -> Option<(String, &Credential)> {
        let registry = registry(image);
        let fits = |key: &str| match registry.as_str() {
            "docker.io" => key == DOCKER_HUB || host(key) == "docker.io",
            registry => host(key) == registry,
        };
        // First the key that the environment overrides.
        let docker_hub = self.get(DOCKER_HUB).filter(|_| fits(DOCKER_HUB));
        let by_host = self.logins.iter().filter(|(key, _)| fits(key));
        let login = docker_hub
            .into_iter()
            .chain(by_host.filter_map(|(_, login)| login.as_ref()))
            .find(|login| login.username().is_some() && login.password().is_some())?;
        Some((registry, login))
    }
}

/// The host that an image comes from, as Docker reads references: the part before the
/// first `/`, if it looks like one.
fn registry(image: &str) -> String {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => host(first),
        _ => "docker.io".to_owned(),
    }
}

/// The host in the key of a registry, which people also write as a URL or with a path.
fn host(key: &str) -> String {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = key.split('/').next().unwrap_or_default().to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => {
            "docker.io".to_owned()
        }
        _ => host,
    }
}

/// Adds the secrets in `value`, the field `name`, to `secrets`.
fn hide(name: &str, value: &Value, secrets: &mut BTreeSet<String>) {
    let text = match value {
        Value::Object(fields) => {
            return fields.iter().for_each(|(name, value)| hide(name, value, secrets));
        }
        Value::Array(items) => return items.iter().for_each(|item| hide(name, item, secrets)),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(_) | Value::Null => return,
    };
    let last = name.rsplit(['_', '-']).next().unwrap_or_default().to_ascii_uppercase();
    // An endpoint may be a URL with a password in it.
    let holds_password = text.contains("://") && text.contains('@');
    if !PUBLIC.contains(&last.as_str()) || holds_password {
        secrets.insert(text);
    }
}

impl Credential {
    /// Fields by their names in upper case, for the variables `<cred>_<FIELD>`. Fields
    /// that are no text, number or truth value are left out.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The field of this name, in upper case; one that is empty does not count.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Who logs in.
    pub fn username(&self) -> Option<&str> {
        self.field("USERNAME")
    }

    /// The password, or a token in its place.
    pub fn password(&self) -> Option<&str> {
        self.field("PASSWORD")
    }

    /// The private key for SSH; `~/` and paths relative to the catalog's root are
    /// resolved.
    pub fn ssh_key_file(&self) -> Option<PathBuf> {
        let file = self.field("SSH_KEY_FILE")?;
        let home = std::env::home_dir();
        Some(match (file.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.root.join(file),
        })
    }

    /// The repository of a registry that images are pushed to.
    pub fn repository(&self) -> Option<&str> {
        self.field("REPOSITORY")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("logins", &self.logins).finish_non_exhaustive()
    }
}

/// Names of the fields alone.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
