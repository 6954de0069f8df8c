//! How git is given a login: by the environment of one child, never on a command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::url::{Url, UserInfo};
use crate::credentials::Credential;

/// What git runs for ssh.
const SSH: &str = "GIT_SSH_COMMAND";
/// Variables that the credential helper below reads.
const USERNAME: &str = "MAD_GIT_USERNAME";
const PASSWORD: &str = "MAD_GIT_PASSWORD";

/// A credential helper as git takes it: constant text, so that no secret is in it.
const HELPER: &str = "!f() { if test \"$1\" = get; then \
    printf 'username=%s\\npassword=%s\\n' \"$MAD_GIT_USERNAME\" \"$MAD_GIT_PASSWORD\"; fi; }; f";

/// What is shown to the server of one URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// For http and https.
    Password { username: String, password: String },
    /// A private key, and who logs in if the URL does not say.
    Key { file: PathBuf, user: Option<String> },
}

impl Login {
    /// The login for `url`, if there is one of a kind that it takes: a credential may be
    /// meant for the script alone.
    pub(super) fn choose(
        url: &Url,
        in_url: Option<UserInfo>,
        credential: Option<&Credential>,
    ) -> Result<Option<Login>> {
        let login = if url.http_server().is_some() {
            let given = credential.and_then(|c| {
                Some((c.username().unwrap_or_default().to_owned(), c.password()?.to_owned()))
            });
            given.or(in_url).map(|(username, password)| Login::Password { username, password })
        } else if url.ssh_user().is_some() {
            let key = credential.and_then(|c| Some((c.ssh_key_file()?, c.username())));
            key.map(|(file, user)| Login::Key { file, user: user.map(str::to_owned) })
        } else {
            None
        };
        match &login {
            Some(Login::Password { username, password }) => ensure!(
                !format!("{username}{password}").contains(['\n', '\r', '\0']),
                "the user name or the password for {url} has a line break in it, which git \
                 does not take"
            ),
            Some(Login::Key { file, .. }) => ensure!(
                file.is_file(),
                "the ssh_key_file {} for {url} is not there",
                file.display()
            ),
            None => {}
        }
        Ok(login)
    }

    /// Values that must not be seen.
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Login::Password { password, .. } => vec![password.clone()],
            Login::Key { .. } => Vec::new(),
        }
    }

    /// Configuration that makes git ask for the login at `url`, and there alone: a
    /// redirection or a submodule elsewhere must not get it.
    pub(super) fn config(&self, url: &Url) -> Vec<(String, String)> {
        match (self, url.http_server()) {
            (Login::Password { .. }, Some(server)) => {
                let key = format!("credential.{server}.helper");
                // The empty one takes away the user's helpers, of which one might remember.
                vec![(key.clone(), String::new()), (key, HELPER.to_owned())]
            }
            _ => Vec::new(),
        }
    }

    /// Variables of the child that is given the login.
    pub(super) fn environment(&self, url: &Url) -> Vec<(&'static str, String)> {
        match self {
            Login::Password { username, password } => {
                vec![(USERNAME, username.clone()), (PASSWORD, password.clone())]
            }
            Login::Key { file, user } => {
                let user = user.as_deref().filter(|_| url.ssh_user() == Some(false));
                let program = ssh_program().unwrap_or_else(|| "ssh".to_owned());
                vec![(SSH, ssh_command(&program, Some((file, user))))]
            }
        }
    }
}

/// Says what it is, and shows nothing.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Login::Password { .. } => "Password",
            Login::Key { .. } => "Key",
        })
    }
}

/// The variable for connecting to `url` with whatever the user's own ssh knows, without
/// questions.
pub(super) fn without_questions(url: &Url) -> Option<(&'static str, String)> {
    url.ssh_user()?;
    Some((SSH, ssh_command(&ssh_program()?, None)))
}

/// What the user has git run for `ssh`; `None` for a program that may not take options.
fn ssh_program() -> Option<String> {
    if let Ok(program) = std::env::var(SSH) {
        return Some(program);
    }
    let configured = Command::new("git").args(["config", "--get", "core.sshCommand"]).output();
    match configured {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ if std::env::var_os("GIT_SSH").is_some() => None,
        _ => Some("ssh".to_owned()),
    }
}

/// `program`, which is `ssh` or text that begins with it, so that it asks nothing; git
/// has a shell run it. A new host is accepted and remembered; one whose key has changed is
/// refused.
fn ssh_command(program: &str, key: Option<(&Path, Option<&str>)>) -> String {
    let mut command = format!("{program} -o BatchMode=yes -o StrictHostKeyChecking=accept-new");
    if let Some((file, user)) = key {
        let file = file.to_string_lossy();
        command.push_str(&format!(" -i {} -o IdentitiesOnly=yes", shell_words::quote(&file)));
        if let Some(user) = user {
            command.push_str(&format!(" -l {}", shell_words::quote(user)));
        }
    }
    command
}
