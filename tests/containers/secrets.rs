//! Secrets reach scripts and builds, and nothing that is kept or shown.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::common::Ran;
use crate::engine::{Engine, Entry};

const TOKEN: &str = "token 'with' \"quotes\" $(exit 9)";
const KEY: &str =
    "-----BEGIN KEY-----\nline-one-of-the-key\nline-two-of-the-key\n-----END KEY-----";
const HUGGING_FACE: &str = "hf_0123456789abcdef";

/// Fails if a secret is in what was printed, or in any file.
#[track_caller]
fn nothing_leaks(entry: &Entry<'_>, ran: &Ran) {
    for part in [TOKEN, "line-two-of-the-key", HUGGING_FACE] {
        assert!(!ran.said().contains(part), "{part:?} in {}", ran.said());
        assert_eq!(entry.fixture.files_with(part), Vec::<PathBuf>::new(), "{part:?}");
    }
    // Nor in the client's command line, which the wrapper wrote down in a shell's words.
    let calls = entry.calls().join("\n");
    for part in ["with", "line-one-of-the-key", "line-two-of-the-key", "0123456789abcdef"] {
        assert!(!calls.contains(part), "{part:?} in {calls}");
    }
}

pub(crate) fn secrets_of_a_script(engine: &Engine) {
    let entry = engine.entry(
        "for s in \"$MAD_SECRETS_TOKEN\" \"$MAD_SECRETS_KEY\" \"$HF_TOKEN\"; do\n\
         printf '<%s> %s\\n' \"$s\" \"${#s}\"; done\n\
         printf 'model,performance,metric,note\\na,1,x/s,%s\\n' \"$HF_TOKEN\" > out.csv",
        json!({ "multiple_results": "out.csv" }),
    );
    entry.wrap_client("");
    let mad = entry.benchmark(&["--live-output"]).env("MAD_SECRETS_TOKEN", TOKEN);
    let ran = mad.env("MAD_SECRETS_KEY", KEY).env("HF_TOKEN", HUGGING_FACE).run().exits(0);
    // They arrived whole.
    let log = entry.log();
    for length in [TOKEN.len(), KEY.len(), HUGGING_FACE.len()] {
        assert!(log.contains(&format!("<***> {length}")), "{log}");
    }
    let results = entry.fixture.runs()[0].join(&entry.name).join("attempt-1/execution-1");
    assert!(crate::common::read(&results.join("results.csv")).contains("***"));
    nothing_leaks(&entry, &ran);
    let image = format!("ci-{}_m", entry.name);
    let kept =
        engine.ask(&["image", "inspect", &image]) + &engine.ask(&["history", "--no-trunc", &image]);
    assert!(!kept.contains("0123456789abcdef"), "{kept}");
}

/// A secret of the context is in mad's own command line; from there it goes nowhere.
pub(crate) fn secrets_of_the_context(engine: &Engine) {
    let entry = engine.entry("echo \"<$MAD_SECRETS_X>\"; echo 'performance: 1 x/s'", json!({}));
    entry.wrap_client("");
    let context = json!({ "docker_env_vars": { "MAD_SECRETS_X": HUGGING_FACE },
                          "docker_build_arg": { "MAD_SECRETS_TOKEN": TOKEN } });
    let ran = entry.benchmark(&["-c", &context.to_string()]).run().exits(0);
    assert_eq!(entry.lines(), ["<***>"]);
    nothing_leaks(&entry, &ran);
}

/// Builds with a Dockerfile that takes a secret as an argument.
fn with_argument<'e>(engine: &'e Engine) -> Entry<'e> {
    let body = "cat /length; echo 'performance: 1 x/s'";
    let entry = engine.entry_without_image(body, json!({}));
    let text = format!(
        "FROM {}\nARG MAD_SECRETS_TOKEN\nRUN echo \"<$MAD_SECRETS_TOKEN>\"; \
         echo ${{#MAD_SECRETS_TOKEN}} > /length",
        engine.base
    );
    entry.dockerfile("Dockerfile", "{}", &text);
    entry
}

pub(crate) fn a_secret_as_a_build_argument(engine: &Engine) {
    let entry = with_argument(engine);
    entry.wrap_client("");
    let ran = entry.benchmark(&[]).env("MAD_SECRETS_TOKEN", TOKEN).run().exits(2);
    let ran = ran.says(&[
        "docker/m.Dockerfile:3: takes the secret MAD_SECRETS_TOKEN as a build argument",
        "RUN --mount=type=secret,id=MAD_SECRETS_TOKEN",
        "--secrets-as-build-args",
    ]);
    nothing_leaks(&entry, &ran);

    let allowed = entry.benchmark(&["--secrets-as-build-args"]).env("MAD_SECRETS_TOKEN", TOKEN);
    let ran = allowed.run().exits(0);
    assert_eq!(entry.lines(), [TOKEN.len().to_string()]);
    // The build printed it.
    let log = entry.fixture.runs()[1].join(&entry.name).join("attempt-1/build/run.log");
    assert!(crate::common::read(&log).contains("<***>"));
    nothing_leaks(&entry, &ran);
    // Without the secret the argument is an ordinary one.
    entry.benchmark(&[]).run().exits(0);
    assert_eq!(entry.lines(), ["0"]);
}

/// A client that builds with BuildKit: this one, or Debian's where this one lacks its plug-in.
fn buildkit(engine: &Engine, entry: &Entry<'_>) -> bool {
    if engine.program == "podman" || engine.has_buildkit() {
        return true;
    }
    let debians = Path::new("/usr/bin/docker");
    if debians == engine.real_program() || !debians.exists() {
        return false;
    }
    let dir = entry.fixture.path("other-client");
    fs::create_dir(&dir).expect("a directory");
    std::os::unix::fs::symlink(debians, dir.join("docker")).expect("a link");
    entry.first_in_path(&dir);
    true
}

pub(crate) fn a_secret_mounted_into_a_build(engine: &Engine) {
    let body = "cat /length; echo 'performance: 1 x/s'";
    let entry = engine.entry_without_image(body, json!({}));
    let text = format!(
        "FROM {}\nRUN --mount=type=secret,id=MAD_SECRETS_KEY cat /run/secrets/MAD_SECRETS_KEY; \
         wc -c < /run/secrets/MAD_SECRETS_KEY > /length",
        engine.base
    );
    entry.dockerfile("Dockerfile", "{}", &text);
    let mad = || entry.benchmark(&[]).env("MAD_SECRETS_KEY", KEY);
    if engine.program == "docker" && !engine.has_buildkit() {
        let refused = mad().run().exits(2);
        refused.says(&["docker/m.Dockerfile:3: needs BuildKit", "buildx", "podman"]);
    }
    assert!(buildkit(engine, &entry), "no client that builds with BuildKit");
    let ran = mad().run().exits(0);
    assert_eq!(entry.lines(), [KEY.len().to_string()]);
    nothing_leaks(&entry, &ran);
    let image = format!("ci-{}_m", entry.name);
    let kept =
        engine.ask(&["image", "inspect", &image]) + &engine.ask(&["history", "--no-trunc", &image]);
    assert!(!kept.contains("of-the-key"), "{kept}");
}

/// What the lessee of a registry must not see either: the client's own answer to a wrong name.
pub(crate) fn a_build_that_fails_tells_no_secret(engine: &Engine) {
    let entry = with_argument(engine);
    let text = format!(
        "FROM {}\nARG MAD_SECRETS_TOKEN\nRUN echo \"<$MAD_SECRETS_TOKEN>\" && exit 3",
        engine.base
    );
    entry.dockerfile("Dockerfile", "{}", &text);
    entry.wrap_client("");
    let mad = entry.benchmark(&["--secrets-as-build-args", "--live-output"]);
    let ran = mad.env("MAD_SECRETS_TOKEN", TOKEN).run().exits(2);
    nothing_leaks(&entry, &ran);
}
