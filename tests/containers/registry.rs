//! Images from a registry: a real one, on this host's loopback.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::common::eventually;
use crate::engine::{Engine, Entry};

/// Debian's registry, which Docker trusts on the loopback without TLS.
pub(crate) struct Registry {
    server: Child,
    pub(crate) address: String,
    _dir: TempDir,
}

impl Registry {
    pub(crate) fn start() -> Registry {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Whoever takes the port between here and there makes this test fail, not lie.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let address = free.expect("a free port").to_string();
        let config = json!({
            "version": 0.1,
            "storage": { "filesystem": { "rootdirectory": dir.path().join("data") } },
            "http": { "addr": address },
        });
        let path = dir.path().join("config.yml");
        fs::write(&path, config.to_string()).expect("a file");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path).stdin(Stdio::null());
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = server.expect("docker-registry");
        eventually("it listens", || TcpStream::connect(&address).is_ok());
        Registry { server, address, _dir: dir }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What these tests lack, if they lack it.
pub(crate) fn lacks_registry() -> Option<&'static str> {
    let found = Command::new("docker-registry").arg("--version").output();
    if found.is_ok() { None } else { Some("needs docker-registry") }
}

/// Makes an image told by `which`, and moves it to the registry under `name`.
fn push(engine: &Engine, entry: &Entry<'_>, name: &str, which: &str) {
    let dir = entry.fixture.path(which);
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join("Dockerfile"), format!("FROM {}\nENV WHICH={which}\n", engine.base))
        .expect("a file");
    engine.ask(&["build", "-t", name, dir.to_str().expect("text")]);
    engine.ask(&["push", name]);
    engine.ask(&["rmi", name]);
}

pub(crate) fn images_are_pulled(engine: &Engine) {
    let registry = Registry::start();
    let name = format!("{}/some/base:1", registry.address);
    let entry = engine.entry("echo \"performance: 1 $WHICH\"", json!({}));
    push(engine, &entry, &name, "first");
    entry.wrap_client("");
    let pulls = || entry.calls().iter().filter(|c| c.starts_with("pull ")).count();
    entry.benchmark(&["--use-image", &name]).run().exits(0);
    assert_eq!(pulls(), 1);
    let digest = entry.measurement()["prepared"]["image"]["digest"].clone();
    let digest = digest.as_str().expect("a digest").to_owned();
    assert!(digest.starts_with(&format!("{}/some/base@sha256:", registry.address)), "{digest}");
    let row = &entry.fixture.rows()[0];
    assert_eq!((row.get("docker_image"), row.get("metric")), (name.as_str(), "first"));
    assert_eq!(row.get("docker_sha"), digest.split_once('@').expect("a digest").1);
    // By its digest it is the same one, and there.
    entry.benchmark(&["--use-image", &name]).run().exits(0);
    entry.benchmark(&["--use-image", &digest]).run().exits(0);
    assert_eq!(pulls(), 0);
    let missing = format!("{}/some/other:1", registry.address);
    entry.benchmark(&["--use-image", &missing]).run().exits(2).says(&["cannot pull", "not found"]);

    // As a base image; a newer one is taken where all is made anew.
    entry.dockerfile("Dockerfile", "{}", &format!("FROM {name}"));
    entry.benchmark(&[]).run().exits(0);
    let image = entry.measurement()["prepared"]["image"].clone();
    assert_eq!((&image["base"], &image["base_digest"]), (&json!(name), &json!(digest)));
    push(engine, &entry, &name, "second");
    let metric = |args: &[&str]| {
        entry.benchmark(args).run().exits(0);
        entry.fixture.rows().last().expect("a row").get("metric").to_owned()
    };
    assert_eq!(metric(&[]), "first");
    assert_eq!(metric(&["--clean"]), "second");
    assert_ne!(entry.measurement()["prepared"]["image"]["base_digest"], image["base_digest"]);
    let _ = engine.try_ask(&["rmi", "-f", &name]);
}
