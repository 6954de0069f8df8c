//! Every rule: a catalog that breaks it, and the same catalog put right.

use super::Tree;
use crate::validate::RULES;

const FROM: &str = "# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}\nFROM rocm/pytorch\n";
const DOCKER: &str = "\"dockerfile\": \"docker/a\"";
const A: &str = "docker/a.ubuntu.amd.Dockerfile";
const B: &str = "docker/a.other.ubuntu.amd.Dockerfile";
const DATA: &str = r#"{"imagenet": {"local": {"path": "/data"}}}"#;
const RUN: &str = "s/run.sh";
const PROGRAM: (&str, &str) = ("scripts/d/get_models_json.py", "");
const SLURM: &str = "\"scripts\": \"s/run.slurm\"";

/// Rule, then keys and files that break it, then keys and files that do not.
type Case = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [(&'static str, &'static str)],
);

const CASES: &[Case] = &[
    ("MAD003", r#""n_gpus": "many""#, &[], r#""n_gpus": "8""#, &[]),
    ("MAD004", "", &[PROGRAM, ("mad.toml", "[catalog]\npython = false\n")], "", &[]),
    ("MAD005", r#""args": "a", "args": "b""#, &[], r#""args": "b""#, &[]),
    ("MAD007", "", &[PROGRAM, ("scripts/d/models.json", "[]")], "", &[]),
    ("MAD012", r#""name": "llama 8b""#, &[], r#""args": """#, &[]),
    ("MAD013", r#""tags": []"#, &[], r#""tags": "a,b""#, &[]),
    ("MAD014", r#""tags": ["a, b"]"#, &[], r#""tags": ["a", "b"]"#, &[]),
    ("MAD020", r#""scripts": """#, &[], "", &[]),
    (
        "MAD021",
        r#""scripts": "s/rnu.sh""#,
        &[(RUN, "")],
        r#""scripts": "s""#,
        &[(RUN, "echo performance: 1 m")],
    ),
    ("MAD021", r#""scripts": "s/a.txt""#, &[("s/a.txt", "")], "", &[]),
    (
        "MAD022",
        "",
        &[(RUN, "#!bin/bash\necho performance: 1 m")],
        "",
        &[(RUN, "#!/bin/bash\necho performance: 1 m")],
    ),
    (
        "MAD023",
        "",
        &[(RUN, "if [ x ]; then echo performance: 1 m")],
        "",
        &[(RUN, "if [ x ]; then echo performance: 1 m; fi")],
    ),
    ("MAD024", r#""scripts": "../other/run.sh""#, &[], "", &[]),
    ("MAD024", r#""scripts": "/bin/run.sh""#, &[], "", &[]),
    ("MAD024", r#""dockerfile": "../a""#, &[], "", &[]),
    (
        "MAD024",
        r#""multiple_results": "../perf.csv""#,
        &[(RUN, "echo > perf.csv")],
        r#""multiple_results": "out/perf.csv""#,
        &[(RUN, "echo > out/perf.csv")],
    ),
    ("MAD030", DOCKER, &[("docker/aa.Dockerfile", FROM)], DOCKER, &[(A, FROM)]),
    ("MAD031", DOCKER, &[(A, "FROM x\n")], DOCKER, &[(A, FROM)]),
    ("MAD031", DOCKER, &[(A, "\n\n\n\n\n# CONTEXT {}\nFROM x\n")], DOCKER, &[(A, FROM)]),
    ("MAD032", DOCKER, &[(A, "# CONTEXT gpu_vendor=AMD\nFROM x\n")], DOCKER, &[(A, FROM)]),
    ("MAD033", DOCKER, &[(A, "# CONTEXT {}\n# CONTEXT {}\nFROM x\n")], DOCKER, &[(A, FROM)]),
    (
        "MAD034",
        DOCKER,
        &[(A, FROM), (B, FROM)],
        DOCKER,
        &[(A, FROM), ("docker/a.nv.Dockerfile", "# CONTEXT {'gpu_vendor': 'NVIDIA'}\nFROM x\n")],
    ),
    ("MAD035", DOCKER, &[(A, "# CONTEXT {}\nRUN x\n")], DOCKER, &[(A, FROM)]),
    (
        "MAD036",
        DOCKER,
        &[(A, FROM), ("docker/a.bak", "# CONTEXT {'gpu_vendor': 'X'}\nFROM x\n")],
        DOCKER,
        &[(A, FROM)],
    ),
    (
        "MAD037",
        DOCKER,
        &[(A, "# CONTEXT {'gpu_vendor': 'NVIDIA'}\nFROM x\n")],
        DOCKER,
        &[(A, FROM)],
    ),
    ("MAD040", "", &[(RUN, "# performance: see below\necho hi")], "", &[]),
    ("MAD041", "", &[(RUN, "$COMMAND --batch 8")], "", &[]),
    (
        "MAD042",
        r#""multiple_results": "perf_a.csv""#,
        &[(RUN, "echo performance: 12 tok/s")],
        r#""multiple_results": "perf_a.csv""#,
        &[(RUN, "echo a,1,b > perf_a.csv")],
    ),
    (
        "MAD043",
        r#""multiple_results": "perf_a.txt""#,
        &[(RUN, "echo > $MAD_OUTPUT_CSV")],
        r#""multiple_results": "perf_a.csv""#,
        &[(RUN, "echo > $MAD_OUTPUT_CSV")],
    ),
    (
        "MAD044",
        "",
        &[(RUN, "echo \"performance:$value tok/s\"")],
        "",
        &[(RUN, "echo \"performance: $value tok/s\"")],
    ),
    (
        "MAD045",
        SLURM,
        &[("s/run.slurm", "sbatch --wrap x")],
        SLURM,
        &[("s/run.slurm", "echo x > perf.csv")],
    ),
    ("MAD050", r#""args": "--prompt 'hello""#, &[], r#""args": "--prompt 'hello'""#, &[]),
    (
        "MAD051",
        r#""args": "--cache $HOME/models""#,
        &[],
        r#""args": "--lens '128:128;1024:128'""#,
        &[],
    ),
    ("MAD051", r#""args": "a; b""#, &[], r#""args": "a\\; \"b;c*\" cost$ 5$""#, &[]),
    ("MAD052", r#""timeout": 8640000"#, &[], r#""timeout": -1"#, &[]),
    ("MAD053", r#""n_gpus": "8", "gpu_count": 4"#, &[], r#""n_gpus": "8", "gpu_count": 8"#, &[]),
    (
        "MAD054",
        r#""skip_gpu_arch": "gfx942;MI300X""#,
        &[],
        r#""skip_gpu_arch": "gfx942, A100,H100""#,
        &[],
    ),
    (
        "MAD055",
        r#""data": "imagenett""#,
        &[("data.json", DATA)],
        r#""data": "imagenet""#,
        &[("data.json", DATA)],
    ),
    (
        "MAD056",
        r#""data": "imagenet""#,
        &[("data.json", r#"{"imagenet": {"minoi": {"path": "s3://bucket/imagenet"}}}"#)],
        r#""data": "imagenet""#,
        &[("data.json", r#"{"imagenet": {"minio": {"path": "s3://bucket/imagenet"}}}"#)],
    ),
    ("MAD056", r#""data": "imagenet""#, &[("data.json", "{,}")], "", &[("data.json", "{,}")]),
    (
        "MAD057",
        r#""scripts": "s/run.slurm", "multiple_results": "perf.csv""#,
        &[("s/run.slurm", "echo > perf.csv")],
        SLURM,
        &[("s/run.slurm", "echo > perf.csv")],
    ),
    ("MAD060", r#""ngpu": "8""#, &[], r#""_ngpu": "8", "comment": "x""#, &[]),
    ("MAD061", r#""regress": {"tolerance": 5}"#, &[], r#""regress": {"tolerance": 0.05}"#, &[]),
    ("MAD061", r#""bench": {"samples": 0}"#, &[], r#""bench": {"samples": 3}"#, &[]),
    (
        "MAD061",
        r#""regress": {"metrics": {"ms": {"gated": false, "reason": "r", "until": "soon"}}}"#,
        &[],
        r#""regress": {"metrics": {"ms": {"gated": false, "reason": "r", "until": "2026-12-31"}}}"#,
        &[],
    ),
    (
        "MAD062",
        r#""regress": {"metrics": {"ms": {"gated": false}}}"#,
        &[],
        r#""regress": {"metrics": {"ms": {"gated": false, "reason": "shared machine"}}}"#,
        &[],
    ),
    (
        "MAD062",
        r#""regress": {"metrics": {"ms": {"xfail": {"reason": " "}}}}"#,
        &[],
        r#""regress": {"metrics": {"ms": {"xfail": {"reason": "issue 7"}}}}"#,
        &[],
    ),
];

#[test]
fn every_rule_has_an_example_and_a_fix() {
    for (rule, keys, files, fixed_keys, fixed_files) in CASES {
        let broken = Tree::entry(keys, files).ids();
        assert!(broken.contains(rule), "{rule} {keys} {files:?}: {broken:?}");
        let fixed = Tree::entry(fixed_keys, fixed_files).ids();
        assert!(fixed.is_empty(), "{rule}, fixed, {fixed_keys} {fixed_files:?}: {fixed:?}");
    }
    // Those that need files which are not UTF-8, or no catalog at all, stand below; those
    // that need Python in tests/program.rs.
    let elsewhere = ["MAD001", "MAD002", "MAD006", "MAD008", "MAD010", "MAD011", "MAD025"];
    for rule in RULES {
        let tested = CASES.iter().any(|c| c.0 == rule.id) || elsewhere.contains(&rule.id);
        assert!(tested, "{} has no example", rule.id);
    }
}

#[test]
fn files_that_are_no_catalog() {
    let ids = |text: &str| Tree::new(&[("models.json", text.as_bytes())]).ids();
    assert_eq!(ids(r#"[{"name": "a",}]"#), ["MAD001"]);
    assert_eq!(ids(r#"{"name": "a"}"#), ["MAD002"]);
    assert!(ids(r#"[{"scripts": "a.sh"}]"#).contains(&"MAD010"));
    assert!(ids(r#"[{"name": "a"}, {"name": "a"}]"#).contains(&"MAD011"));
    let latin: &[u8] = b"echo \"d\xe9j\xe0 vu\"";
    let json = br#"[{"name": "a", "scripts": "a.sh"}]"#;
    assert!(Tree::new(&[("models.json", json), ("a.sh", latin)]).ids().contains(&"MAD025"));
}

#[test]
fn links_out_of_the_catalog_are_refused() {
    let outside = Tree::new(&[("run.sh", b"echo performance: 1 m")]);
    let tree = Tree::entry("\"scripts\": \"s/link.sh\"", &[("s/x", "")]);
    std::os::unix::fs::symlink(outside.root().join("run.sh"), tree.root().join("s/link.sh"))
        .unwrap();
    assert_eq!(tree.ids(), ["MAD024"]);
}

#[test]
fn helps_name_what_was_probably_meant() {
    let help = |keys: &str, files: &[(&str, &str)]| {
        Tree::entry(keys, files)
            .check()
            .iter()
            .filter_map(|d| d.help.clone())
            .collect::<Vec<_>>()
            .join("|")
    };
    assert_eq!(help("\"ngpu\": 1", &[]), "did you mean `num_gpus`?".replace("num_gpus", "ngpus"));
    assert!(help("\"scripts\": \"s/rnu.sh\"", &[(RUN, "")]).contains("`s/run.sh`"));
    assert!(
        help("\"dockerfile\": \"docker/vlm\"", &[("docker/vllm.x", "")]).contains("`docker/vllm`")
    );
    assert!(
        help("\"dockerfile\": \"docker/a.amd.Dockerfile\"", &[("docker/a.amd.Dockerfile", FROM)])
            .contains("write `docker/a`")
    );
}
