//! Work trees made from the clones, submodules included.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::clones::Clones;
use super::git::{GitError, git};
use super::url::Url;

/// Makes a work tree of `url` at `commit` in `into`, on the branch that is the default
/// there, with everything that `git clone --recurse-submodules` would give it. Returns
/// what the user should know.
pub(super) fn place(
    clones: &mut Clones<'_>,
    url: &Url,
    commit: &str,
    into: &Path,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    clones.ensure(url, commit)?;
    clones.copy(url, into)?;
    // Stays on its branch, so that `git pull` means something to a script.
    let checkout = git(["reset", "--quiet", "--hard", commit]).at(into).connecting(url);
    clones.git.run(checkout)?;
    contents(clones, url, into, &mut warnings)?;
    if into.join(".gitmodules").exists() {
        // Where git keeps the repositories of submodules; until here each is in its own tree.
        clones.git.run(git(["submodule", "absorbgitdirs"]).at(into))?;
    }
    Ok(warnings)
}

/// What is in a work tree beyond files: submodules, recursively, and files elsewhere.
fn contents(
    clones: &mut Clones<'_>,
    url: &Url,
    tree: &Path,
    warnings: &mut Vec<String>,
) -> Result<()> {
    warnings.extend(missing_lfs(clones, url, tree)?);
    for submodule in submodules(clones, tree)? {
        let path = &submodule.path;
        let context = || format!("the submodule {path} of {url}");
        let url = submodule.url(clones, tree, url).with_context(context)?;
        let Some(url) = url else {
            clones.git.say(&format!("{} is left empty, as .gitmodules says", context()));
            continue;
        };
        let below = tree.join(path);
        let placed = clones.ensure(&url, &submodule.commit).and_then(|()| {
            clones.copy(&url, &below)?;
            let words = ["checkout", "--quiet", "--force", "--detach", &submodule.commit];
            clones.git.run(git(words).at(&below).connecting(&url))?;
            contents(clones, &url, &below, warnings)
        });
        placed.with_context(context)?;
    }
    Ok(())
}

/// A commit of another repository, as the tree names it.
struct Submodule {
    path: String,
    name: String,
    commit: String,
}

/// The submodules of the work tree `tree`, whose URLs git then knows.
fn submodules(clones: &mut Clones<'_>, tree: &Path) -> Result<Vec<Submodule>> {
    // Paths in the index cannot lead out of the tree, nor through a link.
    let index = clones.git.run(git(["ls-files", "--stage", "-z"]).at(tree))?;
    let links: Vec<(&str, &str)> = index
        .split('\0')
        .filter_map(|entry| entry.strip_prefix("160000 ")?.split_once('\t'))
        .filter_map(|(numbers, path)| Some((numbers.split(' ').next()?, path)))
        .collect();
    if links.is_empty() {
        return Ok(Vec::new());
    }
    // Resolves relative URLs, and refuses what is dangerous.
    clones.git.run(git(["submodule", "--quiet", "init"]).at(tree))?;
    let pattern = r"^submodule\..*\.path$";
    let words = ["config", "--blob", ":.gitmodules", "--null", "--get-regexp", pattern];
    let paths = clones.git.run(git(words).at(tree))?;
    let names: BTreeMap<&str, &str> = paths
        .split('\0')
        .filter_map(|pair| pair.split_once('\n'))
        .filter_map(|(key, path)| {
            Some((path, key.strip_prefix("submodule.")?.strip_suffix(".path")?))
        })
        .collect();
    let found = links.into_iter().map(|(commit, path)| {
        let name = names.get(path).with_context(|| format!(".gitmodules does not name {path}"))?;
        let (path, name, commit) = (path.to_owned(), (*name).to_owned(), commit.to_owned());
        Ok(Submodule { path, name, commit })
    });
    found.collect()
}

impl Submodule {
    /// Where it is fetched from; `None` if it is not to be.
    fn url(&self, clones: &mut Clones<'_>, tree: &Path, parent: &Url) -> Result<Option<Url>> {
        let mut setting = |key: &str| {
            let key = format!("submodule.{}.{key}", self.name);
            match clones.git.run(git(["config", "--get", &key]).at(tree)) {
                Ok(value) => Ok(Some(value)),
                Err(GitError::Failed(..)) => Ok(None),
                Err(e) => Err(e),
            }
        };
        if setting("update")?.as_deref() == Some("none") {
            return Ok(None);
        }
        let url = setting("url")?.context("it has no URL in .gitmodules")?;
        let (url, _) = Url::parse(&url)?;
        ensure!(
            parent.is_local() || !url.is_local(),
            "{url} is a path of this machine, which a repository from elsewhere must not name"
        );
        Ok(Some(url))
    }
}

/// A warning about files of Git LFS that are only pointers, because it is not installed.
fn missing_lfs(clones: &mut Clones<'_>, url: &Url, tree: &Path) -> Result<Option<String>> {
    let files = clones.git.run(git(["ls-files", "-z", "--", ":(attr:filter=lfs)"]).at(tree))?;
    let files: Vec<&str> = files.split('\0').filter(|f| !f.is_empty()).collect();
    let Some(first) = files.first() else { return Ok(None) };
    let filter = git(["config", "--get-regexp", r"^filter\.lfs\.(process|smudge)$"]);
    match clones.git.run(filter.at(tree)) {
        Ok(_) => Ok(None),
        Err(GitError::Failed(..)) => Ok(Some(format!(
            "{url} keeps {} files in Git LFS ({first}, …), which is not installed here: they are \
             pointers without content; install git-lfs and run `git lfs install`",
            files.len()
        ))),
        Err(e) => Err(e.into()),
    }
}
