//! A real PostgreSQL server in a temporary directory.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::{eventually, send};

pub const SECRET: &str = "the-secret/of:the@test";
/// The same in a URL.
const ENCODED: &str = "the-secret%2Fof%3Athe%40test";

/// A server with the role `mad`, which may do everything, and the database `mad`.
pub struct Server {
    process: Child,
    dir: TempDir,
    pub port: u16,
}

impl Server {
    /// `None`, with a word on standard error, if it is not installed.
    pub fn start() -> Option<Server> {
        let Some(programs) = programs() else {
            let require = std::env::var_os("MAD_TESTS_REQUIRE_POSTGRES");
            assert!(require.is_none(), "no PostgreSQL server: apt-get install postgresql");
            eprintln!("skipped: no PostgreSQL server; apt-get install postgresql");
            return None;
        };
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
        let password = path.join("password");
        fs::write(&password, SECRET).expect("a file");
        if let Some(user) = server_user() {
            for path in [path, &password] {
                chown(path, Some(user), None).expect("an owner");
            }
        }
        let made = as_server(&programs.join("initdb"))
            .args(["-U", "mad", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale", "C"])
            .arg("--pwfile")
            .arg(&password)
            .arg(path.join("data"))
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let process = as_server(&programs.join("postgres"))
            .arg("-D")
            .arg(path.join("data"))
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", &format!("unix_socket_directories={}", path.display())])
            .stdout(Stdio::null())
            .stderr(fs::File::create(path.join("log")).expect("a log"))
            .spawn()
            .expect("postgres");
        let server = Server { process, dir, port };
        eventually("a server that answers", || {
            server.psql("postgres", "SELECT 1").status.success()
        });
        server.sql_in("postgres", "CREATE DATABASE mad");
        Some(server)
    }

    /// The URL of the database, password included.
    pub fn url(&self) -> String {
        format!("postgres://mad:{ENCODED}@127.0.0.1:{}/mad", self.port)
    }

    /// The same without the password.
    pub fn open_url(&self) -> String {
        format!("postgres://mad@127.0.0.1:{}/mad", self.port)
    }

    /// What a statement prints.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("mad", sql)
    }

    #[track_caller]
    fn sql_in(&self, database: &str, sql: &str) -> String {
        let ran = self.psql(database, sql);
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("text").trim().to_owned()
    }

    fn psql(&self, database: &str, sql: &str) -> Output {
        self.client(database, sql).output().expect("psql")
    }

    fn client(&self, database: &str, sql: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "mad", "-d", database, "-c", sql])
            .env("PGPASSWORD", SECRET)
            .stdin(Stdio::null());
        psql
    }

    /// Somebody who writes, and does not come to an end.
    pub fn busy_writer(&self) -> Writer {
        let lock = i64::from_be_bytes(*b"mad hist");
        let sql =
            format!("SET statement_timeout = 0; SELECT pg_advisory_lock({lock}), pg_sleep(600)");
        let client = self.client("mad", &sql).stdout(Stdio::null()).spawn().expect("psql");
        eventually("a writer", || {
            self.sql("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == "1"
        });
        Writer(client)
    }

    /// How many wait for the writer.
    pub fn waiting(&self) -> String {
        self.sql("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    }

    /// Ends the connections of whoever waits.
    pub fn cut_off(&self) {
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    }

    /// Ends the connections of whoever writes.
    pub fn end(&self, writer: Writer) {
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted");
        drop(writer);
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A shutdown that does not wait for clients.
        send("INT", &self.process.id().to_string());
        let _ = self.process.wait();
    }
}

/// A client, waited for when it is dropped.
pub struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the server's programs are: the newest version of Debian's, else those on the PATH.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = versions.map(|v| v.path().join("bin")).collect();
    debian.sort_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|name| name.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain(debian);
    all.filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file()).last()
}

/// Whom the server runs as, if not as us: it refuses to be root.
fn server_user() -> Option<u32> {
    let id = |args: &[&str]| {
        let out = Command::new("id").args(args).output().expect("id").stdout;
        String::from_utf8_lossy(&out).trim().parse::<u32>().ok()
    };
    (id(&["-u"]) == Some(0)).then(|| id(&["-u", "postgres"]).expect("the user postgres"))
}

fn as_server(program: &Path) -> Command {
    let mut command = match server_user() {
        None => Command::new(program),
        Some(_) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
            command.arg(program);
            command
        }
    };
    // Where it starts it must be allowed to be.
    command.stdin(Stdio::null()).current_dir("/").env("LC_ALL", "C");
    command
}

/// A port that nobody listens at, for the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
