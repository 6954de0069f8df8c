//! What people want, and the command for it.

/// A row of the decision table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Behind "I want to".
    pub want: &'static str,
    /// What to type, in the shipped catalog; each may need what those above it did.
    pub command: &'static str,
    /// Its exit status in a catalog where all is well; none where it needs what a test has not
    /// got, such as a cluster or a quiet machine.
    pub exit: Option<i32>,
    /// The page of the guide that says more.
    pub page: &'static str,
}

const fn wish(
    want: &'static str,
    command: &'static str,
    exit: Option<i32>,
    page: &'static str,
) -> Wish {
    Wish { want, command, exit, page }
}

/// The decision table, from the first look to the last resort.
pub const WISHES: &[Wish] = &[
    wish("see what is in the catalog", "mad discover", Some(0), "entries.md"),
    wish("check entries without running them", "mad validate", Some(0), "entries.md"),
    wish("know what a finding means", "mad validate --explain MAD040", Some(0), "rules.md"),
    wish(
        "add a model, with a script and a Dockerfile",
        "mad add-model pyt_sglang_qwen3-8b",
        Some(0),
        "entries.md",
    ),
    wish(
        "see what would run here, and why the rest would not",
        "mad benchmark --plan",
        Some(0),
        "test-target.md",
    ),
    wish(
        "plan for a machine that is not at hand",
        "mad machine > there.json; mad benchmark --plan --machine there.json",
        Some(0),
        "formats.md",
    ),
    wish("measure", "mad benchmark rust_membw/triad --samples 3", Some(0), "entries.md"),
    wish(
        "have a first baseline: three runs that agree",
        "for run in 1 2; do mad benchmark rust_membw/triad; done; mad baseline accept --why 'first numbers'",
        Some(0),
        "baselines.md",
    ),
    wish(
        "gate a change: red (5) when something is slower",
        "mad benchmark rust_membw/triad --require-baseline",
        Some(0),
        "ci.md",
    ),
    wish(
        "see a gate go red",
        "MAD_PLANT_SLOWDOWN=3 mad benchmark rust_membw/triad",
        Some(5),
        "tutorial.md",
    ),
    wish(
        "know every number behind the last verdict",
        "mad report --explain",
        Some(1),
        "verdicts.md",
    ),
    wish("know whether the gate is awake on this machine", "mad selftest gate", None, "ci.md"),
    wish(
        "compare with another commit on a noisy machine",
        "mad compare --base HEAD rust_membw/triad",
        Some(0),
        "compare.md",
    ),
    wish(
        "measure a matrix of entries, GPU counts and values",
        "mad sweep --tags rust_gemm --axis docker_env_vars.MAD_GEMM_BLOCK=128,256 --plan",
        Some(0),
        "sweep.md",
    ),
    wish("know what holds a model back", "mad profile rust_gemm", None, "diagnose.md"),
    wish(
        "read a trace that exists",
        "mad diagnose trace.json.gz --model pyt_vllm_qwen3-8b",
        None,
        "diagnose.md",
    ),
    wish(
        "see which changes may make a model faster, and why",
        "mad tune-search rust_gemm --plan",
        Some(0),
        "tuning.md",
    ),
    wish(
        "find a faster configuration that holds, as a patch",
        "mad tune-search rust_gemm --budget 1h --write-patch tuned.patch",
        None,
        "tuning.md",
    ),
    wish("show people the results", "mad report -o report.html", Some(1), "reports.md"),
    wish("comment on a pull request", "mad report --format markdown", Some(1), "reports.md"),
    wish("know when a number changed", "mad history rust_membw/triad", Some(0), "history.md"),
    wish(
        "build images here and measure there",
        "mad build gpu-smoke && mad benchmark --manifest build_manifest.json",
        None,
        "build.md",
    ),
    wish(
        "use a Slurm cluster",
        "mad benchmark gpu-smoke --engine slurm --detach",
        None,
        "slurm.md",
    ),
    wish("collect what a cluster measured", "mad attach latest", None, "slurm.md"),
    wish("remove what killed runs left behind", "mad clean --plan", Some(0), "build.md"),
    wish("have an editor check models.json", "mad schema catalog", Some(0), "entries.md"),
    wish("let an agent use all this", "mad mcp", None, "mcp.md"),
    wish(
        "have slash commands and roles for that agent",
        "mad agents install --dry-run",
        Some(0),
        "mcp.md",
    ),
    wish(
        "complete commands, tags and names",
        "source <(mad completions bash)",
        Some(0),
        "commands.md",
    ),
];

/// What saves time, in Markdown in which only backticks mean something.
pub const TIPS: &[&str] = &[
    "Measure on a quiet machine, one job at a time. `mad compare` is for machines that are not.",
    "A pipe hides the exit status: `mad benchmark | tee log` is always green without `set -o pipefail`. `mad report --gate` ends as the run did.",
    "On the machine that gates, set `MAD_REQUIRE_GPU=1`, `MAD_REQUIRE_CONTAINERS=1` and `MAD_REQUIRE_BASELINE=1`. Otherwise a broken driver skips everything, and that is green.",
    "`--plan` prints the exact command and runs nothing, with every command that runs something.",
    "Each option has an environment form, which `cargo test` understands, too: `MAD_TAGS=cpu cargo test`.",
    "`--until decided --budget 2h` spends executions where a verdict is in doubt, and nowhere else.",
    "More accepted runs make a sharper gate: accept green runs, too.",
    "`PYTORCH_TUNABLEOP_ENABLED=1` is worthless cold: while it tunes, everything is slow. Give it a warm-up.",
    "Write `\"args\"` so that nothing needs a shell: words are split, nothing is expanded.",
    "`mad benchmark --resume latest` goes on with a run that was interrupted; nothing is measured twice.",
];
