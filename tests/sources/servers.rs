//! Real git servers on ports of their own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What it does with a connection, which it is also given the number of, from 0.
type Handler = dyn Fn(usize, TcpStream) + Send + Sync;

/// A server; stops when dropped.
pub struct Server {
    pub port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new(handler: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let (handler, stopped): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let handler = Arc::clone(&handler);
                std::thread::spawn(move || handler(number, stream));
            }
        });
        Server { port, stop, thread: Some(thread) }
    }

    /// `git daemon`, for the repositories below `base`.
    pub fn git(base: &Path) -> Server {
        let base = base.to_owned();
        Server::new(move |_, stream| git_daemon(&base, stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it up.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves one connection by git's own protocol.
pub fn git_daemon(base: &Path, stream: TcpStream) {
    let input = OwnedFd::from(stream.try_clone().expect("a socket"));
    let status = Command::new("git")
        .args(["daemon", "--inetd", "--export-all", "--log-destination=none"])
        .arg(format!("--base-path={}", base.display()))
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(OwnedFd::from(stream)))
        .status();
    status.expect("git daemon");
}

/// A git server by HTTP that wants to see one line `Authorization`.
pub struct Http {
    server: Server,
    seen: Arc<Mutex<Vec<String>>>,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Http {
    /// Serves the repositories below `base` to those who authorize themselves like this,
    /// and looks for `secret` on the command line of every process meanwhile.
    pub fn new(base: &Path, authorization: &'static str, secret: &'static str) -> Http {
        let [seen, shown] = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
        let base = base.to_owned();
        let (see, show) = (Arc::clone(&seen), Arc::clone(&shown));
        let server = Server::new(move |_, stream| {
            show.lock().expect("a lock").extend(command_lines_with(secret));
            let request = Request::read(&stream);
            let given = request.header("authorization").unwrap_or_default().to_owned();
            let authorized = given == authorization;
            see.lock().expect("a lock").push(given);
            request.answer(authorized, &base, stream);
        });
        Http { server, seen, shown }
    }

    /// The authorizations that were given, in order; empty for none.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("a lock").clone()
    }

    /// Command lines that held the secret.
    pub fn shown(&self) -> Vec<String> {
        self.shown.lock().expect("a lock").clone()
    }

    pub fn url(&self, userinfo: &str, path: &str) -> String {
        format!("http://{userinfo}127.0.0.1:{}/{path}", self.server.port)
    }
}

fn command_lines_with(secret: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.map(|p| std::fs::read(p.path().join("cmdline")).unwrap_or_default());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(secret)).collect()
}

struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(mut stream: &TcpStream) -> Request {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.filter_map(header).collect();
        let mut request = Request { line, headers, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |l| l.parse().expect("a length"));
        request.body = vec![0; length];
        stream.read_exact(&mut request.body).expect("a body");
        request
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn answer(&self, authorized: bool, base: &PathBuf, mut stream: TcpStream) {
        let answer = if authorized { self.backend(base) } else { unauthorized() };
        // The client may have had enough.
        let _ = stream.write_all(&answer);
    }

    /// What `git http-backend` says, which speaks CGI.
    fn backend(&self, base: &PathBuf) -> Vec<u8> {
        let mut words = self.line.split(' ');
        let (method, target) = (words.next().expect("a method"), words.next().expect("a target"));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", base)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REMOTE_USER", "somebody")
            .env("CONTENT_LENGTH", self.body.len().to_string());
        for (header, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
        ] {
            command.envs(self.header(header).map(|value| (variable, value)));
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git http-backend");
        child.stdin.take().expect("a pipe").write_all(&self.body).expect("the body");
        let output = child.wait_with_output().expect("an answer").stdout;
        let text = String::from_utf8_lossy(&output);
        let status = text.strip_prefix("Status: ").and_then(|rest| rest.lines().next());
        let mut answer = format!("HTTP/1.1 {}\r\n", status.unwrap_or("200 OK")).into_bytes();
        answer.extend(b"Connection: close\r\n");
        answer.extend(output);
        answer
    }
}

fn unauthorized() -> Vec<u8> {
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
      Content-Length: 0\r\nConnection: close\r\n\r\n"
        .to_vec()
}
