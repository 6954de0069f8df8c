//! What a script sees in its container, what it may do there, and what comes out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::common::{eventually, read};
use crate::engine::Engine;

/// A script needs a number in the end.
const DONE: &str = "\necho 'performance: 1 x/s'";

fn script(body: &str) -> String {
    format!("{body}{DONE}")
}

pub(crate) fn the_places_a_script_expects(engine: &Engine) {
    let entry = engine.entry(
        &script(
            "pwd\nls -A\nls -A ..\ncat ../data/table.txt\n\
             touch ../data/new ../models.json 2>&1 | sed 's/.*: //'\n\
             echo new > ../from-script && cat ../from-script\n\
             whoami 2>/dev/null || id -u",
        ),
        json!({}),
    );
    for (path, text) in [
        ("data/table.txt", "of the catalog\n"),
        (".git/config", ""),
        (".env", "A=1"),
        ("credential.json", "{}"),
        ("run_directory/old", "left by madengine"),
    ] {
        entry.fixture.write(path, text);
    }
    entry.fixture.write(&format!("scripts/{}/part.txt", entry.name), "");
    let inside = entry.fixture.root().join("target/mad");
    entry.benchmark(&["--run-dir", inside.to_str().expect("text")]).run().exits(0);
    let run = fs::read_dir(inside.join("runs")).expect("runs").next().expect("a run");
    let log = run.expect("a run").path().join(&entry.name).join("attempt-1/execution-1/run.log");
    let log = read(&log);
    let lines: Vec<&str> = log.lines().collect();
    let expected = [
        "/myworkspace/run_directory",
        "part.txt",
        "run.sh",
        "data",
        "docker",
        "models.json",
        "run_directory",
        "scripts",
        "of the catalog",
        "Read-only file system",
        "Read-only file system",
        "new",
    ];
    assert_eq!(lines[..expected.len()], expected, "{log}");
    assert!(!entry.fixture.root().join("from-script").exists());
    entry.nothing_is_left();
}

pub(crate) fn the_checkout_is_as_it_was(engine: &Engine) {
    let entry = engine.entry(
        &script(
            "rm -rf ../scripts ../docker 2>/dev/null; rm run.sh; echo x > run.sh; echo y > new\n\
             mkdir ../more && echo z > ../more/new; ln -sf /etc/passwd link; chmod 0 new",
        ),
        json!({}),
    );
    let root = entry.fixture.root();
    let git = |args: &[&str]| {
        let done = Command::new("git").arg("-C").arg(&root).args(args).output().expect("git");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "all"]);
    entry.benchmark(&["--samples", "2"]).run().exits(0);
    assert_eq!(git(&["status", "--porcelain"]), "");
}

/// Everything below `dir` that belongs to somebody else.
fn foreign(dir: &Path, uid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let meta = entry.metadata().expect("metadata");
        if meta.uid() != uid {
            found.push(entry.path().display().to_string());
        }
        if meta.is_dir() {
            found.extend(foreign(&entry.path(), uid));
        }
    }
    found
}

/// A script that leaves files of another user in all places it can write.
const BY_ANOTHER: &str = "mkdir -p deep/er ../beside; echo x > deep/er/file; echo y > ../beside/file\n\
                          echo 'model,performance,metric\na,1,x/s' > out.csv\n\
                          chown -R 1234:1234 . ../beside; chmod 700 deep; ln -s /etc/shadow link";

pub(crate) fn what_comes_out_belongs_to_the_user(engine: &Engine) {
    let entry = engine.entry(BY_ANOTHER, json!({ "multiple_results": "out.csv" }));
    let uid = fs::metadata(entry.fixture.root()).expect("the root").uid();
    entry.benchmark(&["--samples", "2"]).run().exits(0);
    assert_eq!(foreign(&entry.fixture.path("mad"), uid), Vec::<String>::new());
    entry.benchmark(&["--keep-alive"]).run().exits(0);
    let work = entry.fixture.runs()[1].join(&entry.name).join("attempt-1/execution-1");
    assert_eq!(foreign(&work, uid), Vec::<String>::new());
    assert_eq!(read(&work.join("work/deep/er/file")), "x\n");
    assert_eq!(read(&work.join("workspace/beside/file")), "y\n");
    engine.ask(&["rm", "-f", &entry.containers()[0]]);
}

/// The same as a user who may talk to the daemon and is not root.
pub(crate) fn as_a_user_of_the_docker_group(engine: &Engine) {
    let entry = engine.entry(BY_ANOTHER, json!({ "multiple_results": "out.csv" }));
    let dir = entry.fixture.path("");
    let host = std::env::var("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock".to_owned());
    let Some(socket) = host.strip_prefix("unix://") else { return };
    let group = fs::metadata(socket).expect("the socket").gid();
    let chown = Command::new("chown").args(["-R", "65534:65534"]).arg(&dir).status();
    assert!(chown.expect("chown").success());
    // The program is where that user can reach it.
    let as_nobody = format!(
        "cp \"$1\" \"$DIR/mad-copy\"; shift; export HOME=\"$DIR\"; exec setpriv --reuid=65534 \
         --regid=65534 --groups={group} \"$DIR/mad-copy\" \"$@\""
    );
    let mad = engine.mad(&entry.fixture, &["benchmark", "--keep-alive"]);
    let ran = mad.through_shell(&as_nobody).env("DOCKER_HOST", &host);
    ran.env("MAD_CONTAINER_ENGINE", engine.program).run().exits(0);
    assert_eq!(foreign(&entry.fixture.path("mad"), 65534), Vec::<String>::new());
    let work = entry.fixture.runs()[0].join(&entry.name).join("attempt-1/execution-1/work");
    assert_eq!(read(&work.join("deep/er/file")), "x\n");
    engine.ask(&["rm", "-f", &entry.containers()[0]]);
}

pub(crate) fn words_and_values_arrive_as_they_are(engine: &Engine) {
    let odd = "a 'b' \"c\" $(exit 9) `exit 8` ; \\ | & é\nsecond line\n\n";
    let args = "plain 'two words' \"dou\\\"ble\" * $HOME $(touch never) ;ls '' 'a\nb' --env X=1";
    let entry = engine.entry(
        &script(
            "for word in \"$0\" \"$@\"; do printf '<%s>\\n' \"$word\"; done\n\
             printf '[%s]\\n' \"$ODD\" \"$FROM_ENTRY\" \"$FROM_BOTH\" \"$EMPTY\"",
        ),
        json!({ "args": args, "env_vars": { "FROM_ENTRY": odd, "FROM_BOTH": "entry" } }),
    );
    let context = json!({ "docker_env_vars": { "ODD": odd, "FROM_BOTH": "context", "EMPTY": "" } });
    entry.benchmark(&["-c", &context.to_string()]).run().exits(0);
    let expected = format!(
        "<run.sh>\n<plain>\n<two words>\n<dou\"ble>\n<*>\n<$HOME>\n<$(touch>\n<never)>\n<;ls>\n\
         <>\n<a\nb>\n<--env>\n<X=1>\n[{odd}]\n[{odd}]\n[context]\n[]\nperformance: 1 x/s\n"
    );
    assert_eq!(entry.log(), expected);
}

pub(crate) fn the_environment_is_what_is_documented(engine: &Engine) {
    let entry = engine.entry(&script("env"), json!({ "multiple_results": "" }));
    let mad = entry.benchmark(&[]).env("NOT_FOR_CONTAINERS", "1").env("MASTER_PORT", "29501");
    mad.env("BUILD_NUMBER", "17").run().exits(0);
    let log = entry.log();
    for line in [
        "JENKINS_BUILD_NUMBER=17",
        "MAD_GUEST_OS=UBUNTU",
        "MAD_RUNTIME_NGPUS=0",
        "MASTER_PORT=29501",
        &format!("MAD_MODEL_NAME={}", entry.name),
    ] {
        assert!(log.lines().any(|l| l == line), "{line:?} is missing in {log}");
    }
    for name in ["NOT_FOR_CONTAINERS", "DIR", "MAD_ROOT", "MAD_RUN_DIR", "DOCKER_HOST"] {
        assert!(!log.lines().any(|l| l.starts_with(&format!("{name}="))), "{name} in {log}");
    }
}

pub(crate) fn directories_of_the_host(engine: &Engine) {
    let entry = engine.entry(&script("cat '/in/a b/file'; echo new > /in/out/new"), json!({}));
    for dir in ["one, \"two\"", "out"] {
        fs::create_dir(entry.fixture.path(dir)).expect("a directory");
    }
    fs::write(entry.fixture.path("one, \"two\"/file"), "of the host\n").expect("a file");
    let mounts = json!({ "docker_mounts": {
        "/in/a b": entry.fixture.path("one, \"two\""),
        "/in/out": "out",
    }});
    entry.benchmark(&["-c", &mounts.to_string()]).run().exits(0);
    assert_eq!(entry.lines(), ["of the host"]);
    assert_eq!(entry.fixture.text("out/new"), "new\n");
    let missing = json!({ "docker_mounts": { "/in": entry.fixture.path("missing") } });
    let ran = entry.benchmark(&["-c", &missing.to_string()]).run().exits(2);
    ran.says(&["docker_mounts: ", "/missing for /in does not exist"]);
    assert!(!entry.fixture.path("missing").exists(), "the engine did not make it");
}

/// Blanks, commas, quotes, colons in the paths of everything.
pub(crate) fn a_catalog_in_an_odd_place(engine: &Engine) {
    let entry = engine.entry(&script("cat '../a \"b\", c/file'"), json!({}));
    entry.fixture.write("a \"b\", c/file", "found\n");
    let odd = entry.fixture.path("it's \"odd\": here, or é");
    fs::create_dir(&odd).expect("a directory");
    fs::rename(entry.fixture.root(), odd.join("catalog")).expect("a move");
    let mad = entry.benchmark(&[]).env("MAD_ROOT", odd.join("catalog"));
    mad.env("MAD_RUN_DIR", odd.join("catalog/out")).run().exits(0);
    entry.nothing_is_left();
    // The fixture looks for its files where they were.
    fs::rename(odd.join("catalog"), entry.fixture.root()).expect("a move");
}

pub(crate) fn processors(engine: &Engine) {
    let entry = engine.entry(&script("grep Cpus_allowed_list /proc/self/status"), json!({}));
    entry.benchmark(&["-c", "{'docker_cpus': ' 0 '}"]).run().exits(0);
    assert_eq!(entry.lines(), ["Cpus_allowed_list:\t0"]);
    let none = entry.benchmark(&["-c", "{'docker_cpus': '99999'}"]).run().exits(3);
    none.says(&["did not start the container", "99999"]);
    entry.nothing_is_left();
}

pub(crate) fn shared_memory(engine: &Engine) {
    let body = "sed -n 's|.* /dev/shm .*size=\\([0-9]*k\\).*|\\1|p' /proc/mounts\n\
                dd if=/dev/zero of=/dev/shm/filled bs=1M 2>&1 | grep -o 'No space.*'";
    // A large one is not filled up.
    let large = engine.entry(&script(body.lines().next().expect("a line")), json!({}));
    large.benchmark(&[]).run().exits(0);
    let memory = large.measurement()["provenance"]["machine"]["memory_bytes"].as_u64();
    // In whole pages.
    let pages = (memory.expect("bytes") / 2).div_ceil(4096);
    assert_eq!(large.lines(), [format!("{}k", pages * 4)]);
    let options = json!({ "additional_docker_run_options": "--shm-size=16m" });
    let small = engine.entry(&script(body), options);
    small.benchmark(&[]).run().exits(0);
    assert_eq!(small.lines(), ["16384k", "No space left on device"]);
    assert!(!Path::new("/dev/shm/filled").exists());
    let options = json!({ "additional_docker_run_options": "--ipc host" });
    let host = engine.entry(&script("readlink /proc/self/ns/ipc"), options);
    host.benchmark(&[]).run().exits(0);
    let ours = fs::read_link("/proc/self/ns/ipc").expect("a namespace");
    assert_eq!(host.lines(), [ours.display().to_string()]);
}

pub(crate) fn options_of_the_entry(engine: &Engine) {
    let options = "--hostname 'told' -e 'GIVEN=a b' --name x -itd --rm --entrypoint=/bin/false \
                   -w /tmp --log-driver=none --cidfile /no/such/place --memory=64m";
    let entry = engine.entry(
        &script("hostname; echo \"$GIVEN\"; pwd"),
        json!({ "additional_docker_run_options": options }),
    );
    let ran = entry.benchmark(&[]).run().exits(0);
    assert_eq!(entry.lines(), ["told", "a b", "/myworkspace/run_directory"]);
    let ran = ran.says(&["--name is left out", "-itd is left out", "--rm is left out"]);
    ran.says(&["--entrypoint is left out", "-w is left out", "--cidfile is left out"]);
    assert_eq!(entry.fixture.rows()[0].get("additional_docker_run_options"), options);

    let powers = "grep CapEff /proc/self/status | cut -f 2";
    let plain = engine.entry(&script(powers), json!({}));
    plain.benchmark(&[]).run().exits(0);
    let options = json!({ "additional_docker_run_options": "--cap-add SYS_ADMIN" });
    let powerful = engine.entry(&script(powers), options);
    let ran = powerful.benchmark(&[]).run().exits(0);
    ran.says(&["--cap-add=SYS_ADMIN gives the container power over this host"]);
    assert_ne!(plain.lines(), powerful.lines());
    // Not every root may hand out all of its powers.
    let options = json!({ "additional_docker_run_options": "--privileged" });
    let privileged = engine.entry(&script(powers), options).benchmark(&[]).run();
    privileged.says(&["--privileged gives the container power over this host"]);

    let options = json!({ "additional_docker_run_options": "--no-such-option" });
    let unknown = engine.entry(&script("true"), options);
    let ran = unknown.benchmark(&[]).run().exits(3);
    ran.says(&["did not start the container", "--no-such-option"]);
    unknown.nothing_is_left();
}

pub(crate) fn a_user_of_the_entrys_own(engine: &Engine) {
    let entry = engine.entry(
        "id -u; echo 'model,performance,metric\na,1,x/s' > out.csv; echo x > ../beside",
        json!({ "multiple_results": "out.csv",
                "additional_docker_run_options": "--user 1234" }),
    );
    entry.benchmark(&[]).run().exits(0);
    assert_eq!(entry.lines(), ["1234"]);
}

pub(crate) fn scripts_before_and_after(engine: &Engine) {
    let entry = engine.entry(&script("echo the model; [ ! -e fail ]"), json!({}));
    for name in ["first", "second", "third"] {
        entry.fixture.write(
            &format!("hooks/{name}.sh"),
            format!("printf '{name}'; printf ' <%s>' \"$@\"; echo; echo {name} >> steps\n"),
        );
    }
    entry.fixture.write("hooks/bad.sh", "echo trouble; exit 7\n");
    let hooks = |pre: &[&str], post: &[&str]| {
        let list = |names: &[&str]| -> serde_json::Value {
            let hook = |n: &&str| json!({ "path": format!("hooks/{n}.sh"), "args": "1 'a b' $X" });
            names.iter().map(hook).collect()
        };
        let context = json!({ "pre_scripts": list(pre), "post_scripts": list(post) });
        entry.benchmark(&["-c", &context.to_string()]).run()
    };
    hooks(&["second", "first"], &["third"]).exits(0);
    let said = |name: &str| format!("{name} <1> <a b> <$X>");
    let expected = [said("second"), said("first"), "the model".to_owned(), said("third")];
    assert_eq!(entry.lines(), expected);

    let failed = hooks(&["first", "bad", "second"], &["third"]).exits(3);
    failed.says(&["the pre-script `bash bad.sh 1 a b $X` failed with exit status 7"]);
    assert_eq!(entry.lines()[..2], [said("first"), "trouble".to_owned()]);
    assert!(!entry.log().contains("the model"), "{}", entry.log());

    let failed = hooks(&[], &["bad", "third"]).exits(3);
    failed.says(&["the post-script `bash bad.sh 1 a b $X` failed with exit status 7"]);
    assert!(!entry.log().contains("third"), "{}", entry.log());

    hooks(&["no-such"], &[]).exits(2).says(&["hooks/no-such.sh of the context does not exist"]);
    entry.fixture.write(&format!("scripts/{}/fail", entry.name), "");
    hooks(&[], &["third"]).exits(0);
    entry.fixture.write(&format!("scripts/{}/run.sh", entry.name), "exit 5 # performance: 1 x/s");
    entry.nothing_is_left();
}

pub(crate) fn after_a_failure_nothing_follows(engine: &Engine) {
    let entry = engine.entry(&format!("{DONE}\nexit 5"), json!({}));
    entry.fixture.write("after.sh", "echo after\n");
    let context = json!({ "post_scripts": [{ "path": "after.sh" }] });
    entry.benchmark(&["-c", &context.to_string()]).run().exits(3).says(&["exit status 5"]);
    assert_eq!(entry.log(), "performance: 1 x/s\n");
}

pub(crate) fn a_command_before_the_script(engine: &Engine) {
    let entry = engine.entry(&script("echo \"<$X> <$1> <$2>\""), json!({ "args": "'a b' '$X'" }));
    let with = |text: &str| {
        let context = json!({ "encapsulate_script": text });
        entry.benchmark(&["-c", &context.to_string()]).run().exits(0);
        entry.log()
    };
    assert!(with("env X='1 2'").starts_with("<1 2> <a b> <$X>\n"));
    assert!(with("X=3; export X;").starts_with("<3> <a b> <$X>\n"));
    assert!(with("time").contains("real\t"));
    let context = json!({ "encapsulate_script": "no-such-command" });
    let failed = entry.benchmark(&["-c", &context.to_string()]).run().exits(3);
    failed.says(&["exit status 127", "no-such-command"]);
}

/// The number of seconds is the model's own, without what runs around it.
pub(crate) fn the_duration_is_the_models(engine: &Engine) {
    let entry = engine.entry(&script("sleep 0.1"), json!({}));
    entry.fixture.write("slow.sh", "sleep 1\n");
    let slow = json!([{ "path": "slow.sh" }]);
    let context = json!({ "pre_scripts": slow, "post_scripts": slow });
    entry.benchmark(&["-c", &context.to_string()]).run().exits(0);
    let execution = format!("{}/attempt-1/execution-1", entry.name);
    let took = |file: &str| {
        let record = entry.fixture.record(&format!("{execution}/{file}.json"));
        record["duration_s"].as_f64().expect("seconds")
    };
    let (model, all) = (took("execution"), took("status"));
    assert!(model >= 0.1 && all >= model + 2.0, "{model} of {all}");
}

pub(crate) fn a_container_that_is_kept(engine: &Engine) {
    let entry = engine.entry(&script("echo left > trace"), json!({}));
    entry.fixture.write("before.sh", "echo before\n");
    let context = json!({ "pre_scripts": [{ "path": "before.sh" }] }).to_string();
    let ran = entry.benchmark(&["--keep-alive", "-c", &context]).run().exits(0);
    let name = entry.containers().pop().expect("a container");
    let (look, end) = (format!("exec -it {name} bash"), format!("rm -f {name}"));
    ran.says(&[&look, &end]);
    assert_eq!(engine.ask(&["exec", &name, "cat", "trace"]), "left");
    // It idles, and runs nothing a second time.
    assert_eq!(entry.lines(), ["before"]);
    eventually("it idles", || engine.ask(&["exec", &name, "ps"]).contains("sleep infinity"));
    engine.ask(&["rm", "-f", &name]);

    // Also when the model's turn never came.
    entry.fixture.write("before.sh", "echo failed >> trace; exit 1\n");
    entry.benchmark(&["--keep-alive", "-c", &context]).run().exits(3).says(&["exec -it"]);
    let name = entry.containers().pop().expect("a container");
    eventually("it idles", || engine.ask(&["exec", &name, "ps"]).contains("sleep infinity"));
    assert_eq!(engine.ask(&["exec", &name, "cat", "trace"]), "failed");
    engine.ask(&["rm", "-f", &name]);
}

pub(crate) fn everything_but_the_model(engine: &Engine) {
    let entry = engine.entry(&script("echo the model"), json!({}));
    entry.fixture.write("around.sh", "echo around; exit ${FAIL:-0}\n");
    let hook = json!([{ "path": "around.sh" }]);
    let context = json!({ "pre_scripts": hook, "post_scripts": hook }).to_string();
    let args = ["--skip-model-run", "-c", &context];
    let ran = entry.benchmark(&args).run().exits(0);
    assert!(ran.stdout.contains("SKIPPED"), "{}", ran.said());
    assert_eq!(entry.log(), "around\naround\n");
    assert_eq!(entry.fixture.rows()[0].get("status"), "SKIPPED");
    let target = entry.mad(&[&["__test-target", "bench::"], &args[..]].concat()).run().exits(0);
    target.says(&["ignored", "the model was not run"]);

    let context = json!({ "pre_scripts": hook, "docker_env_vars": { "FAIL": "3" } }).to_string();
    let failed = entry.benchmark(&["--skip-model-run", "-c", &context]).run().exits(3);
    failed.says(&["the pre-script `bash around.sh` failed with exit status 3"]);
    let host = entry.benchmark(&["--skip-model-run", "--engine", "host"]).run().exits(1);
    host.says(&["--skip-model-run leaves nothing to do on the host"]);
    entry.nothing_is_left();
}

/// What would change the numbers and is not known how to do is not passed over.
pub(crate) fn tools_are_not_passed_over(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 1 x/s'", json!({}));
    let tools = r#"{"tools": [{"name": "rocprofv3"}]}"#;
    let ran = entry.benchmark(&["-c", tools]).run().exits(1);
    ran.says(&["the container engine cannot honour `tools` of the context"]);
    entry.benchmark(&["-c", r#"{"tools": []}"#]).run().exits(0);
}

const ROWS: &str = "echo 'model,performance,metric\na,1,x/s\nb,2,x/s'";

pub(crate) fn several_results(engine: &Engine) {
    // Where it starts, where madengine's user looks, and over what an earlier run left.
    for place in ["out.csv", "../out.csv", "/myworkspace/run_directory/out.csv"] {
        let body = format!("{ROWS} > {place}");
        let entry = engine.entry(&body, json!({ "multiple_results": "out.csv" }));
        entry.fixture.write("out.csv", "model,performance,metric\nold,9,x/s\n");
        entry.benchmark(&[]).run().exits(0);
        let rows = entry.fixture.rows();
        let told: Vec<(String, &str)> =
            rows.iter().map(|r| (r.get("model").to_owned(), r.get("performance"))).collect();
        let name = |row: &str| format!("{}_{row}", entry.name);
        assert_eq!(told, [(name("a"), "1"), (name("b"), "2")]);
    }
    let none = engine.entry(&script("true"), json!({ "multiple_results": "out.csv" }));
    none.fixture.write("out.csv", "model,performance,metric\nold,9,x/s\n");
    none.benchmark(&[]).run().exits(3).says(&["out.csv"]);
}

/// A link of the container's is no way to files of the host.
pub(crate) fn results_that_lead_elsewhere(engine: &Engine) {
    let outside = tempfile::NamedTempFile::new().expect("a file");
    fs::write(outside.path(), "model,performance,metric\nstolen,1,x/s\n").expect("a file");
    let body = format!("ln -s '{}' out.csv", outside.path().display());
    let entry = engine.entry(&body, json!({ "multiple_results": "out.csv" }));
    let ran = entry.benchmark(&[]).run().exits(3);
    assert!(!ran.said().contains("stolen"), "{}", ran.said());
    assert_eq!(entry.fixture.files_with("stolen"), Vec::<std::path::PathBuf>::new());
}

pub(crate) fn what_a_script_prints_is_kept(engine: &Engine) {
    let body = "head -c 300000 /dev/urandom; echo; printf '\\0\\xff\\r'; echo 'no newline: \\c'\n\
                echo to stderr >&2; for i in $(seq 200000); do echo \"line $i\"; done";
    let entry = engine.entry(&script(body), json!({}));
    entry.benchmark(&[]).run().exits(0);
    let run = entry.fixture.runs()[0].join(&entry.name).join("attempt-1/execution-1/run.log");
    let log = fs::read(run).expect("the log");
    let text = String::from_utf8_lossy(&log);
    let mut lines = text.lines().filter(|l| l.starts_with("line ")).map(str::to_owned);
    assert!((1..=200_000).all(|i| lines.next() == Some(format!("line {i}"))));
    assert!(text.contains("to stderr"));
    assert_eq!(entry.fixture.rows()[0].get("performance"), "1");
}

pub(crate) fn a_script_that_fails(engine: &Engine) {
    for (body, said) in [
        ("exit 7", "exit status 7"),
        ("echo 'RuntimeError: out of luck'; exit 1", "RuntimeError: out of luck"),
        ("kill -SEGV $$", "SIGSEGV"),
        ("kill -KILL $$", "SIGKILL"),
        ("no_such_command", "not found"),
        ("true", "printed no \"performance: <value> <metric>\" line"),
    ] {
        let number = if body == "true" { "" } else { "echo 'performance: 1 x/s'\n" };
        let entry = engine.entry(&format!("{number}{body}"), json!({}));
        entry.benchmark(&[]).run().exits(3).says(&[said, "run.log"]);
        assert_eq!(entry.fixture.rows()[0].get("status"), "FAILURE");
        if body.starts_with("kill") {
            assert_eq!(entry.log(), "performance: 1 x/s\n", "nothing but what it printed");
        }
        entry.nothing_is_left();
    }
}
