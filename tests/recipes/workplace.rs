//! Where recipes run: a repository with a catalog, and the environment of a CI system.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::common::Fixture;

/// Stands in for `cargo`: installs the program that is there, if asked as it has to be asked.
const CARGO: &str = r#"#!/usr/bin/env bash
set -eu
echo "cargo $*" >> "$ASKED"
[ "$1 $2" = "install --locked" ]
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin"
cp "$STUBS/mad" "$2/bin/mad"
"#;
/// Stands in for the installed `mad`: all but the self-test is real.
const MAD: &str = r#"#!/usr/bin/env bash
case "$1" in
selftest) echo "$*" >> "$ASKED" ;;
*) exec "$REAL_MAD" "$@" ;;
esac
"#;
const GH: &str = "#!/usr/bin/env bash\necho \"gh $*\" >> \"$ASKED\"\n";

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// A repository with the entry `m`, which reports `$VALUE` or 100 and is what the recipes
/// measure, on a branch whose remote is a bare repository beside it.
pub(crate) struct Workplace {
    pub(crate) fixture: Fixture,
    /// What every step gets.
    pub(crate) variables: Variables,
}

/// How a step ended, and what it said.
pub(crate) struct Step {
    pub(crate) status: i32,
    pub(crate) said: String,
}

impl Workplace {
    pub(crate) fn new() -> Workplace {
        let script = "[ \"${VALUE:-100}\" != fail ] || exit 9\n\
                      echo \"performance: ${VALUE:-100} tok/s\"";
        let tags = json!({ "tags": ["cpu", "smoke", "gpu-smoke"] });
        let fixture = Fixture::empty().entry("m", script, tags);
        fixture.write(".gitignore", "/target/\n/perf*\n/mad-report.*\n/.mad/\n");
        for (name, text) in [("cargo", CARGO), ("mad", MAD), ("gh", GH)] {
            let path = fixture.path(&format!("stubs/{name}"));
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        }
        let path = |name: &str| fixture.path(name).display().to_string();
        let variables = [
            ("HOME", path("home")),
            ("USER", "runner".to_owned()),
            ("PATH", format!("{}:/usr/bin:/bin", path("only"))),
            ("CI", "true".to_owned()),
            ("ASKED", path("asked")),
            ("STUBS", path("stubs")),
            ("REAL_MAD", env!("CARGO_BIN_EXE_mad").to_owned()),
            ("MAD_LEASE_DIR", path("leases")),
            ("MAD_CONTAINER_ENGINE", "docker".to_owned()),
            ("DOCKER_HOST", "unix:///nonexistent/docker.sock".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let place = Workplace { fixture, variables };
        // `mad` is on the PATH only once a recipe has put it there.
        fs::create_dir_all(place.fixture.path("only")).expect("a directory");
        for name in ["cargo", "gh"] {
            let link = place.fixture.path(&format!("only/{name}"));
            std::os::unix::fs::symlink(place.fixture.path(&format!("stubs/{name}")), link)
                .expect("a link");
        }
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        place.git(&["add", "."]);
        place.git(&["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-qm", "catalog"]);
        place.git(&["clone", "--quiet", "--bare", ".", "../remote.git"]);
        place.git(&["remote", "add", "origin", "../remote.git"]);
        place
    }

    /// Accepts what the entry reports.
    pub(crate) fn accept(&self) {
        let mad = |args: &[&str]| {
            let run_dir = self.fixture.path("before");
            self.fixture.mad(args).env("MAD_RUN_DIR", run_dir).run().exits(0);
        };
        (0..3).for_each(|_| mad(&["benchmark"]));
        mad(&["baseline", "accept", "--last", "3"]);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.fixture.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git");
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `script` in the repository, by the command line of a CI system's shell.
    pub(crate) fn run(&self, shell: &[&str], script: &str, more: &Variables) -> Step {
        let file = self.fixture.path("step.sh");
        fs::write(&file, script).expect("a file");
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .arg(&file)
            .current_dir(self.fixture.root())
            .env_clear()
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs(&self.variables)
            .envs(more)
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let said = [output.stdout, output.stderr].concat();
        Step {
            status: output.status.code().unwrap_or(-1),
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }

    /// A file of the repository; nothing if it is not there.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.fixture.root().join(name)).unwrap_or_default()
    }

    /// What the stand-ins were asked.
    pub(crate) fn asked(&self) -> String {
        fs::read_to_string(self.fixture.path("asked")).unwrap_or_default()
    }

    /// Everything that a red or green run leaves behind is there.
    pub(crate) fn has_results(&self, verdict: &str) {
        assert!(self.file("target/mad/junit.xml").contains("regress::m"));
        assert!(self.file("perf.csv").contains("tok/s"));
        assert!(self.file("mad-report.html").contains(verdict), "no {verdict} in the page");
    }
}

/// The path of something in ci/.
pub(crate) fn ci(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ci").join(name)
}

/// A YAML file of ci/ as JSON.
pub(crate) fn yaml(name: &str) -> Value {
    let text = fs::read_to_string(ci(name)).expect("a recipe");
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    to_json(&documents[0])
}

fn to_json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(b)) => json!(b),
        Yaml::Value(Scalar::Integer(n)) => json!(n),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(map) => {
            let pair = |(key, value)| {
                let key = to_json(key).as_str().expect("keys are words").to_owned();
                (key, to_json(value))
            };
            Value::Object(map.iter().map(pair).collect::<Map<_, _>>())
        }
        other => panic!("nothing that recipes need: {other:?}"),
    }
}

/// An object of words as variables.
pub(crate) fn variables(object: &Value) -> Variables {
    let Some(object) = object.as_object() else { return Variables::new() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    object.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}
