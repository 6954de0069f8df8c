//! Bare clones of everything that was ever fetched, one per URL, shared by all processes.
//!
//! A clone is only ever added to: commits that a branch has left behind stay, so that a
//! measured commit can be measured again. git's own order of writing (objects first, then
//! the names that point to them) keeps it usable whenever it is killed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::git::{Git, GitError, git};
use super::url::Url;
use crate::lock::{Try, lock};
use crate::slug::{digest, slug};

/// What is fetched: branches and tags. Not everything there is: servers also name every
/// pull request that was ever opened, often more than the repository itself.
const REFS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// What git says, in English, when a login is missing or wrong.
const REFUSED: [&str; 4] = [
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "Permission denied (publickey",
];

/// The clones below one directory.
pub(super) struct Clones<'a> {
    dir: PathBuf,
    pub(super) git: Git<'a>,
}

impl<'a> Clones<'a> {
    /// Those below `<cache>/clones`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(super) fn open(cache: &Path, git: Git<'a>) -> Result<Clones<'a>> {
        let dir = std::path::absolute(cache)?.join("clones");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Clones { dir, git })
    }

    /// Where the clone of `url` is: a name for people, and what tells it from others.
    pub(super) fn path(&self, url: &Url) -> PathBuf {
        let hash = digest(url.as_str(), 8);
        self.dir.join(format!("{}-{hash}", slug(url.last_segment())))
    }

    /// Holds the clone of `url`, alone or together with other readers.
    pub(super) fn lock(&mut self, url: &Url, try_lock: Try) -> Result<File> {
        let path = self.path(url).with_added_extension("lock");
        let cancelled = self.git.cancelled();
        let waiting = || self.git.say(&format!("waiting: another process uses the clone of {url}"));
        lock(&path, try_lock, cancelled, waiting)
    }

    /// Whether the clone of `url` has `commit`.
    pub(super) fn has(&mut self, url: &Url, commit: &str) -> Result<bool> {
        Ok(self.find(url, commit)?.is_some())
    }

    /// The commit that `revision` is in the clone of `url`.
    pub(super) fn find(&mut self, url: &Url, revision: &str) -> Result<Option<String>> {
        if !self.path(url).exists() {
            return Ok(None);
        }
        let commit = format!("{revision}^{{commit}}");
        match self.run(url, &["rev-parse", "--verify", "--quiet", &commit]) {
            Ok(commit) => Ok(Some(commit)),
            Err(GitError::Failed(..)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes the clone of `url` if there is none, and brings it up to date; the caller
    /// holds it. Returns the commit that HEAD is there, if there is one.
    pub(super) fn refresh(&mut self, url: &Url) -> Result<Option<String>> {
        self.init(url)?;
        self.tidy(url);
        self.git.say(&format!("fetching {url}"));
        let head =
            Head::parse(&self.connect(url, &["ls-remote", "--symref", url.as_str(), "HEAD"])?);
        self.fetch(url, &["--prune", "--update-shallow"], &REFS)?;
        match (head.branch, &head.commit) {
            (Some(branch), _) => self.run(url, &["symbolic-ref", "HEAD", &branch])?,
            (None, Some(commit)) => self.run(url, &["update-ref", "--no-deref", "HEAD", commit])?,
            (None, None) => String::new(),
        };
        Ok(head.commit)
    }

    /// Sees to it that the clone of `url` has `commit`; connects only if it has not.
    pub(super) fn ensure(&mut self, url: &Url, commit: &str) -> Result<()> {
        if self.has(url, commit)? {
            return Ok(());
        }
        let _lock = self.lock(url, File::try_lock)?;
        // Another process may have fetched it while this one waited.
        if self.has(url, commit)? {
            return Ok(());
        }
        self.refresh(url)?;
        if !self.has(url, commit)? {
            // No branch and no tag leads to it any more; servers give it by its number.
            self.fetch(url, &[], &[commit])
                .with_context(|| format!("no branch or tag has the commit {commit} any more"))?;
        }
        Ok(())
    }

    /// Copies the clone of `url` to `into`, which then stands on its own: what is done to
    /// it does not reach the clone.
    pub(super) fn copy(&mut self, url: &Url, into: &Path) -> Result<()> {
        let from = self.path(url);
        let _lock = self.lock(url, File::try_lock_shared)?;
        let words = ["clone", "--quiet", "--no-checkout", "--no-hardlinks", "--template="];
        let copy = git(words.into_iter().chain(["--origin=origin"])).path(&from).path(into);
        self.git.run(copy).with_context(|| {
            format!("cannot copy {} (it may be deleted, and is fetched again then)", from.display())
        })?;
        self.git.run(git(["remote", "set-url", "origin", url.as_str()]).at(into))?;
        Ok(())
    }

    fn fetch(&mut self, url: &Url, options: &[&str], what: &[&str]) -> Result<()> {
        let words = [&["fetch", "--quiet", "--no-tags"], options, &[url.as_str()], what].concat();
        self.connect(url, &words).map(drop)
    }

    /// Runs git on the clone of `url`, connected to it.
    fn connect(&mut self, url: &Url, words: &[&str]) -> Result<String> {
        let done = self.git.run(git(words).of(&self.path(url)).connecting(url));
        done.map_err(|e| {
            let advice = match self.git.login(url) {
                _ if !e.says(&REFUSED) => "",
                Some(_) => ", which refuses the login",
                None => {
                    ", which wants a login: `cred` names one for the server of the entry's `url`"
                }
            };
            anyhow::Error::from(e).context(format!("cannot fetch {url}{advice}"))
        })
    }

    /// Runs git on the clone of `url`.
    fn run(&mut self, url: &Url, words: &[&str]) -> Result<String, GitError> {
        self.git.run(git(words).of(&self.path(url)))
    }

    /// Makes an empty clone, whole or not at all.
    fn init(&mut self, url: &Url) -> Result<()> {
        let path = self.path(url);
        match self.run(url, &["rev-parse", "--git-dir"]) {
            Ok(_) => return Ok(()),
            Err(GitError::Failed(..)) => {}
            Err(e) => return Err(e.into()),
        }
        let new = path.with_added_extension("new");
        for leftover in [&path, &new] {
            match fs::remove_dir_all(leftover) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(e).with_context(|| format!("cannot remove {}", leftover.display()));
                }
                _ => {}
            }
        }
        self.git.run(git(["init", "--quiet", "--bare", "--template="]).path(&new))?;
        fs::rename(&new, &path).with_context(|| format!("cannot make {}", path.display()))?;
        // For people who wonder what it is.
        self.run(url, &["config", "remote.origin.url", url.as_str()])?;
        Ok(())
    }

    /// Removes what a fetch that was killed had received so far: git would keep it.
    fn tidy(&self, url: &Url) {
        let objects = self.path(url).join("objects");
        for dir in [objects.join("pack"), objects] {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_name().to_string_lossy().starts_with("tmp_") {
                    // It only takes room; the next time will do as well.
                    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
                }
            }
        }
    }
}

/// What `git ls-remote --symref URL HEAD` prints.
#[derive(Debug, Default, PartialEq)]
struct Head {
    branch: Option<String>,
    commit: Option<String>,
}

impl Head {
    fn parse(text: &str) -> Head {
        let mut head = Head::default();
        for line in text.lines() {
            // `refs/remotes/origin/HEAD` and its like match too.
            let Some(word) = line.strip_suffix("\tHEAD") else { continue };
            match word.strip_prefix("ref: ") {
                // Anything else is not of this repository's making.
                Some(branch) if branch.starts_with("refs/heads/") => {
                    head.branch = Some(branch.to_owned());
                }
                Some(_) => {}
                None => head.commit = Some(word.to_owned()),
            }
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = |branch: Option<&str>, commit: Option<&str>| Head {
            branch: branch.map(str::to_owned),
            commit: commit.map(str::to_owned),
        };
        let text = "ref: refs/heads/main\tHEAD\nabc\tHEAD\ndef\trefs/remotes/origin/HEAD\n";
        assert_eq!(Head::parse(text), head(Some("refs/heads/main"), Some("abc")));
        assert_eq!(Head::parse("abc\tHEAD"), head(None, Some("abc")));
        assert_eq!(Head::parse("ref: --delete\tHEAD\nabc\tHEAD"), head(None, Some("abc")));
        assert_eq!(Head::parse(""), head(None, None));
    }
}
