//! A real object store, and a bad network in front of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

pub const KEY: &str = "the-access-key";
pub const SECRET: &str = "the-secret-of-the-test";

/// s3s-fs: keeps the objects of a bucket as files of a directory, checks signatures.
pub struct Server {
    process: Child,
    dir: TempDir,
    pub port: u16,
}

impl Server {
    /// `None`, with a word on standard error, if the program is not installed.
    pub fn start() -> Option<Server> {
        let program = std::env::var_os("MAD_TEST_S3S_FS").unwrap_or_else(|| "s3s-fs".into());
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("bucket")).expect("a bucket");
        for _ in 0..20 {
            let port = free_port();
            let process = Command::new(&program)
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--access-key", KEY, "--secret-key", SECRET])
                .arg(dir.path())
                .env_clear()
                // Where the program itself is found.
                .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let mut process = match process {
                Ok(process) => process,
                Err(e) if std::env::var_os("MAD_TESTS_REQUIRE_S3").is_some() => {
                    panic!("{}: {e}", program.display())
                }
                Err(_) => {
                    eprintln!(
                        "skipped: no s3s-fs; cargo install s3s-fs --version 0.14.1 --features binary --locked"
                    );
                    return None;
                }
            };
            // It ends at once if somebody else took the port.
            while process.try_wait().expect("a child").is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Server { process, dir, port });
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("{} does not start", program.display());
    }

    /// The file behind an object.
    pub fn object(&self, key: &str) -> PathBuf {
        self.dir.path().join("bucket").join(key)
    }

    pub fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.object(key);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("an object");
    }

    pub fn remove(&self, key: &str) {
        fs::remove_file(self.object(key)).expect("an object");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody listens at, for the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// What happens to a connection.
pub enum Fate {
    /// It reaches the server, until the server has sent this many bytes.
    Relayed(u64),
    /// It is answered with this text and closed, once it has asked for something.
    Answered(String),
    /// Nobody ever answers.
    Silent,
}

/// Listens at the returned port, until the test ends, and lets `fate` decide about each
/// connection by its number, from 0.
pub fn network(to: u16, fate: impl Fn(usize) -> Fate + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let fate = Arc::new(fate);
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (client, fate) = (client.expect("a connection"), Arc::clone(&fate));
            std::thread::spawn(move || match fate(number) {
                Fate::Relayed(limit) => relay(&client, to, limit),
                Fate::Answered(text) => answer(client, &text),
                Fate::Silent => std::thread::park(),
            });
        }
    });
    port
}

fn relay(client: &TcpStream, to: u16, limit: u64) {
    let server = TcpStream::connect(("127.0.0.1", to)).expect("the server");
    let (mut from, mut into) =
        (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut into);
        let _ = into.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut (&server).take(limit), &mut &*client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn answer(mut client: TcpStream, text: &str) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|n| n == 1) {
        request.push(byte[0]);
    }
    let _ = client.write_all(text.as_bytes());
}

/// All files below `dir`, relative to it, sorted.
pub fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let relative = path.strip_prefix(dir).expect("below");
                found.push(relative.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}
