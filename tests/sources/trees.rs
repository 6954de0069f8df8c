//! What a checkout holds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mad_harness::source::Source;
use serde_json::json;

use crate::servers::Server;
use crate::world::{World, checkout, git, nested, open, read, resolve};

#[test]
fn a_commit_is_resolved_and_checked_out() {
    let world = World::new();
    let path = world.repository("project");
    git(&path, &["tag", "v1"]);
    git(&path, &["branch", "other"]);
    let repository = open(&path);
    let first = resolve(&world, &repository).good();
    assert_eq!(first.url, path.to_str().unwrap());
    assert_eq!(first.commit, git(&path, &["rev-parse", "HEAD"]));

    let tree = checkout(&world, &repository, &first, "one").good();
    assert_eq!(read(&tree.join("file")), "one\n");
    assert_eq!(git(&tree, &["remote", "get-url", "origin"]), first.url);
    assert_eq!(git(&tree, &["status", "--porcelain", "--branch"]), "## main...origin/main");
    assert_eq!(git(&tree, &["describe", "--tags"]), "v1");
    git(&tree, &["checkout", "--quiet", "other"]);

    // The next run measures what is new; the record of this one can still be measured.
    let newer = world.commit("project", "file", "two\n");
    let second = resolve(&world, &repository).good();
    assert_eq!(second.commit, newer);
    let tree = checkout(&world, &repository, &second, "two").good();
    assert_eq!(read(&tree.join("file")), "two\n");
    let tree = checkout(&world, &repository, &first, "three").good();
    assert_eq!(read(&tree.join("file")), "one\n");
    git(&tree, &["pull", "--quiet"]);
    assert_eq!(read(&tree.join("file")), "two\n");

    let record = serde_json::to_value(&first).unwrap();
    assert_eq!(record, json!({ "url": first.url, "commit": first.commit }));
    assert_eq!(serde_json::from_value::<Source>(record).unwrap(), first);
}

#[test]
fn a_work_tree_stands_on_its_own() {
    let world = World::new();
    let repository = open(world.repository("project"));
    let source = resolve(&world, &repository).good();
    let tree = checkout(&world, &repository, &source, "one").good();
    // A script may do as it likes to it.
    for file in walk(&tree.join(".git/objects")) {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(file, "broken").unwrap();
    }
    checkout(&world, &repository, &source, "two").good();
    fs::remove_dir_all(world.cache()).unwrap();
    git(&world.path("two"), &["fsck", "--strict"]);
    git(&world.path("two"), &["log"]);
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry").path());
    entries.flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}

#[test]
fn submodules_are_nested_relative_and_pinned() {
    let world = World::new();
    nested(&world);
    let server = Server::git(&world.path("remote"));
    let url = format!("git://127.0.0.1:{}/project", server.port);
    let repository = open(&url);
    let source = resolve(&world, &repository).good();
    let tree = checkout(&world, &repository, &source, "one").good();
    assert_eq!(read(&tree.join("sub dir/middle/file")), "one\n");
    assert_eq!(read(&tree.join("sub dir/middle/inner/file")), "one\n");
    let inner = format!("git://127.0.0.1:{}/inner.git", server.port);
    let at = tree.join("sub dir/middle/inner");
    assert_eq!(git(&at, &["remote", "get-url", "origin"]), inner);

    // Like a recursive clone, also to git, and wherever it is moved to.
    drop(server);
    fs::rename(&tree, world.path("moved")).unwrap();
    let moved = world.path("moved");
    assert_eq!(git(&moved, &["status", "--porcelain"]), "");
    let status = git(&moved, &["submodule", "status", "--recursive"]);
    assert!(status.lines().all(|line| line.starts_with(' ')), "{status:?}");
    assert!(moved.join("sub dir/middle/.git").is_file());
    git(&moved, &["submodule", "--quiet", "update", "--init", "--recursive"]);

    // Without a server, from the clones.
    let tree = checkout(&world, &repository, &source, "two").good();
    assert_eq!(read(&tree.join("sub dir/middle/inner/file")), "one\n");
}

#[test]
fn submodules_of_a_local_repository() {
    let world = World::new();
    let commit = nested(&world);
    for (n, url) in ["", "file://"].into_iter().enumerate() {
        let repository = open(format!("{url}{}", world.remote("project").display()));
        let source = resolve(&world, &repository).good();
        assert_eq!(source.commit, commit);
        let tree = checkout(&world, &repository, &source, &format!("tree-{n}")).good();
        assert_eq!(read(&tree.join("sub dir/middle/inner/file")), "one\n");
    }
}

#[test]
fn a_submodule_that_cannot_be_fetched_is_named() {
    let world = World::new();
    world.repository("project");
    let sub = world.repository("sub");
    world.submodule("project", "sub", "../gone", &sub);
    let repository = open(world.remote("project"));
    let source = resolve(&world, &repository).good();
    let error = checkout(&world, &repository, &source, "one").error();
    assert!(error.contains("the submodule sub of "), "{error}");
    assert!(error.contains("gone' does not appear to be a git repository"), "{error}");
}

#[test]
fn a_submodule_can_be_left_out() {
    let world = World::new();
    world.repository("project");
    let sub = world.repository("sub");
    world.submodule("project", "sub", "../gone", &sub);
    git(
        &world.remote("project"),
        &["config", "--file", ".gitmodules", "submodule.sub.update", "none"],
    );
    world.commit("project", "file", "two\n");
    let repository = open(world.remote("project"));
    let source = resolve(&world, &repository).good();
    let outcome = checkout(&world, &repository, &source, "one");
    assert!(outcome.log.contains("is left empty, as .gitmodules says"), "{}", outcome.log);
    outcome.good();
}

#[test]
fn a_repository_from_elsewhere_gets_no_local_submodule() {
    let world = World::new();
    world.repository("project");
    let secret = world.repository("secret");
    let url = secret.to_str().unwrap();
    world.submodule("project", "sub", url, &secret);
    let server = Server::git(&world.path("remote"));
    let repository = open(format!("git://127.0.0.1:{}/project", server.port));
    let source = resolve(&world, &repository).good();
    let error = checkout(&world, &repository, &source, "one").error();
    assert!(error.contains("a path of this machine"), "{error}");
    assert!(!world.path("one/sub/file").exists());
}

#[test]
fn a_commit_that_no_branch_has_any_more() {
    let world = World::new();
    let path = world.repository("project");
    let lost = world.commit("project", "file", "lost\n");
    git(&path, &["reset", "--quiet", "--hard", "HEAD^"]);
    world.commit("project", "file", "kept\n");
    let repository = open(&path);
    let source = Source { url: repository.url().to_owned(), commit: lost };
    let tree = checkout(&world, &repository, &source, "one").good();
    assert_eq!(read(&tree.join("file")), "lost\n");

    let source = Source { commit: "0123456789".repeat(4), ..source };
    let error = checkout(&world, &repository, &source, "two").error();
    assert!(error.contains("no branch or tag has the commit 0123456789"), "{error}");
    let source = Source { commit: "--upload-pack=x".to_owned(), ..source };
    let error = checkout(&world, &repository, &source, "two").error();
    assert!(error.contains("is no commit"), "{error}");
}

#[test]
fn the_default_branch_changes_and_branches_go() {
    let world = World::new();
    let path = world.repository("project");
    git(&path, &["branch", "a"]);
    let repository = open(&path);
    resolve(&world, &repository).good();
    git(&path, &["branch", "--delete", "a"]);
    git(&path, &["checkout", "--quiet", "-b", "a/b"]);
    let commit = world.commit("project", "file", "two\n");
    let source = resolve(&world, &repository).good();
    assert_eq!(source.commit, commit);
    let tree = checkout(&world, &repository, &source, "one").good();
    assert_eq!(git(&tree, &["branch", "--show-current"]), "a/b");

    git(&path, &["checkout", "--quiet", "--detach", "main"]);
    let source = resolve(&world, &repository).good();
    assert_eq!(source.commit, git(&path, &["rev-parse", "main"]));
    checkout(&world, &repository, &source, "two").good();
}

#[test]
fn a_shallow_repository_can_be_measured() {
    let world = World::new();
    world.repository("project");
    world.commit("project", "file", "two\n");
    let from = format!("file://{}", world.remote("project").display());
    let shallow = world.path("shallow");
    git(&world.path(""), &["clone", "--quiet", "--depth=1", &from, "shallow"]);
    let repository = open(&shallow);
    let source = resolve(&world, &repository).good();
    let tree = checkout(&world, &repository, &source, "one").good();
    assert_eq!(read(&tree.join("file")), "two\n");
}

#[test]
fn files_in_git_lfs_without_git_lfs() {
    if Command::new("git").args(["lfs", "version"]).output().is_ok_and(|o| o.status.success()) {
        return;
    }
    let world = World::new();
    let path = world.repository("project");
    world.commit("project", ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    world.commit("project", "weights.bin", "version https://git-lfs.github.com/spec/v1\n");
    let repository = open(&path);
    let source = resolve(&world, &repository).good();
    let (_, warning) = checkout(&world, &repository, &source, "one").warning();
    assert!(warning.contains("keeps 1 files in Git LFS (weights.bin, …)"), "{warning}");
}
