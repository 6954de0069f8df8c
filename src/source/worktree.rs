//! A revision of the user's own repository, checked out beside it.
//!
//! It is a detached worktree of git's in a private directory below the run directory; what
//! the user has checked out, the index and the branches stay as they are. A lock on it says
//! that somebody uses it: when that process dies, the next one that looks removes it.

use std::fs::{self, DirBuilder, File};
use std::io::sink;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::git::{Git, GitError, git};
use crate::lock::lock;

/// The mode of a submodule in a tree of git's.
const SUBMODULE: &str = "160000 commit ";

/// The repository that a catalog is in.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// Where the work tree begins.
    top: PathBuf,
    /// The catalog within it.
    prefix: PathBuf,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name, in full.
    pub id: String,
    /// The first characters of that, as git shortens it.
    pub short: String,
    /// First line of its message.
    pub subject: String,
}

/// What is in the work tree and in no commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Files that differ from the commit.
    pub changed: usize,
    /// Files that git does not know, ignored ones left out; a directory of them counts once.
    pub untracked: usize,
}

impl Checkout {
    /// The repository around the directory `root`.
    ///
    /// # Errors
    /// When there is none, or git is not there.
    pub fn around(root: &Path) -> Result<Checkout> {
        let place = || format!("--base needs the catalog in a git repository: {}", root.display());
        let root = root.canonicalize().with_context(place)?;
        let ask = |what| run(git(["rev-parse", what]).inside(&root));
        let (top, prefix) = (ask("--show-toplevel"), ask("--show-prefix"));
        Ok(Checkout {
            top: top.with_context(place)?.into(),
            prefix: prefix.with_context(place)?.into(),
        })
    }

    /// The commit that `revision` means.
    ///
    /// # Errors
    /// When there is none.
    pub fn commit(&self, revision: &str) -> Result<Commit> {
        let wanted = format!("{revision}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted];
        let Ok(id) = run(git(words).at(&self.top)) else {
            let shallow = run(git(["rev-parse", "--is-shallow-repository"]).at(&self.top))?;
            bail!(match shallow.as_str() {
                "true" => format!(
                    "there is no revision {revision:?} here, and {} is a shallow clone: get it \
                     with `git fetch --unshallow`, or `git fetch origin <commit>`",
                    self.top.display()
                ),
                _ => format!(
                    "there is no revision {revision:?} in {}: name a commit, a branch or a tag \
                     (`git fetch` gets those of the server)",
                    self.top.display()
                ),
            });
        };
        let said = run(git(["log", "-1", "--format=%h%n%s", &id]).at(&self.top))?;
        let (short, subject) = said.split_once('\n').unwrap_or((&said, ""));
        Ok(Commit { short: short.to_owned(), subject: subject.to_owned(), id })
    }

    /// What is in the work tree and in no commit. The index is only read.
    ///
    /// # Errors
    /// When git does not say.
    pub fn uncommitted(&self) -> Result<Uncommitted> {
        let words = ["--no-optional-locks", "status", "--porcelain"];
        let said = run(git(words).at(&self.top))?;
        let untracked = said.lines().filter(|line| line.starts_with("??")).count();
        Ok(Uncommitted { changed: said.lines().count() - untracked, untracked })
    }

    /// Checks `commit` out below `run_dir`, for the Run `id`.
    ///
    /// # Errors
    /// When it cannot be checked out, or `cancelled` says so.
    pub fn worktree(
        &self,
        commit: &Commit,
        run_dir: &Path,
        id: &str,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Worktree> {
        let all = directory(run_dir);
        fs::create_dir_all(&all).with_context(|| format!("cannot make {}", all.display()))?;
        let dir = all.canonicalize()?.join(id);
        let place = || format!("cannot make {}", dir.display());
        DirBuilder::new().mode(0o700).create(&dir).with_context(place)?;
        let held = lock(&dir.join("lock"), File::try_lock, cancelled, || ())?;
        let mut worktree = Worktree { dir, root: PathBuf::new(), notes: Vec::new(), _lock: held };
        let tree = worktree.dir.join("tree");
        let call = git(["worktree", "add", "--quiet", "--detach", "--force"]).path(&tree);
        let made = in_git(cancelled, call.word(&commit.id).at(&self.top));
        made.with_context(|| format!("cannot check {} out", commit.short))?;
        populate(&self.top, &tree, &commit.id, cancelled, &mut worktree.notes)?;
        worktree.root = tree.join(&self.prefix);
        ensure!(
            worktree.root.is_dir(),
            "{} has no directory {}, where the catalog is now",
            commit.short,
            self.prefix.display()
        );
        Ok(worktree)
    }
}

/// A revision that is checked out; removed on drop.
#[derive(Debug)]
pub struct Worktree {
    dir: PathBuf,
    root: PathBuf,
    notes: Vec<String>,
    _lock: File,
}

impl Worktree {
    /// The catalog's directory in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the user should know about it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        if let Err(e) = remove(&self.dir) {
            tracing::warn!("cannot remove {}: {e:#}; `mad clean` tries again", self.dir.display());
        }
    }
}

/// Checks out the submodules of `commit` in `tree` as they are checked out in the user's
/// `top`: from the clones that are there, which stay as they are, and without a connection.
fn populate(
    top: &Path,
    tree: &Path,
    commit: &str,
    cancelled: &dyn Fn() -> bool,
    notes: &mut Vec<String>,
) -> Result<()> {
    // With NUL, names of files stand as they are.
    let listed = in_git(cancelled, git(["ls-tree", "-r", "-z", commit]).at(tree))?;
    let submodules = listed.split('\0').filter_map(|line| line.strip_prefix(SUBMODULE));
    for (wanted, path) in submodules.filter_map(|rest| rest.split_once('\t')) {
        let (from, to) = (top.join(path), tree.join(path));
        if !from.join(".git").exists() {
            notes.push(format!("the submodule {path} is not checked out, on neither side"));
            continue;
        }
        let clone = git(["clone", "--quiet", "--shared", "--no-checkout"]).path(&from).path(&to);
        in_git(cancelled, clone).with_context(|| format!("the submodule {path}"))?;
        let checkout = git(["checkout", "--quiet", "--detach", wanted]).at(&to);
        in_git(cancelled, checkout).with_context(|| {
            format!(
                "the base needs the submodule {path} at {wanted}; if that is not here yet, \
                 `git -C {path} fetch` gets it"
            )
        })?;
        populate(&from, &to, wanted, cancelled, notes)?;
    }
    Ok(())
}

fn directory(run_dir: &Path) -> PathBuf {
    run_dir.join("worktrees")
}

/// A worktree whose user has died.
#[derive(Debug)]
pub struct Abandoned {
    dir: PathBuf,
    _lock: File,
}

impl Abandoned {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Removes it, from the repository's list of worktrees too.
    ///
    /// # Errors
    /// When something of it stays.
    pub fn remove(&self) -> Result<()> {
        remove(&self.dir)
    }
}

/// The worktrees below `run_dir` that nobody uses any more.
pub fn abandoned(run_dir: &Path) -> Vec<Abandoned> {
    let entries = fs::read_dir(directory(run_dir)).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    dirs.sort();
    let unused = |dir: PathBuf| {
        let file = File::create(dir.join("lock")).ok()?;
        file.try_lock().ok().map(|()| Abandoned { dir, _lock: file })
    };
    dirs.into_iter().filter_map(unused).collect()
}

/// Removes a worktree by its private directory.
fn remove(dir: &Path) -> Result<()> {
    let tree = dir.join("tree");
    if tree.exists() {
        // Twice, because one that is half made is locked.
        let call = git(["worktree", "remove", "--force", "--force"]).path(&tree).at(&tree);
        if run(call).is_err() {
            // git may be in no state to do it, and what it knows of this one must go too.
            let note = fs::read_to_string(tree.join(".git")).unwrap_or_default();
            let entry = note.trim().strip_prefix("gitdir: ").map(Path::new);
            if let Some(entry) = entry
                && entry.parent().and_then(Path::file_name).is_some_and(|n| n == "worktrees")
                && entry.exists()
            {
                fs::remove_dir_all(entry)?;
            }
        }
    }
    fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}

fn run(call: super::git::Call) -> Result<String, GitError> {
    in_git(&|| false, call)
}

fn in_git(cancelled: &dyn Fn() -> bool, call: super::git::Call) -> Result<String, GitError> {
    Git::new(None, &mut sink(), cancelled).run(call)
}
