//! The real engine that the tests run on, and a catalog whose entry runs in it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Fixture, Mad};

/// Where Debian's static programs are, of which the image is made.
const PROGRAMS: [&str; 2] = ["/bin/bash-static", "/bin/busybox"];

/// Settings with which Podman works where the limits of this machine are lower than its
/// defaults, and where only runc knows the kernel's control groups. Without a network no
/// bridge is left behind.
const CONTAINERS_CONF: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// An engine that answers and has the base image.
pub(crate) struct Engine {
    pub(crate) program: &'static str,
    /// Variables by which its client finds it.
    variables: Vec<(&'static str, OsString)>,
    /// A small image with bash and busybox, of this test process alone.
    pub(crate) base: String,
    /// What is needed to make images like it, and what Podman keeps.
    dir: TempDir,
}

impl Engine {
    /// The engine behind `program` in the environment of the tests.
    ///
    /// # Errors
    /// Why it cannot be used here.
    pub(crate) fn reach(program: &'static str) -> Result<Engine, String> {
        let inherited = ["DOCKER_HOST", "CONTAINERS_CONF", "XDG_RUNTIME_DIR"];
        let set = inherited.iter().filter_map(|v| Some((*v, std::env::var_os(v)?)));
        Engine::reach_at(program, set.collect())
    }

    /// The engine behind `program` where these variables are set.
    ///
    /// # Errors
    /// Why it cannot be used here.
    pub(crate) fn reach_at(
        program: &'static str,
        variables: Vec<(&'static str, OsString)>,
    ) -> Result<Engine, String> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let base = format!("mad-test-base:{}", std::process::id());
        let mut engine = Engine { program, variables, base, dir };
        engine.try_ask(&["version"])?;
        fs::create_dir(engine.context()).expect("a directory");
        for path in PROGRAMS {
            let name = Path::new(path).file_name().expect("a name");
            let copied = fs::copy(path, engine.context().join(name));
            copied.map_err(|e| format!("the image needs {path}: {e}"))?;
        }
        if program == "docker" {
            return engine.make_base().map(|()| engine);
        }
        // A store of its own: builds of one process fail while another removes images.
        let places = ["graphroot", "runroot"].map(|key| {
            format!("{key} = \"{}\"\n", engine.dir.path().join("podman").join(key).display())
        });
        let storage = format!("[storage]\ndriver = \"overlay\"\n{}", places.concat());
        engine.configure("CONTAINERS_STORAGE_CONF", "storage.conf", &storage);
        engine
            .make_base()
            .or_else(|_| {
                engine.configure("CONTAINERS_CONF", "containers.conf", CONTAINERS_CONF);
                engine.make_base()
            })
            .map(|()| engine)
    }

    fn configure(&mut self, variable: &'static str, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("a file");
        self.variables.push((variable, path.into()));
    }

    /// Where the programs are that the base image has.
    pub(crate) fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    fn make_base(&self) -> Result<(), String> {
        let dockerfile = format!(
            "FROM scratch\nLABEL {}\nCOPY bash-static /bin/bash\nCOPY busybox /bin/busybox\n\
             RUN [\"/bin/busybox\", \"--install\", \"/bin\"]\nRUN mkdir -p -m 1777 /tmp\n",
            label()
        );
        fs::write(self.context().join("Dockerfile"), dockerfile).expect("a file");
        let context = self.context().display().to_string();
        self.try_ask(&["build", "--network=host", "-t", &self.base, &context])?;
        self.try_ask(&["run", "--rm", "--network=none", &self.base, "true"]).map(drop)
    }

    /// The engine's own client, for a look from outside.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(args).envs(self.variables.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// What the engine answers; its standard error where it refuses.
    pub(crate) fn try_ask(&self, args: &[&str]) -> Result<String, String> {
        let said = self.command(args).output();
        let said = said.map_err(|e| format!("cannot start {}: {e}", self.program))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match said.status.success() {
            true => Ok(text(&said.stdout)),
            false => Err(format!("{} {}: {}", self.program, args.join(" "), text(&said.stderr))),
        }
    }

    /// What the engine answers.
    #[track_caller]
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        self.try_ask(args).unwrap_or_else(|e| panic!("{e}"))
    }

    /// `mad` on the catalog of `fixture`, with this engine.
    pub(crate) fn mad(&self, fixture: &Fixture, args: &[&str]) -> Mad {
        let mut mad = fixture.mad(args).env("MAD_CONTAINER_ENGINE", self.program);
        mad = mad.env_remove("DOCKER_HOST");
        for (name, value) in &self.variables {
            mad = mad.env(name, value);
        }
        mad
    }

    /// An entry that runs `body` in the base image.
    pub(crate) fn entry(&self, body: &str, extra: Value) -> Entry<'_> {
        let entry = self.entry_without_image(body, extra);
        entry.dockerfile("Dockerfile", "{}", &format!("FROM {}", self.base));
        entry
    }

    /// The same, whose Dockerfiles are yet to be written.
    pub(crate) fn entry_without_image(&self, body: &str, extra: Value) -> Entry<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Names of images and containers follow from it.
        let name = format!("t{}-{number}", std::process::id());
        let mut keys = json!({ "dockerfile": "docker/m" });
        if let (Some(keys), Value::Object(extra)) = (keys.as_object_mut(), extra) {
            keys.extend(extra);
        }
        let fixture = Fixture::empty().entry(&name, body, keys);
        fs::create_dir(fixture.root().join("docker")).expect("a directory");
        Entry { engine: self, fixture, name, path: RefCell::default() }
    }

    /// Whether the client builds with BuildKit, which can keep secrets. Docker's does up to
    /// version 22, and later through a plug-in.
    pub(crate) fn has_buildkit(&self) -> bool {
        let version = self.ask(&["version", "--format", "{{.Client.Version}}"]);
        let major = version.split('.').next().and_then(|n| n.parse::<u32>().ok());
        major.is_some_and(|n| n < 23) || self.try_ask(&["buildx", "version"]).is_ok()
    }

    /// The client itself.
    pub(crate) fn real_program(&self) -> PathBuf {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|d| d.join(self.program));
        found.into_iter().find(|p| p.is_file()).expect("the client")
    }

    /// The label of images that are to be removed in the end; what is built on the base
    /// image has it.
    pub(crate) fn label(&self) -> String {
        label()
    }

    /// Removes the images of this process, and the containers that a failed test left.
    pub(crate) fn clean(&self) {
        let filter = format!("label={}", label());
        let remove = |list: &[&str], remove: &[&str]| {
            let found = self.try_ask(&[list, &["--filter", &filter]].concat()).unwrap_or_default();
            let found: Vec<&str> = found.split_whitespace().collect();
            !found.is_empty() && self.try_ask(&[remove, &found].concat()).is_err()
        };
        remove(&["ps", "-aq"], &["rm", "-f", "-v"]);
        // An image that is built on goes once those built on it have gone.
        let _ = (0..5).take_while(|_| remove(&["images", "-q"], &["rmi", "-f"])).count();
        // Nothing is dropped when the process ends.
        let _ = fs::remove_dir_all(self.dir.path());
    }
}

/// What all images of this process have, and their containers inherit.
fn label() -> String {
    format!("mad.test={}", std::process::id())
}

/// A catalog with an entry that runs in a container.
pub(crate) struct Entry<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) fixture: Fixture,
    /// Its name, which no other test has.
    pub(crate) name: String,
    path: RefCell<Option<OsString>>,
}

impl Entry<'_> {
    /// Writes `docker/m.<suffix>` with this CONTEXT and these instructions.
    pub(crate) fn dockerfile(&self, suffix: &str, context: &str, text: &str) {
        let text = format!("# CONTEXT {context}\n{text}\n");
        self.fixture.write(&format!("docker/m.{suffix}"), text);
    }

    /// `mad` with these arguments.
    pub(crate) fn mad(&self, args: &[&str]) -> Mad {
        let mad = self.engine.mad(&self.fixture, args);
        match &*self.path.borrow() {
            Some(path) => mad.env("PATH", path),
            None => mad,
        }
    }

    /// `mad benchmark` with these further arguments.
    pub(crate) fn benchmark(&self, args: &[&str]) -> Mad {
        self.mad(&[&["benchmark"], args].concat())
    }

    /// The log of the first execution of the newest run.
    #[track_caller]
    pub(crate) fn log(&self) -> String {
        self.fixture.log(&self.name)
    }

    /// Lines of that log without what the test's scripts have to print for the harness.
    pub(crate) fn lines(&self) -> Vec<String> {
        let log = self.log();
        log.lines().filter(|l| !l.starts_with("performance:")).map(str::to_owned).collect()
    }

    /// The newest measurement.
    #[track_caller]
    pub(crate) fn measurement(&self) -> Value {
        self.fixture.record(&format!("{}/attempt-1/measurement.json", self.name))
    }

    /// Containers of the entry, running or not, by name.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("name=mad-{}-", self.name);
        let said = self.engine.ask(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter]);
        said.lines().map(str::to_owned).collect()
    }

    /// Fails the test if a container of the entry is left.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self) {
        assert_eq!(self.containers(), Vec::<String>::new());
    }

    /// From now on the client is started by a script: it writes down what it is asked, does
    /// `first`, and then becomes the real one.
    pub(crate) fn wrap_client(&self, first: &str) {
        let dir = self.fixture.path("client");
        fs::create_dir_all(&dir).expect("a directory");
        let real = self.engine.real_program();
        let calls = self.calls_file();
        let script = format!(
            "#!/bin/bash\nprintf '%q ' \"$@\" >> '{}'\necho >> '{0}'\n{first}\nexec '{}' \"$@\"\n",
            calls.display(),
            real.display()
        );
        write_program(&dir.join(self.engine.program), &script);
        self.first_in_path(&dir);
    }

    /// From now on programs are looked for in `dir` first.
    pub(crate) fn first_in_path(&self, dir: &Path) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = [dir.to_owned()].into_iter().chain(std::env::split_paths(&path));
        *self.path.borrow_mut() = Some(std::env::join_paths(dirs).expect("a path"));
    }

    /// What the client was asked since the last time this was called, a line per call.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.calls_so_far();
        let _ = fs::remove_file(self.calls_file());
        calls
    }

    /// The same, and they stay written down.
    pub(crate) fn calls_so_far(&self) -> Vec<String> {
        let text = fs::read_to_string(self.calls_file()).unwrap_or_default();
        text.lines().map(|l| l.trim().to_owned()).collect()
    }

    fn calls_file(&self) -> PathBuf {
        self.fixture.path("calls")
    }
}

/// A test that fails says what the logs say: their directory goes.
impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in self.fixture.files_with("").iter().filter(|p| p.ends_with("run.log")) {
                let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
                eprintln!("--- {}\n{text}", log.display());
            }
        }
    }
}

/// Writes a program. Not by this process: a thread that forks just then would hold the file
/// open for writing, and what is open for writing cannot be started.
pub(crate) fn write_program(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).expect("a file");
    let installed = Command::new("install").args(["-m", "755"]).args([&draft, path]).status();
    assert!(installed.expect("install").success());
}

/// What tests lack that start daemons and become other users, if they lack it.
pub(crate) fn lacks_root() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().expect("id");
    let dockerd = Command::new("bash").args(["-c", "command -v dockerd"]).output().expect("bash");
    match (id.stdout.trim_ascii() == b"0", dockerd.status.success()) {
        (true, true) => None,
        (false, _) => Some("needs root"),
        (true, false) => Some("needs dockerd"),
    }
}
