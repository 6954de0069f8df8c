//! Which image an entry runs in: chosen, built, found, pulled.

use std::fs;

use serde_json::{Value, json};

use crate::common::Ran;
use crate::engine::{Engine, Entry};

/// Reports which image it runs in.
const WHICH: &str = "echo \"performance: 1 ${WHICH:-nameless}\"";

/// Instructions of an image that is told by a word.
fn image(engine: &Engine, which: &str) -> String {
    format!("FROM {}\nENV WHICH={which}", engine.base)
}

/// The images that the rows of perf.csv say they ran in, and forgets the rows.
fn images_of(entry: &Entry<'_>) -> Vec<String> {
    let rows = entry.fixture.rows();
    fs::remove_file(entry.fixture.path("perf.csv")).expect("perf.csv");
    rows.iter().map(|r| r.get("metric").to_owned()).collect()
}

/// First words of what the client was asked, apart from what it can do.
fn verbs(calls: &[String]) -> Vec<&str> {
    let verbs = calls.iter().map(|c| c.split(' ').next().unwrap_or_default());
    verbs.filter(|verb| *verb != "buildx").collect()
}

pub(crate) fn an_image_is_built_once(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 7 x/s'", json!({}));
    entry.wrap_client("");
    entry.benchmark(&[]).run().exits(0);
    let built = ["version", "image", "build", "image", "run", "container", "rm"];
    assert_eq!(verbs(&entry.calls()), built);
    let unchanged = ["version", "image", "run", "container", "rm"];
    entry.benchmark(&[]).run().exits(0);
    assert_eq!(verbs(&entry.calls()), unchanged);
    // Several Executions need one look at the image.
    entry.benchmark(&["--samples", "2"]).run().exits(0);
    assert_eq!(verbs(&entry.calls()), [&unchanged[..], &unchanged[2..]].concat());
    // Whatever the image is made of may change it.
    for change in ["docker/new.txt", "docker/m.Dockerfile"] {
        let text = format!("# CONTEXT {{}}\nFROM {}\n# another\n", engine.base);
        entry.fixture.write(change, text);
        entry.benchmark(&[]).run().exits(0);
        assert_eq!(verbs(&entry.calls()), built, "{change}");
    }
    let argument = r#"{"docker_build_arg": {"A": "1"}}"#;
    entry.benchmark(&["-c", argument]).run().exits(0);
    assert_eq!(verbs(&entry.calls()), built);
    assert!(entry.fixture.rows().iter().all(|r| r.get("performance") == "7"));
    entry.nothing_is_left();
}

pub(crate) fn what_was_run_in_is_recorded(engine: &Engine) {
    let entry = engine.entry_without_image("echo 'performance: 7 x/s'", json!({}));
    let text = format!("ARG BASE_DOCKER={}\nFROM $BASE_DOCKER", engine.base);
    entry.dockerfile("ubuntu.amd.Dockerfile", "{'gpu_vendor': 'AMD'}", &text);
    entry.benchmark(&[]).run().exits(0);
    let image = &entry.measurement()["prepared"]["image"];
    let name = format!("ci-{}_m.ubuntu.amd", entry.name);
    assert_eq!(image["name"], name.as_str());
    assert_eq!(image["dockerfile"], "docker/m.ubuntu.amd.Dockerfile");
    assert_eq!(image["base"], engine.base.as_str());
    let id = engine.ask(&["image", "inspect", "--format", "{{.Id}}", &name]);
    assert_eq!(image["id"], id.as_str());
    let row = &entry.fixture.rows()[0];
    assert_eq!(row.get("docker_image"), name);
    assert_eq!(row.get("docker_file"), "docker/m.ubuntu.amd.Dockerfile");
    assert_eq!(row.get("base_docker"), engine.base);
    assert_eq!(row.get("launcher"), "container");
}

pub(crate) fn the_header_chooses_by_vendor_and_system(engine: &Engine) {
    let entry = engine.entry_without_image(WHICH, json!({}));
    for (suffix, header) in [
        ("ubuntu.amd", "{'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}"),
        ("centos.amd", "{'gpu_vendor': 'AMD', 'guest_os': 'CENTOS'}"),
        ("ubuntu.nvidia", "{\"gpu_vendor\": \"NVIDIA\", 'guest_os': 'UBUNTU', }"),
    ] {
        entry.dockerfile(&format!("{suffix}.Dockerfile"), header, &image(engine, suffix));
    }
    let with = |context: &str| {
        entry.benchmark(&["-c", context]).run().exits(0);
        images_of(&entry)
    };
    assert_eq!(with("{}"), ["ubuntu.amd"]);
    assert_eq!(with("{'gpu_vendor': 'nvidia'}"), ["ubuntu.nvidia"]);
    assert_eq!(with("{'guest_os': 'CENTOS'}"), ["centos.amd"]);
    let none = entry.benchmark(&["-c", "{'gpu_vendor': 'NVIDIA', 'guest_os': 'CENTOS'}"]);
    let none = none.run().exits(2).says(&[
        "no Dockerfile fits this machine and context",
        "docker/m.ubuntu.amd.Dockerfile: it is for gpu_vendor \"AMD\", here it is \"NVIDIA\"",
        "docker/m.ubuntu.nvidia.Dockerfile: it is for guest_os \"UBUNTU\", here it is \"CENTOS\"",
    ]);
    assert!(none.stdout.contains("FAILURE"), "{}", none.said());
    assert_eq!(entry.fixture.rows()[0].get("status"), "FAILURE");
    entry.nothing_is_left();
}

/// As madengine's `dummy_ctxtest`.
pub(crate) fn several_images_are_several_measurements(engine: &Engine) {
    let entry = engine.entry_without_image(WHICH, json!({}));
    for (suffix, value) in [("first", "1"), ("second", "2"), ("also.second", "2")] {
        let header = format!("{{'ctx_test': '{value}'}}");
        entry.dockerfile(&format!("{suffix}.Dockerfile"), &header, &image(engine, suffix));
    }
    entry.benchmark(&[]).run().exits(2).says(&["it is for ctx_test \"1\", here it is \"None\""]);
    fs::remove_file(entry.fixture.path("perf.csv")).expect("perf.csv");
    entry.fixture.write("ctx_test", "1\n");
    entry.benchmark(&[]).run().exits(0);
    assert_eq!(images_of(&entry), ["first"]);
    // What the context says comes before the file.
    let both = entry.benchmark(&["-c", "{'ctx_test': '2'}"]).run().exits(0);
    assert_eq!(images_of(&entry), ["also.second", "second"]);
    for variant in ["also.second", "second"] {
        let id = format!("{}@{variant}", entry.name);
        assert!(both.stdout.contains(&id), "{}", both.said());
        let path = format!("{}/attempt-1/measurement.json", id.replace('@', "%40"));
        let measurement = entry.fixture.record(&path);
        assert_eq!(measurement["id"], id.as_str());
        assert_eq!(measurement["model"], entry.name.as_str());
    }
    entry.nothing_is_left();
}

/// One of the two images fails: the other is measured all the same, the run is red.
pub(crate) fn one_image_of_two_that_cannot_be_built(engine: &Engine) {
    let entry = engine.entry_without_image(WHICH, json!({}));
    entry.dockerfile("a.Dockerfile", "{}", &format!("{}\nRUN exit 9", image(engine, "a")));
    entry.dockerfile("b.Dockerfile", "{}", &image(engine, "b"));
    let ran = entry.benchmark(&[]).run().exits(2);
    ran.says(&[&format!("{}@a: cannot build docker/m.a.Dockerfile", entry.name)]);
    let rows = entry.fixture.rows();
    let told: Vec<(&str, &str)> = rows.iter().map(|r| (r.get("status"), r.get("metric"))).collect();
    assert_eq!(told, [("FAILURE", ""), ("SUCCESS", "b")]);
}

pub(crate) fn headers_that_say_nothing_are_refused(engine: &Engine) {
    for (text, said) in [
        ("FROM scratch\n", "has no `# CONTEXT {…}` header"),
        ("# CONTEXT {}\n# CONTEXT {}\nFROM scratch\n", "has a second CONTEXT header"),
        ("# CONTEXT gpu_vendor=AMD\nFROM scratch\n", "is not a Python literal"),
        ("# CONTEXT {}\nRUN true\n", "has no `FROM`"),
    ] {
        let entry = engine.entry_without_image("echo 'performance: 1 x/s'", json!({}));
        entry.fixture.write("docker/m.Dockerfile", text);
        entry.benchmark(&[]).run().exits(3).says(&["docker/m.Dockerfile", said]);
        assert_eq!(entry.fixture.rows()[0].get("status"), "FAILURE");
    }
    let none = engine.entry_without_image("echo 'performance: 1 x/s'", json!({}));
    none.benchmark(&[]).run().exits(3).says(&["no file matches `docker/m.*`"]);
}

pub(crate) fn build_arguments_arrive_as_they_are(engine: &Engine) {
    let entry = engine.entry_without_image(
        "echo \"<$ODD>\"\necho \"<$ARCH>\"\necho 'performance: 1 x/s'",
        json!({}),
    );
    let text = format!(
        "ARG BASE_DOCKER=no.example.invalid/none\nFROM ${{BASE_DOCKER}}\nARG ODD=unset\n\
         ARG MAD_SYSTEM_GPU_ARCHITECTURE=unset\nENV ODD=$ODD ARCH=$MAD_SYSTEM_GPU_ARCHITECTURE\n\
         LABEL of={}",
        engine.base
    );
    entry.dockerfile("Dockerfile", "{}", &text);
    let odd = r#"a 'b' "c" =$(exit 9)"#;
    let context = json!({ "docker_build_arg": { "BASE_DOCKER": engine.base, "ODD": odd } });
    entry.benchmark(&["-c", &context.to_string()]).run().exits(0);
    assert_eq!(entry.lines(), [format!("<{odd}>"), "<unset>".to_owned()]);
    assert_eq!(entry.measurement()["prepared"]["image"]["base"], engine.base.as_str());

    let target = entry.benchmark(&["-c", &context.to_string(), "--target-arch", "gfx942"]);
    target.run().exits(0);
    assert_eq!(entry.lines()[1], "<gfx942>");
    let name = format!("ci-{}_m_gfx942", entry.name);
    assert_eq!(entry.measurement()["prepared"]["image"]["name"], name.as_str());
}

pub(crate) fn clean_builds_from_scratch(engine: &Engine) {
    // Not on the base image, which no registry has: its newest version is asked for.
    let entry = engine.entry_without_image("cat /built\necho 'performance: 1 x/s'", json!({}));
    for program in ["bash-static", "busybox"] {
        let from = engine.context().join(program);
        fs::copy(from, entry.fixture.root().join("docker").join(program)).expect("a program");
    }
    let text = format!(
        "FROM scratch\nLABEL {}\nCOPY bash-static /bin/bash\nCOPY busybox /bin/busybox\n\
         RUN [\"/bin/busybox\", \"--install\", \"/bin\"]\n\
         RUN cat /proc/sys/kernel/random/uuid > /built",
        engine.label()
    );
    entry.dockerfile("Dockerfile", "{}", &text);
    let built = |args: &[&str]| {
        entry.benchmark(args).run().exits(0);
        entry.lines()[0].clone()
    };
    let first = built(&[]);
    assert_eq!(built(&[]), first);
    assert_ne!(built(&["--clean"]), first);
}

pub(crate) fn a_build_that_fails_leaves_its_log(engine: &Engine) {
    let entry = engine.entry_without_image("echo 'performance: 1 x/s'", json!({}));
    let lines =
        "RUN for i in $(seq 3000); do echo \"a line of the build $i\"; done; echo the end; exit 9";
    entry.dockerfile("Dockerfile", "{}", &format!("FROM {}\n{lines}", engine.base));
    let ran = entry.benchmark(&[]).run().exits(2);
    let ran = ran.says(&["cannot build docker/m.Dockerfile", "log: ", "build/run.log"]);
    assert!(ran.stdout.contains("FAILURE"), "{}", ran.said());
    let log = entry.fixture.runs()[0].join(&entry.name).join("attempt-1/build/run.log");
    let log = crate::common::read(&log);
    for line in ["a line of the build 1\n", "a line of the build 3000\n", "the end"] {
        assert!(log.contains(line), "{line:?} is missing in {log}");
    }
    assert_eq!(entry.fixture.rows()[0].get("status"), "FAILURE");
    assert_eq!(entry.measurement()["executions"], json!([]));
    // Neither does the container of the step that failed stay.
    let step = log.lines().find_map(|l| l.trim().strip_prefix("---> Running in "));
    if let Some(step) = step {
        assert_eq!(engine.ask(&["ps", "-aq", "--filter", &format!("id={step}")]), "");
    }
}

pub(crate) fn a_dockerfile_with_a_mistake(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 1 x/s'", json!({}));
    for (text, said) in [("FRM scratch", "FRM"), ("COPY no-such-file /", "no-such-file")] {
        entry.dockerfile("Dockerfile", "{}", &format!("FROM {}\n{text}", engine.base));
        entry.benchmark(&[]).run().exits(2).says(&["cannot build docker/m.Dockerfile", said]);
    }
}

pub(crate) fn the_build_context_of_an_entry(engine: &Engine) {
    let entry = engine.entry_without_image(
        "cat /found\necho 'performance: 1 x/s'",
        json!({ "dockercontext": "parts" }),
    );
    entry.dockerfile("Dockerfile", "{}", &format!("FROM {}\nCOPY part /found", engine.base));
    entry.benchmark(&[]).run().exits(2).says(&["cannot read the build context", "parts"]);
    entry.fixture.write("parts/part", "a part\n");
    entry.benchmark(&[]).run().exits(0);
    assert_eq!(entry.lines(), ["a part"]);
}

pub(crate) fn an_image_that_exists_is_not_built(engine: &Engine) {
    let name = "DOCKER_IMAGE_NAME";
    let body = "ls /myworkspace; echo 'performance: 1 x/s'";
    let entry = engine.entry(body, json!({ "env_vars": { name: engine.base } }));
    entry.dockerfile("Dockerfile", "{}", "FROM scratch\nRUN not-built");
    entry.wrap_client("");
    let context = json!({ "MAD_CONTAINER_IMAGE": engine.base }).to_string();
    for args in [&["--use-image", &engine.base][..], &["--use-image", "auto"], &["-c", &context]] {
        entry.benchmark(args).run().exits(0);
        assert_eq!(verbs(&entry.calls()), ["version", "image", "run", "container", "rm"]);
        let image = entry.measurement()["prepared"]["image"].clone();
        assert_eq!(image["name"], engine.base.as_str());
        assert_eq!(image.get("dockerfile"), None);
    }
    // An image for all entries serves also those that have none of their own.
    let bare = engine.entry_without_image(body, json!({ "dockerfile": "" }));
    let args = ["--engine", "container", "--use-image", &engine.base];
    bare.benchmark(&args).run().exits(0);
}

pub(crate) fn an_image_that_cannot_be_had(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 1 x/s'", json!({}));
    // Nothing listens there.
    let nowhere = "127.0.0.1:1/none:1";
    let ran = entry.benchmark(&["--use-image", nowhere]).run().exits(2);
    ran.says(&["cannot pull the image 127.0.0.1:1/none:1", "refused", "log: "]);
    assert_eq!(entry.fixture.rows()[0].get("status"), "FAILURE");
    entry.benchmark(&["--use-image", "Not A Name"]).run().exits(2).says(&["Not A Name"]);
    entry.benchmark(&["--use-image", "auto"]).run().exits(2).says(&["DOCKER_IMAGE_NAME"]);
}

pub(crate) fn an_image_that_cannot_run_a_script(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 1 x/s'", json!({}));
    entry.dockerfile("Dockerfile", "{}", &format!("FROM {}\nRUN rm /bin/bash", engine.base));
    let ran = entry.benchmark(&[]).run().exits(3);
    ran.says(&["did not start the container", "bash"]);
    entry.nothing_is_left();
}

/// The images of two checkouts have one name when their entries have.
pub(crate) fn an_image_that_somebody_else_renames(engine: &Engine) {
    let entry = engine.entry_without_image(WHICH, json!({}));
    entry.dockerfile("Dockerfile", "{}", &image(engine, "own"));
    let name = format!("ci-{}_m", entry.name);
    // Right after the build the name means another image.
    let (program, base) = (engine.real_program(), &engine.base);
    entry.wrap_client(&format!(
        "if [ $1 = build ]; then '{0}' \"$@\"; s=$?; '{0}' tag {base} {name}; exit $s; fi",
        program.display()
    ));
    entry.benchmark(&[]).run().exits(0);
    assert_eq!(images_of(&entry), ["own"]);
}

/// As Podman does when another of its processes is just making or removing an image.
pub(crate) fn an_engine_that_stumbles(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 7 x/s'", json!({}));
    let dir = entry.fixture.path("");
    entry.wrap_client(&format!(
        "cd '{}'; words='Error: locating item named \"manifest\" for image with ID \"1\"'\n\
         for verb in image build; do\n\
         if [ $1 = $verb ] && [ ! -e stumbled-$verb ]; then\n\
         touch stumbled-$verb; echo \"$words\" >&2; exit 125; fi; done; cd \"$OLDPWD\"",
        dir.display()
    ));
    entry.benchmark(&[]).run().exits(0);
    let calls = entry.calls();
    assert_eq!(
        verbs(&calls),
        ["version", "image", "image", "build", "build", "image", "run", "container", "rm"]
    );
    // Not for ever.
    entry.wrap_client("if [ $1 = image ]; then echo 'layer not known' >&2; exit 125; fi");
    entry.benchmark(&[]).run().exits(2).says(&["layer not known"]);
}

/// The cases of the test target measure in containers, too.
pub(crate) fn the_test_target_runs_containers(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 7 x/s'", json!({}));
    let target = |args: &[&str]| -> Ran {
        let args = [&["__test-target"], args].concat();
        entry.mad(&args).run()
    };
    target(&[]).exits(0).says(&["1 ignored"]);
    assert_eq!(entry.fixture.rows()[0].get("performance"), "7");
    entry.dockerfile("Dockerfile", "{}", "FROM scratch\nCOPY nothing /");
    let failed = target(&[]).exits(101);
    failed.says(&[&format!("bench::{}", entry.name), "cannot build docker/m.Dockerfile"]);
    entry.nothing_is_left();
}

/// The record of the measurement is valid by its schema.
pub(crate) fn the_record_is_as_its_schema_says(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 7 x/s'", json!({}));
    entry.benchmark(&[]).run().exits(0);
    let schema = entry.fixture.mad(&["schema", "measurement"]).run().exits(0).json();
    let image = &schema["$defs"]["Image"]["properties"];
    let Value::Object(recorded) = &entry.measurement()["prepared"]["image"] else {
        panic!("no image in {}", entry.measurement());
    };
    for key in recorded.keys() {
        assert!(image.get(key).is_some(), "{key} is not in {image}");
    }
}
