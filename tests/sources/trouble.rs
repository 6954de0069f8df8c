//! Servers that are gone, processes that are killed, several at once.

use std::cell::Cell;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::servers::{Server, git_daemon};
use crate::world::{World, checkout, git, nested, open, resolve, text};

#[test]
fn repositories_that_are_none() {
    let world = World::new();
    git(&world.path("remote"), &["init", "--quiet", "empty"]);
    let error = resolve(&world, &open(world.remote("empty"))).error();
    assert!(error.contains("has no commit"), "{error}");
    let error = resolve(&world, &open(world.remote("missing"))).error();
    assert!(error.contains("missing' does not appear to be a git repository"), "{error}");
    assert!(error.contains("git says: fatal: "), "{error}");
}

#[test]
fn a_server_that_cannot_be_reached() {
    let world = World::new();
    let path = world.repository("project");
    let server = Server::git(&world.path("remote"));
    let repository = open(format!("git://127.0.0.1:{}/project", server.port));
    let source = resolve(&world, &repository).good();
    drop(server);
    let (again, warning) = resolve(&world, &repository).warning();
    assert_eq!(again, source);
    assert!(warning.contains("cannot be reached"), "{warning}");
    assert!(warning.contains(&git(&path, &["rev-parse", "HEAD"])), "{warning}");
    assert!(warning.contains("Connection refused"), "{warning}");
    checkout(&world, &repository, &source, "one").good();

    fs::remove_dir_all(world.cache()).unwrap();
    let error = resolve(&world, &repository).error();
    assert!(error.contains("git says: fatal: unable to connect"), "{error}");
    let error = checkout(&world, &repository, &source, "two").error();
    assert!(error.contains("git says: fatal: unable to connect"), "{error}");
}

#[test]
fn processes_at_once() {
    let world = World::new();
    world.repository("project");
    let server = Server::git(&world.path("remote"));
    let url = format!("git://127.0.0.1:{}/project", server.port);
    let commit = format!("commit {}\n", git(&world.remote("project"), &["rev-parse", "HEAD"]));
    let children: Vec<_> = (0..4).map(|_| world.elsewhere(&url).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = text(output.stderr);
        assert!(output.status.success() && text(output.stdout).contains(&commit), "{said}");
    }
}

#[test]
fn threads_at_once() {
    let world = World::new();
    nested(&world);
    let repository = open(world.remote("project"));
    let source = resolve(&world, &repository).good();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (world, repository, source) = (&world, &repository, &source);
            scope.spawn(move || checkout(world, repository, source, &format!("{n}")).good());
        }
    });
}

/// Serves by git's protocol, except for the connection of this number: that one hangs.
/// The receiver is told when it begins to, and when the client has gone.
fn hangs_once(world: &World, number: usize) -> (Server, Events) {
    let base = world.path("remote");
    let (sender, receiver) = mpsc::channel();
    let server = Server::new(move |n, mut stream| {
        if n != number {
            return git_daemon(&base, stream);
        }
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).expect("a request") > 0);
        sender.send("hangs").expect("a test");
        while stream.read(&mut request).is_ok_and(|n| n > 0) {}
        // The test may be over.
        let _ = sender.send("gone");
    });
    (server, Events(receiver))
}

struct Events(mpsc::Receiver<&'static str>);

impl Events {
    /// Waits for the next one; only a failure takes this long.
    #[track_caller]
    fn expect(&self, event: &str) {
        assert_eq!(self.0.recv_timeout(Duration::from_secs(60)).expect(event), event);
    }
}

#[test]
fn killed_while_it_fetches() {
    // The first connection asks for branches, the second one for commits.
    for number in [0, 1] {
        let world = World::new();
        world.repository("project");
        let (server, events) = hangs_once(&world, number);
        let url = format!("git://127.0.0.1:{}/project", server.port);
        let mut child = world.elsewhere(&url).spawn().unwrap();
        events.expect("hangs");
        child.kill().unwrap();
        child.wait().unwrap();
        // git does not outlive the process that started it, and is in nobody's way.
        events.expect("gone");
        let repository = open(&url);
        let source = resolve(&world, &repository).good();
        checkout(&world, &repository, &source, "one").good();
    }
}

#[test]
fn what_a_killed_fetch_received_is_removed() {
    let world = World::new();
    let repository = open(world.repository("project"));
    resolve(&world, &repository).good();
    let objects = world.clone_dir().join("objects");
    fs::write(objects.join("pack/tmp_pack_x"), "half").unwrap();
    fs::create_dir(objects.join("tmp_objdir-incoming-x")).unwrap();
    resolve(&world, &repository).good();
    assert!(!objects.join("pack/tmp_pack_x").exists());
    assert!(!objects.join("tmp_objdir-incoming-x").exists());
}

#[test]
fn cancelled_while_it_fetches() {
    let world = World::new();
    world.repository("project");
    let (server, events) = hangs_once(&world, 1);
    let repository = open(format!("git://127.0.0.1:{}/project", server.port));
    let cancelled = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let resolving = scope.spawn(|| {
            let cancelled = || cancelled.load(Ordering::SeqCst);
            repository.resolve(&world.cache(), &mut Vec::new(), &cancelled)
        });
        events.expect("hangs");
        cancelled.store(true, Ordering::SeqCst);
        events.expect("gone");
        let error = resolving.join().unwrap().unwrap_err();
        assert!(format!("{error:#}").ends_with("cancelled"), "{error:#}");
    });
    resolve(&world, &repository).good();
}

#[test]
fn cancelled_while_it_waits_for_another() {
    let world = World::new();
    world.repository("project");
    let (server, events) = hangs_once(&world, 0);
    let url = format!("git://127.0.0.1:{}/project", server.port);
    let mut child = world.elsewhere(&url).spawn().unwrap();
    events.expect("hangs");
    let asked = Cell::new(0);
    let cancelled = || asked.replace(asked.get() + 1) > 3;
    let mut log = Vec::new();
    let error = open(&url).resolve(&world.cache(), &mut log, &cancelled).unwrap_err();
    assert_eq!(error.to_string(), "cancelled");
    assert!(text(log).contains("another process uses the clone of "));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_broken_clone_is_made_anew_and_no_other_repository_is_touched() {
    let world = World::new();
    let path = world.repository("project");
    // The cache lies in a repository of the user's, which git would find.
    git(&world.path(""), &["init", "--quiet", "--initial-branch=mine", "."]);
    git(&world.path(""), &["commit", "--quiet", "--allow-empty", "--message", "mine"]);
    let before = git(&world.path(""), &["for-each-ref"]);
    let repository = open(&path);
    let source = resolve(&world, &repository).good();
    let clone = world.clone_dir();
    fs::remove_file(clone.join("HEAD")).unwrap();
    fs::create_dir(clone.with_added_extension("new")).unwrap();
    checkout(&world, &repository, &source, "one").good();
    assert_eq!(resolve(&world, &repository).good(), source);
    assert_eq!(git(&world.path(""), &["for-each-ref"]), before);

    let error = checkout(&world, &repository, &source, "one").error();
    assert!(error.contains("already exists and is not an empty directory"), "{error}");
}

#[test]
fn nothing_of_git_s_environment_gets_in() {
    let world = World::new();
    world.repository("project");
    let mine = world.repository("mine");
    let before = git(&mine, &["for-each-ref"]);
    // As in a hook, with hooks of the user's that would fail.
    fs::create_dir(world.path("hooks")).unwrap();
    for hook in ["post-checkout", "reference-transaction"] {
        let hook = world.path("hooks").join(hook);
        fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = format!("[core]\n\thooksPath = {}\n", world.path("hooks").display());
    fs::write(world.path("gitconfig"), config).unwrap();
    let mut command = world.elsewhere(world.remote("project").to_str().unwrap());
    command
        .env("GIT_DIR", mine.join(".git"))
        .env("GIT_WORK_TREE", &mine)
        .env("GIT_INDEX_FILE", mine.join(".git/index"))
        .env("GIT_CONFIG_GLOBAL", world.path("gitconfig"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(output.stderr));
    assert_eq!(git(&mine, &["for-each-ref"]), before);
}

#[test]
fn without_git() {
    let world = World::new();
    world.repository("project");
    let bin = world.path("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).unwrap();
    let mut command = world.elsewhere(world.remote("project").to_str().unwrap());
    let said = text(command.env("PATH", &bin).output().unwrap().stderr);
    assert!(said.contains("cannot run git: it is not installed"), "{said}");
}
