//! Who is shown a login, and who is not.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use mad_harness::source::Repository;
use serde_json::json;

use crate::servers::{Http, Server};
use crate::world::{World, checkout, nested, open, read, resolve, text};

/// `ci:s3cret/pa55@word`
const RIGHT: &str = "Basic Y2k6czNjcmV0L3BhNTVAd29yZA==";
const PASSWORD: &str = "s3cret/pa55@word";
const ENCODED: &str = "s3cret%2Fpa55%40word";

#[test]
fn a_login_is_given_and_never_shown() {
    let world = World::new();
    nested(&world);
    let server = Http::new(&world.path("remote"), RIGHT, "s3cret");
    let credentials = world.credentials(json!({ "username": "ci", "password": PASSWORD }));
    let by_cred = Repository::new(&server.url("", "project"), credentials.get("x")).unwrap();
    fs::remove_file(world.path("credential.json")).unwrap();
    let in_url = format!("ci:{ENCODED}@");
    let by_url = Repository::new(&server.url(&in_url, "project"), None).unwrap();
    for (n, repository) in [by_cred, by_url].into_iter().enumerate() {
        assert_eq!(repository.url(), server.url("", "project"));
        assert_eq!(repository.secrets(), [PASSWORD]);
        let _ = fs::remove_dir_all(world.cache());
        let outcome = resolve(&world, &repository);
        assert!(!outcome.log.contains("s3cret"), "{}", outcome.log);
        let source = outcome.good();
        assert_eq!(source.url, repository.url());
        let outcome = checkout(&world, &repository, &source, &format!("tree-{n}"));
        assert!(!outcome.log.contains("s3cret"), "{}", outcome.log);
        // The submodules are on the same server.
        assert_eq!(read(&outcome.good().join("sub dir/middle/inner/file")), "one\n");
        assert!(!format!("{repository:?}").contains("s3cret"));
    }
    assert_eq!(world.files_with("s3cret"), Vec::<PathBuf>::new());
    assert_eq!(server.shown(), Vec::<String>::new());
}

#[test]
fn a_login_that_is_missing_or_wrong() {
    let world = World::new();
    world.repository("project");
    let server = Http::new(&world.path("remote"), RIGHT, "wr0ng-pa55");
    let credentials = world.credentials(json!({ "username": "ci", "password": "wr0ng-pa55" }));
    let url = server.url("", "project");
    let wrong = Repository::new(&url, credentials.get("x")).unwrap();
    let outcome = resolve(&world, &wrong);
    assert!(!outcome.log.contains("wr0ng"), "{}", outcome.log);
    let error = outcome.error();
    assert!(
        error.starts_with(&format!("cannot fetch {url}, which refuses the login: git")),
        "{error}"
    );
    assert!(error.contains("fatal: Authentication failed for"), "{error}");
    assert!(!error.contains("wr0ng"), "{error}");
    let error = resolve(&world, &open(&url)).error();
    assert!(error.contains("which wants a login: `cred` names one"), "{error}");

    // A server that refuses is there: the commit of the last time is no answer.
    let credentials = world.credentials(json!({ "username": "ci", "password": PASSWORD }));
    resolve(&world, &Repository::new(&url, credentials.get("x")).unwrap()).good();
    let error = resolve(&world, &wrong).error();
    assert!(error.contains("which refuses the login"), "{error}");
    assert_eq!(server.shown(), Vec::<String>::new());

    // A credential for the script alone does not matter to git.
    let credentials = world.credentials(json!({ "token": "t0ken-for-script" }));
    let path = world.remote("project");
    let local = Repository::new(path.to_str().unwrap(), credentials.get("x")).unwrap();
    resolve(&world, &local).good();
}

#[test]
fn a_login_is_for_one_server() {
    let world = World::new();
    world.repository("project");
    let sub = world.repository("sub");
    let other = Http::new(&world.path("remote"), RIGHT, "s3cret");
    world.submodule("project", "sub", &other.url("", "sub"), &sub);
    let server = Http::new(&world.path("remote"), RIGHT, "s3cret");
    let credentials = world.credentials(json!({ "username": "ci", "password": PASSWORD }));
    let repository = Repository::new(&server.url("", "project"), credentials.get("x")).unwrap();
    let source = resolve(&world, &repository).good();
    let error = checkout(&world, &repository, &source, "one").error();
    let expected = format!("cannot fetch {}, which wants a login", other.url("", "sub"));
    assert!(error.contains("the submodule sub of") && error.contains(&expected), "{error}");
    assert!(server.seen().contains(&RIGHT.to_owned()));
    assert!(!other.seen().is_empty() && other.seen().iter().all(String::is_empty));

    // Nor does it follow where the server points to.
    let target = other.url("", "project");
    let before = other.seen().len();
    let redirecting = Server::new(move |_, mut stream| {
        let mut request = [0; 4096];
        let n = stream.read(&mut request).expect("a request");
        let line = String::from_utf8_lossy(&request[..n]);
        let query = line.split([' ', '?']).nth(2).expect("a query").to_owned();
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: {target}/info/refs?{query}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).expect("a client");
    });
    let url = format!("http://127.0.0.1:{}/project", redirecting.port);
    let repository = Repository::new(&url, credentials.get("x")).unwrap();
    resolve(&world, &repository).error();
    assert!(other.seen().len() > before, "it was redirected");
    assert!(other.seen().iter().all(String::is_empty), "{:?}", other.seen());
}

#[test]
fn a_server_that_repeats_the_password() {
    let world = World::new();
    let server = Server::new(|_, mut stream| {
        let mut request = [0; 4096];
        let n = stream.read(&mut request).expect("a request");
        let authorized = String::from_utf8_lossy(&request[..n]).contains(RIGHT);
        let head = match authorized {
            true => "403 Forbidden\r\nContent-Type: text/plain",
            false => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"",
        };
        let body = format!("the password {PASSWORD} is right\n");
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).expect("a client");
    });
    let credentials = world.credentials(json!({ "username": "ci", "password": PASSWORD }));
    let url = format!("http://127.0.0.1:{}/project", server.port);
    let outcome = resolve(&world, &Repository::new(&url, credentials.get("x")).unwrap());
    assert!(outcome.log.contains("remote: the password *** is right"), "{}", outcome.log);
    assert!(!outcome.log.contains("s3cret"), "{}", outcome.log);
    let error = outcome.error();
    assert!(error.contains("the password *** is right") && !error.contains("s3cret"), "{error}");
}

#[test]
fn ssh_uses_the_key_alone_and_asks_nothing() {
    let world = World::new();
    world.repository("project");
    // Stands in for a server: notes its arguments, and runs the last one here.
    let bin = world.path("bin");
    fs::create_dir(&bin).unwrap();
    let ssh = "#!/bin/sh\necho \"$@\" >> \"$SOURCES_DIR/ssh\"\n\
               for last; do :; done; cd \"$SOURCES_DIR/remote\" && eval \"$last\"\n";
    fs::write(bin.join("ssh"), ssh).unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(world.path("the key"), "key").unwrap();
    let fields =
        json!({ "username": "robot", "password": "n0t-needed", "ssh_key_file": "the key" });
    world.credentials(fields);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = |url: &str, more: &[(&str, &str)]| {
        let _ = fs::remove_file(world.path("ssh"));
        let mut command = world.elsewhere(url);
        command.env("PATH", &path).env_remove("GIT_SSH_COMMAND").env_remove("GIT_SSH");
        let output = command.envs(more.iter().copied()).output().unwrap();
        assert!(text(output.stdout).contains("commit "), "{}", text(output.stderr));
        read(&world.path("ssh")).replace(world.path("").to_str().unwrap(), "[dir]/")
    };
    let arguments = run("git@git.example.com:project", &[]);
    let expected = "-o BatchMode=yes -o StrictHostKeyChecking=accept-new -i [dir]/the key \
                    -o IdentitiesOnly=yes -o SendEnv=GIT_PROTOCOL git@git.example.com \
                    git-upload-pack 'project'\n";
    // It connects twice.
    assert_eq!(arguments, expected.repeat(2));
    let url = format!("ssh://git.example.com:29418{}", world.remote("project").display());
    let arguments = run(&url, &[]);
    assert!(arguments.contains("-o IdentitiesOnly=yes -l robot "), "{arguments}");
    assert!(arguments.contains(" -p 29418 git.example.com "), "{arguments}");
    fs::remove_file(world.path("credential.json")).unwrap();
    let own = [("GIT_SSH_COMMAND", "ssh -F own.conf")];
    let arguments = run("git@git.example.com:project", &own);
    assert!(arguments.starts_with("-F own.conf -o BatchMode=yes "), "{arguments}");
    assert!(!arguments.contains("-i "), "{arguments}");
}
