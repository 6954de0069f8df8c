//! The repository that an entry names by `url`: fetched once, measured at a commit.
//!
//! [`Repository::resolve`] brings the clone in the cache up to date and says which commit
//! is measured; [`Repository::checkout`] makes a work tree at that commit, for each
//! Execution anew and without a connection. What is connected to, and how:
//!
//! * Clones are in `<cache>/clones/<name>-<hash of the URL>`, one per URL, submodules
//!   included. Any number of processes may use them at once.
//! * A login comes from the entry's `cred` or stands in the URL. It reaches git through
//!   the environment of the one child that connects to that server, and is neither on a
//!   command line nor in a file, a record or a log. Of a URL with a password only the rest is
//!   kept.
//! * git asks nobody anything, runs no hooks of the user's, and ends with us. `https`,
//!   `http`, `ssh`, `git` and paths are all it connects by; a submodule may be a path only
//!   if its parent is one.

mod clones;
mod git;
mod login;
mod tree;
mod url;
pub mod worktree;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::credentials::Credential;
use clones::Clones;
use git::{Git, GitError};
use login::Login;
use url::Url;

/// What git says, in English, when a server cannot be reached; what it says when one
/// answers and refuses is not among them.
const UNREACHABLE: [&str; 13] = [
    "Could not resolve host",
    "Temporary failure in name resolution",
    "Failed to connect to",
    "Couldn't connect to server",
    "unable to connect to",
    "unable to look up",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Operation timed out",
    "No route to host",
    "Network is unreachable",
    "The requested URL returned error: 5",
];

/// What was measured of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Where it came from, without a login.
    pub url: String,
    /// The commit, in full; it decides on the submodules too.
    pub commit: String,
}

/// A repository and how to get at it.
#[derive(Debug)]
pub struct Repository {
    url: Url,
    login: Option<Login>,
}

impl Repository {
    /// The repository at `url`, with the login that the entry names, if it is of a kind
    /// that the URL takes; else the one in the URL, if any.
    ///
    /// # Errors
    /// When `url` is none that is fetched, or the key file does not exist. The message
    /// holds no password.
    pub fn new(url: &str, credential: Option<&Credential>) -> Result<Repository> {
        directory_name(url)?;
        let (url, in_url) = Url::parse(url)?;
        let login = Login::choose(&url, in_url, credential)?;
        Ok(Repository { url, login })
    }

    /// The URL, without a login.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Values that must not be seen: the password, also one that stood in the URL.
    pub fn secrets(&self) -> Vec<String> {
        self.login.as_ref().map(Login::secrets).unwrap_or_default()
    }

    /// Fetches, and says which commit the default branch is at. What git says goes to
    /// `log`, masked. If the server cannot be reached, the commit of the last time is
    /// taken, and a warning says so.
    ///
    /// # Errors
    /// When the server refuses, when it cannot be reached the first time, when there is
    /// no commit, or on cancellation. The message ends in git's own words.
    pub fn resolve(
        &self,
        cache: &Path,
        log: &mut dyn Write,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(Source, Vec<String>)> {
        let url = &self.url;
        let mut clones = self.clones(cache, log, cancelled)?;
        let _lock = clones.lock(url, File::try_lock)?;
        let mut warnings = Vec::new();
        let commit = match clones.refresh(url) {
            Ok(Some(commit)) => commit,
            Ok(None) => bail!("{url} has no commit, or its HEAD names a branch that is not there"),
            Err(e) => {
                let unreachable = e.downcast_ref().is_some_and(|e: &GitError| e.says(&UNREACHABLE));
                let last = if unreachable { clones.find(url, "HEAD")? } else { None };
                let Some(commit) = last else { return Err(e) };
                let when = last_fetch(&clones.path(url)).unwrap_or_else(|| "the last time".into());
                let warning = format!(
                    "{url} cannot be reached; {commit} is measured, its newest commit as of {when} \
                     ({e:#})"
                );
                clones.git.say(&format!("warning: {warning}"));
                warnings.push(warning);
                commit
            }
        };
        Ok((Source { url: url.to_string(), commit }, warnings))
    }

    /// Makes a work tree of `source` in `into`, which must not exist or be empty, with all
    /// its submodules; `origin` is the URL. Connects only for what no clone has. Returns
    /// what the user should know.
    ///
    /// # Errors
    /// When something of it cannot be fetched, when `into` cannot be written, or on
    /// cancellation; `into` may then hold a part.
    pub fn checkout(
        &self,
        cache: &Path,
        source: &Source,
        into: &Path,
        log: &mut dyn Write,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<String>> {
        let (url, commit) = (&self.url, &source.commit);
        ensure!(source.url == url.as_str(), "{} was resolved, not {url}", source.url);
        let full =
            [40, 64].contains(&commit.len()) && commit.chars().all(|c| c.is_ascii_hexdigit());
        ensure!(full, "{commit:?} is no commit");
        let into = std::path::absolute(into)?;
        let mut clones = self.clones(cache, log, cancelled)?;
        let warnings = tree::place(&mut clones, url, commit, &into)
            .with_context(|| format!("cannot check {url} out at {commit}"))?;
        for warning in &warnings {
            clones.git.say(&format!("warning: {warning}"));
        }
        Ok(warnings)
    }

    fn clones<'a>(
        &self,
        cache: &Path,
        log: &'a mut dyn Write,
        cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Clones<'a>> {
        let login = self.login.clone().map(|login| (self.url.clone(), login));
        Clones::open(cache, Git::new(login, log, cancelled))
    }
}

/// When a clone was last fetched to, RFC 3339, UTC.
fn last_fetch(clone: &Path) -> Option<String> {
    let modified = fs::metadata(clone.join("FETCH_HEAD")).ok()?.modified().ok()?;
    OffsetDateTime::from(modified).replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// The directory that a script finds the repository in: the last segment of the URL, as
/// it is. madengine does not take `.git` off either.
///
/// # Errors
/// When that is no plain file name.
pub fn directory_name(url: &str) -> Result<String> {
    let (url, _) = Url::parse(url)?;
    let name = url.last_segment();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    ensure!(!name.is_empty(), "{url} names no repository");
    ensure!(
        name.chars().all(plain) && !name.starts_with('-'),
        "the last part of {url} is used as a directory: it may have letters, digits, `_`, `.` and \
         `-` in it, and not begin with `-`"
    );
    ensure!(
        ![".", "..", ".git"].contains(&name),
        "the last part of {url} is used as a directory, and `{name}` cannot be one"
    );
    Ok(name.to_owned())
}

/// `url` as it may be shown and stored: without a password, whatever it is.
pub fn public_url(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url::masked(url), |(url, _)| url.to_string())
}

#[cfg(test)]
mod tests;
