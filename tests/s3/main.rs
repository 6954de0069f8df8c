//! Data sets in an object store: a real one, s3s-fs, on this machine. Without it these
//! tests are skipped, with `MAD_TESTS_REQUIRE_S3=1` they fail.

#![allow(missing_docs, unreachable_pub)]

mod server;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use mad_harness::credentials::Credentials;
use mad_harness::data::{
    DataConfig, DataOptions, DataPlan, Fetched, ProviderKind, Resolver, Servers, fetch, provide,
};
use serde_json::{Value, json};
use server::{Fate, KEY, SECRET, Server, files, free_port, network};
use tempfile::TempDir;

/// A catalog that gets its data from here.
struct Site {
    dir: TempDir,
    credentials: Value,
    log: Mutex<String>,
}

impl Site {
    fn new(port: u16) -> Site {
        let credentials = json!({ "MAD_MINIO": {
            "USERNAME": KEY, "PASSWORD": SECRET, "MINIO_ENDPOINT": format!("http://127.0.0.1:{port}"),
        }});
        Site {
            dir: tempfile::tempdir().expect("a temporary directory"),
            credentials,
            log: Mutex::default(),
        }
    }

    fn resolve(&self, data: &Value, names: &str, servers: Servers) -> Result<Vec<DataPlan>> {
        let options = DataOptions { overlay: Some(data), ..Default::default() };
        let config = DataConfig::load(self.dir.path(), &options);
        // In a place of its own: two downloads at once would read a file half written.
        let place = tempfile::tempdir().expect("a temporary directory");
        let file = place.path().join("credential.json");
        fs::write(file, self.credentials.to_string()).expect("a file");
        let credentials = Credentials::load(place.path()).expect("credentials");
        let cache = self.dir.path().join("cache");
        let resolver = Resolver::new(&config, self.dir.path(), &cache, &credentials, servers);
        Ok(resolver.resolve(names)?)
    }

    /// The plan for the data set `d` at this place.
    fn plan(&self, path: &str) -> DataPlan {
        let data = json!({ "d": { "minio": { "path": path } } });
        self.resolve(&data, "d", Servers::Trust).expect("a plan").remove(0)
    }

    fn get(&self, path: &str) -> Result<Fetched> {
        self.get_until(path, &|| false)
    }

    fn get_until(&self, path: &str, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<Fetched> {
        let log = |line: &str| *self.log.lock().expect("no panic") += &format!("{line}\n");
        fetch(&self.plan(path), &log, cancelled).map(|fetched| fetched.expect("a download"))
    }

    /// Why it cannot be had; the secret is nowhere in it.
    fn refusal(&self, path: &str) -> String {
        let error = format!("{:#}", self.get(path).expect_err("a refusal"));
        let log = self.log.lock().expect("no panic");
        assert!(!error.contains(SECRET) && !log.contains(SECRET), "{error}\n{log}");
        error
    }

    /// Where the data set `d` is.
    fn data(&self) -> PathBuf {
        self.dir.path().join("cache/d")
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.data().join(file)).expect("a file")
    }
}

fn new(fetched: &Fetched) -> (u64, u64) {
    (fetched.new_objects, fetched.removed)
}

/// 1500 objects in 15 directories: more than a server lists at once.
fn many(server: &Server) -> u64 {
    for number in 0..1500 {
        server.put(&format!("many/{:02}/a file ü {number}", number % 15), format!("{number}\n"));
    }
    1500
}

#[test]
fn many_objects_and_afterwards_what_changed() {
    let Some(server) = Server::start() else { return };
    let site = Site::new(server.port);
    let count = many(&server);
    server.put("many2/sibling", "not of this data set");
    let first = site.get("s3://bucket/many").unwrap();
    assert_eq!((first.objects, new(&first)), (count, (count, 0)));
    assert_eq!(first.bytes, (0..1500).map(|n| format!("{n}\n").len() as u64).sum::<u64>());
    assert_eq!(first.new_bytes, first.bytes);
    assert_eq!(files(&site.data()).len(), 1500);
    assert_eq!(site.text("07/a file ü 1492"), "1492\n");

    let again = site.get("s3://bucket/many/").unwrap();
    assert_eq!((again.objects, new(&again), again.new_bytes), (count, (0, 0), 0));

    server.put("many/00/a file ü 0", "changed");
    server.put("many/new/deep/one", "new");
    for number in (1..1500).step_by(15) {
        server.remove(&format!("many/01/a file ü {number}"));
    }
    fs::write(site.data().join("02/a file ü 2"), "damaged here").unwrap();
    fs::write(site.data().join("of the user"), "stays").unwrap();
    let changed = site.get("s3://bucket/many").unwrap();
    assert_eq!((changed.objects, new(&changed)), (1401, (3, 100)));
    assert_eq!(site.text("00/a file ü 0"), "changed");
    assert_eq!(site.text("02/a file ü 2"), "2\n");
    assert_eq!(site.text("of the user"), "stays");
    assert!(!site.data().join("01").exists(), "an empty directory is left");
}

#[test]
fn an_interrupted_download_goes_on() {
    let Some(server) = Server::start() else { return };
    let site = Site::new(server.port);
    many(&server);
    let error = site.get_until("s3://bucket/many", &|| files(&site.data()).len() >= 100);
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.ends_with("cancelled"), "{error}");
    let here = files(&site.data());
    assert!((100..1500).contains(&here.len()), "{}", here.len());
    for file in &here {
        assert_eq!(site.text(file), format!("{}\n", file.rsplit(' ').next().unwrap()));
    }
    let rest = site.get("s3://bucket/many").unwrap();
    assert_eq!(rest.new_objects, 1500 - here.len() as u64);
}

#[test]
fn two_at_once_share_one_download() {
    let Some(server) = Server::start() else { return };
    let site = Site::new(server.port);
    many(&server);
    let (one, other) = std::thread::scope(|scope| {
        let get = || site.get("s3://bucket/many").unwrap();
        let (one, other) = (scope.spawn(get), scope.spawn(get));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one.new_objects + other.new_objects, 1500);
    assert_eq!((one.objects, other.objects), (1500, 1500));
}

#[test]
fn a_large_object_over_a_connection_that_breaks() {
    let Some(server) = Server::start() else { return };
    let block: Vec<u8> =
        (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let content = block.repeat(200);
    server.put("large/weights.bin", &content);
    // The third and later connections hold.
    let port = network(server.port, |n| Fate::Relayed(if n < 2 { 70 << 20 } else { u64::MAX }));
    let site = Site::new(port);
    let fetched = site.get("s3://bucket/large").unwrap();
    // Nothing was downloaded twice.
    assert_eq!((fetched.bytes, fetched.new_bytes), (200 << 20, 200 << 20));
    assert!(fs::read(site.data().join("weights.bin")).unwrap() == content, "other content");
    let modified = |path: PathBuf| fs::metadata(path).unwrap().mtime();
    let here = modified(site.data().join("weights.bin"));
    assert_eq!(here, modified(server.object("large/weights.bin")));
}

#[test]
fn nothing_is_seen_of_an_object_that_is_not_complete() {
    let Some(server) = Server::start() else { return };
    server.put("d/small", "small");
    server.put("d/large", vec![7; 4 << 20]);
    let port = network(server.port, |n| Fate::Relayed(if n == 0 { u64::MAX } else { 1 << 20 }));
    let site = Site::new(port);
    // Each new connection brings another MiB, and then nobody wants it any more.
    let seen = AtomicBool::new(false);
    let partial = site.dir.path().join("cache/.mad/d/partial");
    let cancelled = || {
        let begun = fs::read_dir(&partial).into_iter().flatten().flatten();
        let begun = begun.filter_map(|e| e.metadata().ok()).any(|m| m.len() > 1000);
        seen.fetch_or(begun, Ordering::Relaxed) || begun
    };
    let error = format!("{:#}", site.get_until("s3://bucket/d", &cancelled).unwrap_err());
    assert!(error.ends_with("cancelled"), "{error}");
    assert!(!site.data().join("large").exists());
    // Also not after the one that was cancelled is followed by another.
    let whole = Site { dir: site.dir, ..Site::new(server.port) };
    let rest = whole.get("s3://bucket/d").unwrap();
    assert!(rest.new_objects >= 1, "{rest:?}");
    assert_eq!(files(&whole.data()), ["large", "small"]);
}

#[test]
fn a_server_that_falls_silent_does_not_keep_anybody() {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let port = network(0, |_| {
        ASKED.store(true, Ordering::Relaxed);
        Fate::Silent
    });
    let site = Site::new(port);
    let error = site.get_until("s3://bucket/d", &|| ASKED.load(Ordering::Relaxed));
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.ends_with("cancelled"), "{error}");
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let Some(server) = Server::start() else { return };
    server.put("d/one", "1");
    let busy = "HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let port = network(server.port, move |number| match number {
        0 | 2 => Fate::Answered(busy.to_owned()),
        1 => Fate::Relayed(100),
        _ => Fate::Relayed(u64::MAX),
    });
    assert_eq!(Site::new(port).get("s3://bucket/d").unwrap().new_objects, 1);
}

#[test]
fn places_mean_what_they_say() {
    let Some(server) = Server::start() else { return };
    server.put("set/a/model.onnx", "model");
    server.put("set/a/model.onnx.sha256", "sum");
    server.put("set/empty", "");
    let names = |path: &str| {
        let site = Site::new(server.port);
        site.get(path).unwrap();
        files(&site.data())
    };
    assert_eq!(names("s3://bucket/set/a/model.onnx"), ["model.onnx"]);
    assert_eq!(names("minio://bucket/set/a"), ["model.onnx", "model.onnx.sha256"]);
    assert_eq!(names("s3://bucket"), ["set/a/model.onnx", "set/a/model.onnx.sha256", "set/empty"]);
    // A data set that is elsewhere from now on is that one alone.
    let site = Site::new(server.port);
    site.get("s3://bucket/set").unwrap();
    let moved = site.get("s3://bucket/set/a").unwrap();
    assert_eq!(new(&moved), (2, 3));
    assert_eq!(files(&site.data()), ["model.onnx", "model.onnx.sha256"]);
}

#[test]
fn what_is_wrong_is_said() {
    let Some(server) = Server::start() else { return };
    server.put("set/a", "1");
    let mut text = String::new();
    let mut note = |site: &Site, path: &str| {
        let error = site.refusal(path).replace(&server.port.to_string(), "PORT");
        text += &format!("{error}\n");
        assert!(!site.data().exists() || files(&site.data()).is_empty());
    };
    note(&Site::new(server.port), "s3://nobucket/set");
    note(&Site::new(server.port), "s3://bucket/sets");
    note(&Site::new(server.port), "s3://bucket/se");
    note(&Site::new(server.port), "s3://bucket/set/a/");
    let mut wrong = Site::new(server.port);
    wrong.credentials["MAD_MINIO"]["PASSWORD"] = json!("not-the-secret");
    note(&wrong, "s3://bucket/set");
    wrong.credentials["MAD_MINIO"]["USERNAME"] = json!("not-the-key");
    note(&wrong, "s3://bucket/set");
    insta::assert_snapshot!(text);
}

/// A server that lists these keys, each with an empty object.
fn listing(keys: &[&str]) -> u16 {
    let objects: String = keys
        .iter()
        .map(|key| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>0</Size></Contents>"
            )
        })
        .collect();
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"
    );
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
    network(0, move |_| Fate::Answered(format!("{head}\r\n\r\n{body}")))
}

#[test]
fn a_key_that_leads_elsewhere_is_refused() {
    // No server that keeps objects as files can hold such a key.
    for key in ["d/../../evil", "d//evil", "d/./evil", "d/sub/.."] {
        let site = Site::new(listing(&[key]));
        let error = site.refusal("s3://bucket/d");
        assert!(error.contains("cannot be a file"), "{error}");
        assert!(files(&site.data()).is_empty());
    }
    let site = Site::new(listing(&["d/dir/", "d/file"]));
    assert_eq!(site.get("s3://bucket/d").unwrap().objects, 1);
    let site = Site::new(listing(&["e/file"]));
    assert!(site.refusal("s3://bucket/d").contains("the server lists"));
}

#[test]
fn a_server_that_is_no_object_store_is_found_out() {
    let page = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n<html></html>";
    let error = Site::new(network(0, move |_| Fate::Answered(page.to_owned()))).refusal("s3://b/d");
    assert!(error.contains("but not as S3 does"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_passed_over() {
    let Some(server) = Server::start() else { return };
    server.put("set/a", "1");
    let mut site = Site::new(free_port());
    site.credentials["MAD_AWS_S3"] = json!({
        "USERNAME": KEY, "PASSWORD": SECRET, "ENDPOINT_URL": format!("http://127.0.0.1:{}", server.port),
    });
    let mirror = site.dir.path().join("mirror");
    fs::create_dir(&mirror).unwrap();
    let place = json!({ "path": "s3://bucket/set" });
    let mirrored = json!({ "path": "s3://bucket/set", "mirrorlocal": mirror });
    let data = json!({
        "both": { "minio": place, "aws": mirrored },
        "minio": { "minio": place },
        "local": { "local": { "path": "/tmp" } },
    });
    let plans = site.resolve(&data, "local,both", Servers::Ask).unwrap();
    assert_eq!(plans[1].provider, ProviderKind::Aws);
    assert!(plans[1].passed_over[0].contains("does not answer"), "{:?}", plans[1].passed_over);
    assert!(!format!("{plans:?}").contains(SECRET));
    assert!(plans[1].secrets().contains(&SECRET.to_owned()));
    let mount = plans[1].mount.as_ref().unwrap();
    assert_eq!((&mount.host, mount.writable), (&mirror.join("both"), false));

    let provided = provide(&plans, &|_| {}, &|| false).unwrap();
    assert_eq!(files(&mirror.join("both")), ["a"]);
    assert_eq!(
        (provided.names.as_str(), provided.providers.as_str(), provided.bytes),
        ("local,both", "local,aws", Some(1))
    );
    assert!(provided.seconds.is_some());

    let error = site.resolve(&data, "minio", Servers::Ask).unwrap_err().to_string();
    assert!(error.contains("minio: http://127.0.0.1:"), "{error}");
}
