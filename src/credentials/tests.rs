use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const FILE: &str = r#"{
    "MY_GITHUB": {"username": "ci", "password": "gh-pa55"},
    "gerrit.example.com": {"username": "robot", "ssh_key_file": "keys/id"},
    "NUMBERS": {"pin": 987654, "verified": true, "nothing": null, "more": {"deep": "d33p-s3cret"}},
    "NAS_NODES": [{"NAME": "n1", "HOST": "nas.example.com", "PORT": "22", "PASSWORD": "nas-pa55"}],
    "MAD_MINIO": {"USERNAME": "m", "PASSWORD": "minio-pa55", "MINIO_ENDPOINT": "http://s3:9000",
                  "OTHER_ENDPOINT": "http://u:in-url@s3:9000"},
    "HF_TOKEN": "hf_0123",
    "dockerhub": {"username": "hub", "password": "hub-pa55", "repository": "example/ci"},
    "docker.io": {"username": "wrong", "password": "wrong-pa55"},
    "https://Registry.Example.com:5000/v2/": {"username": "r", "password": "reg-pa55"},
    "ghcr.io": {"repository": "example"}
}"#;

fn with(text: &str, env: &[(&str, &str)]) -> Result<Credentials> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(CREDENTIAL_FILE);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    read(&dir, env)
}

fn read(dir: &TempDir, env: &[(&str, &str)]) -> Result<Credentials> {
    let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Credentials::read(dir.path(), &env)
}

fn error(text: &str) -> String {
    format!("{:#}", with(text, &[]).unwrap_err())
}

#[test]
fn fields_become_variables() {
    let credentials = with(FILE, &[]).unwrap();
    let fields = |name| credentials.get(name).unwrap().fields().collect::<Vec<_>>();
    assert_eq!(fields("MY_GITHUB"), [("PASSWORD", "gh-pa55"), ("USERNAME", "ci")]);
    assert_eq!(fields("NUMBERS"), [("PIN", "987654"), ("VERIFIED", "true")]);
    let minio = credentials.get("MAD_MINIO").unwrap();
    assert_eq!((minio.username(), minio.password()), (Some("m"), Some("minio-pa55")));
    assert_eq!(credentials.get("dockerhub").unwrap().repository(), Some("example/ci"));
    assert!(credentials.warnings().is_empty());
}

#[test]
fn everything_not_obviously_public_is_secret() {
    let credentials = with(FILE, &[("MAD_DOCKERHUB_PASSWORD", "lonely")]).unwrap();
    let expected = [
        "987654",
        "d33p-s3cret",
        "gh-pa55",
        "hf_0123",
        "http://u:in-url@s3:9000",
        "hub-pa55",
        "lonely",
        "minio-pa55",
        "nas-pa55",
        "reg-pa55",
        "wrong-pa55",
    ];
    assert_eq!(credentials.secrets().collect::<Vec<_>>(), expected);
    let shown = format!("{credentials:?} {:#?}", credentials.get("MY_GITHUB"));
    assert!(shown.contains("MY_GITHUB") && shown.contains("USERNAME"));
    for value in expected.into_iter().chain(["ci", "robot", "nas.example.com"]) {
        assert!(!shown.contains(&format!("\"{value}\"")), "{shown}");
    }
}

#[test]
fn an_entry_names_a_login() {
    let credentials = with(FILE, &[]).unwrap();
    assert!(credentials.of_entry("MY_GITHUB").unwrap().is_some());
    let error = |name| credentials.of_entry(name).unwrap_err().to_string();
    insta::assert_snapshot!([error("my_githup"), error("unlike"), error("NAS_NODES")].join("\n"), @r"
    credential.json has no login `my_githup`; did you mean `MY_GITHUB`?
    credential.json has no login `unlike`; it has MAD_MINIO, MY_GITHUB, NUMBERS, docker.io, dockerhub, gerrit.example.com, ghcr.io, https://Registry.Example.com:5000/v2/
    `NAS_NODES` in credential.json is no object, so it is no login
    ");
    let empty = with("{}", &[]).unwrap();
    assert!(empty.of_entry("x").unwrap_err().to_string().ends_with("it has none"));
}

#[test]
fn the_file_is_optional() {
    let credentials = read(&tempfile::tempdir().unwrap(), &[]).unwrap();
    assert!(!credentials.found());
    assert!(credentials.of_entry("MY_GITHUB").unwrap().is_none());
    assert_eq!(credentials.secrets().count(), 0);
    assert!(with("{}", &[]).unwrap().found());
}

#[test]
fn the_environment_overrides_docker_hub() {
    let (user, password) = (("MAD_DOCKERHUB_USER", "me"), ("MAD_DOCKERHUB_PASSWORD", "mine"));
    let credentials = with(FILE, &[user, password]).unwrap();
    let fields = |c: &Credentials| {
        let fields = c.get(DOCKER_HUB).unwrap().fields();
        fields.map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(fields(&credentials), "PASSWORD=mine USERNAME=me");
    let empty = tempfile::tempdir().unwrap();
    let repo = ("MAD_DOCKERHUB_REPO", "me/ci");
    let credentials = read(&empty, &[user, password, repo]).unwrap();
    assert_eq!(fields(&credentials), "PASSWORD=mine REPOSITORY=me/ci USERNAME=me");
    assert!(!credentials.found());

    let credentials = read(&empty, &[user, ("MAD_DOCKERHUB_PASSWORD", "")]).unwrap();
    assert!(credentials.get(DOCKER_HUB).is_none());
    let warning = "MAD_DOCKERHUB_USER means nothing without MAD_DOCKERHUB_PASSWORD";
    assert_eq!(credentials.warnings(), [warning]);
}

#[test]
fn registries_are_found_by_their_host() {
    let credentials = with(FILE, &[]).unwrap();
    for (image, expected) in [
        ("ubuntu", Some(("docker.io", "hub"))),
        ("rocm/pytorch:latest", Some(("docker.io", "hub"))),
        ("docker.io/rocm/pytorch", Some(("docker.io", "hub"))),
        ("index.docker.io/x", Some(("docker.io", "hub"))),
        ("registry.example.com:5000/a/b@sha256:0", Some(("registry.example.com:5000", "r"))),
        ("registry.example.com/a", None),
        ("localhost/a", None),
        ("localhost:5000/a", None),
        // A login without a password is none.
        ("ghcr.io/example/a", None),
    ] {
        let found = credentials.registry_login(image);
        let found = found.as_ref().map(|(host, login)| (host.as_str(), login.username().unwrap()));
        assert_eq!(found, expected, "{image}");
    }
    let other = with(r#"{"docker.io": {"username": "u", "password": "pppp"}}"#, &[]).unwrap();
    assert_eq!(other.registry_login("ubuntu").unwrap().1.username(), Some("u"));
}

#[test]
fn key_files_are_found() {
    let credentials = with(
        r#"{"a": {"ssh_key_file": "keys/id"}, "b": {"ssh_key_file": "/k"},
            "c": {"ssh_key_file": "~/.ssh/id"}, "d": {"ssh_key_file": ""}}"#,
        &[],
    )
    .unwrap();
    let file = |name| credentials.get(name).unwrap().ssh_key_file();
    assert!(file("a").unwrap().is_absolute() && file("a").unwrap().ends_with("keys/id"));
    assert_eq!(file("b").unwrap(), Path::new("/k"));
    assert!(!file("c").unwrap().starts_with("~") && file("c").unwrap().ends_with(".ssh/id"));
    assert_eq!(file("d"), None);
}

#[test]
fn what_people_read_when_the_file_is_wrong() {
    insta::assert_snapshot!([
        error("[1]"),
        error("\n  \"s3cret-text\""),
        error("{\n  \"a\": {\"password\": \"s3cret\" \"x\"}\n}"),
        error("{\n  \"a\": {\"password\": \"s3cret\",\n  \"Password\": \"s3cret\"}\n}"),
        error(""),
    ].join("\n"), @r#"
    credential.json:1:1: the file must be an object of logins: `{ "<name>": { "username": …, "password": … } }`
    credential.json:2:3: the file must be an object of logins: `{ "<name>": { "username": …, "password": … } }`
    credential.json:2:30: this is not valid JSON: expected `,` or `}`
    credential.json:3:3: `a` has the field `Password` twice; remove one
    credential.json:1: this is not valid JSON: EOF while parsing a value
    "#);
}

#[test]
fn a_file_that_others_can_read_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(CREDENTIAL_FILE);
    let warnings = |text: &str, mode| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&dir, &[]).unwrap().warnings().to_vec()
    };
    for (mode, expected) in [(0o600, 0), (0o640, 1), (0o644, 1), (0o400, 0)] {
        assert_eq!(warnings(FILE, mode).len(), expected, "{mode:o}");
    }
    assert!(warnings(FILE, 0o644)[0].contains("(mode 0644): `chmod 600 "));
    assert!(warnings("{}", 0o644).is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(CREDENTIAL_FILE)).unwrap();
    assert!(format!("{:#}", read(&dir, &[]).unwrap_err()).starts_with("cannot read "));
}

proptest! {
    #[test]
    fn no_text_panics_and_no_message_holds_a_value(
        head in "[\\[\\]{}:,\" a\n]{0,8}",
        tail in "[\\[\\]{}:,\" a\n]{0,8}",
    ) {
        let text = format!("{head}{{\"k\": {{\"password\": \"s3cret\"}}}}{tail}");
        if let Err(e) = with(&text, &[]) {
            let message = format!("{e:#}");
            prop_assert!(!message.contains("s3cret"), "{}", message);
        }
    }
}
