//! `mad diagnose` on traces of every profiler.

mod broken;
#[path = "../common/mod.rs"]
mod common;
mod counters;
mod lever;
mod profile;
mod traces;

use std::fmt::Write as _;
use std::path::Path;

use mad_harness::profile::{Bottleneck, Diagnosis, diagnose, levers, rules};
use serde_json::Value;

use common::{Fixture, Ran};
use traces::{FORMATS, NCCL_LOG, WORKLOADS, ops};

fn mad(fixture: &Fixture, args: &[&str]) -> Ran {
    fixture.mad(args).run()
}

/// The same workloads in every format, and what is concluded from each.
#[test]
fn confusion_table() {
    let mut table = format!("{:32}", "");
    for (workload, ..) in WORKLOADS {
        let _ = write!(table, "{workload:<15}");
    }
    let mut wrong = Vec::new();
    for (format, write) in FORMATS.into_iter().chain(counters::NCU) {
        let _ = write!(table, "\n{format:32}");
        for (workload, ..) in WORKLOADS {
            let dir = tempfile::tempdir().expect("a directory");
            let path = write(dir.path(), &ops(workload));
            let found = diagnose(&path).unwrap_or_else(|e| panic!("{format}, {workload}: {e:#}"));
            assert_eq!(found.problems, Vec::<String>::new(), "{format}, {workload}");
            let word = found.bottleneck.word();
            let _ = write!(table, "{word:<15}");
            if word != workload {
                wrong.push(format!("{format}, {workload}: {}", found.headline()));
            }
        }
    }
    let table: Vec<&str> = table.lines().map(str::trim_end).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", table.join("\n"));
    insta::assert_snapshot!(table.join("\n"));
}

/// All formats that have the times of single kernels give the same numbers.
#[test]
fn formats_agree_on_the_numbers() {
    let ops = ops("memory");
    let busy: i64 = ops.iter().map(|op| op.end - op.start).sum();
    let window = ops[ops.len() - 1].end - ops[0].start;
    for (format, write) in FORMATS {
        let dir = tempfile::tempdir().expect("a directory");
        let found = diagnose(&write(dir.path(), &ops)).expect("a diagnosis");
        let sums = found.kernels.expect("kernels");
        assert_eq!(sums.calls, ops.len() as u64, "{format}");
        assert!((sums.total_s - busy as f64 / 1e9).abs() < 1e-6, "{format}: {}", sums.total_s);
        let share = found.hotspots[0].share;
        assert!((share - 40.0 / 112.0).abs() < 1e-3, "{format}: {share}");
        assert_eq!(
            (found.hotspots[0].kind.word(), found.hotspots[0].calls),
            ("attention", 60),
            "{format}"
        );
        let Some(gpu) = found.gpu else { continue };
        let share = busy as f64 / window as f64;
        // Microseconds as floating-point numbers since the epoch are that exact.
        assert!((gpu.busy_share - share).abs() < 1e-2, "{format}: {}", gpu.busy_share);
        assert_eq!(gpu.gpus, 1, "{format}");
        assert_eq!(gpu.gaps.count, ops.len() as u64 - 1, "{format}");
    }
}

#[test]
fn what_people_read() {
    let fixture = Fixture::empty();
    let path = traces::rocprofv3_trace(&fixture.path("."), &ops("launch"));
    let ran = mad(&fixture, &["diagnose", "rocprof_output"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout);
    assert!(path.is_dir());
}

#[test]
fn the_json_is_one_document_with_a_version() {
    let fixture = Fixture::empty();
    let path = traces::pytorch(&fixture.path("."), &ops("compute"));
    let ran = mad(&fixture, &["--json", "diagnose", &path.to_string_lossy()]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(value["schema"], "mad-diagnosis/1");
    assert_eq!(value["bottleneck"], "compute");
    let read: Diagnosis = serde_json::from_value(value).expect("it reads back");
    assert_eq!(read.bottleneck, Bottleneck::Compute);
}

#[test]
fn pictures_need_nothing_else() {
    let fixture = Fixture::empty();
    traces::rtl_database(&fixture.path("."), &ops("memory"));
    for (file, begins) in [("d.svg", "<svg "), ("d.html", "<!doctype html>")] {
        let ran = mad(&fixture, &["diagnose", "trace.db", "-o", file]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("bottleneck: memory"), "{}", ran.stdout);
        let text = fixture.text(file);
        assert!(text.starts_with(begins), "{file}");
        // Names of templates are full of what HTML has a meaning for.
        assert!(text.contains("rms_norm_kernel&lt;c10::BFloat16&gt;"), "{file}");
        for word in ["<script", "href=", "src=", "@import", "url("] {
            assert!(!text.contains(word), "{file} has {word}");
        }
        assert_eq!(
            text.matches("http:").count(),
            text.matches("http://www.w3.org/2000/svg").count()
        );
    }
}

/// One run leaves several forms of the same; the one that says most is read.
#[test]
fn of_a_directory_the_best_format_is_read_and_the_rest_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().to_owned();
    let workload = ops("communication");
    traces::rtl_database(&dir, &workload);
    traces::rtl_summary(&dir, &workload);
    traces::rtl_chrome(&dir, &workload);
    fixture_write(&dir, "run.log", NCCL_LOG);
    fixture_write(&dir, "notes.md", "# nothing\n");
    let found = diagnose(&dir).expect("a diagnosis");
    assert_eq!(found.bottleneck, Bottleneck::Communication);
    let read: Vec<&str> =
        found.sources.iter().map(|s| s.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(read, ["run.log", "trace.db"]);
    let left: Vec<&str> =
        found.left_out.iter().map(|s| s.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(left, ["notes.md", "rtl.json", "trace_summary.txt"]);
    let log = found.communication.expect("the log");
    assert_eq!((log.ranks, log.channels["NET/Socket"], log.channels["P2P"]), (8, 1, 1));
    assert_eq!(log.collectives["AllReduce"].bytes, 1_048_576 * 2 + 4096);
    assert!(found.notes.iter().any(|n| n.contains("TCP sockets")), "{:?}", found.notes);
    // Nothing is written beside a database.
    assert!(!dir.join("trace.db-shm").exists());
}

#[test]
fn a_log_of_collectives_alone_names_no_bottleneck() {
    let fixture = Fixture::empty();
    fixture_write(&fixture.path("."), "run.log", NCCL_LOG);
    let ran = mad(&fixture, &["diagnose", "run.log"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout);
}

/// Ranks write a file each; each has a GPU 0.
#[test]
fn files_of_several_ranks_are_several_gpus() {
    let dir = tempfile::tempdir().expect("a directory");
    for rank in ["rank0", "rank1"] {
        std::fs::create_dir(dir.path().join(rank)).expect("a directory");
        traces::pytorch(&dir.path().join(rank), &ops("compute"));
    }
    let gpu = diagnose(dir.path()).expect("a diagnosis").gpu.expect("GPUs");
    assert_eq!(gpu.gpus, 2);
    assert_eq!(gpu.devices[1].device, "group 1 GPU 0");
}

/// The table in the guide is the one that is compared with.
#[test]
fn the_guide_has_the_rules() {
    let mut table = "| | when | bottleneck | why |\n|---|---|---|---|\n".to_owned();
    for rule in rules::table() {
        let (n, when, why) = (rule.rule, rule.when, rule.why);
        let _ = writeln!(table, "| {n} | {when} | {} | {why} |", rule.concludes.word());
    }
    generated("docs/diagnose.md", "rules", &table);
}

#[test]
fn the_guide_has_the_levers() {
    let mut table = "| stack | lever | values | targets | needs | remarks | why |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    for lever in levers::shipped().expect("the levers") {
        let mut remarks = Vec::new();
        if lever.numerics {
            remarks.push("**may change the answer**".to_owned());
        }
        if lever.warmup > 0 {
            remarks.push(format!("warm-up {}", lever.warmup));
        }
        if !lever.keep.is_empty() {
            remarks.push(format!("keeps `{}`", lever.keep.join("`, `")));
        }
        if !lever.conflicts.is_empty() {
            remarks.push(format!("not with `{}`", lever.conflicts.join("`, `")));
        }
        remarks.extend(lever.file.iter().map(|file| format!("in `{file}`")));
        let values: Vec<String> =
            lever.values.iter().map(|v| format!("`{v}`").replace("``", "(no value)")).collect();
        let _ = writeln!(
            table,
            "| {} | `{}` | {} | {} | {} | {} | {} |",
            lever.stacks.join(", "),
            lever.name,
            values.join(", "),
            lever.targets.join(", "),
            lever.needs.unwrap_or_default(),
            remarks.join("; "),
            lever.why
        );
    }
    generated("docs/levers.md", "levers", &table);
}

/// A page has `table` between its marks; `MAD_UPDATE=1` writes it there.
fn generated(page: &str, mark: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let (before, rest) = text.split_once(&begin).expect("a place for the table");
    let (_, after) = rest.split_once(&end).expect("the end of the table");
    let wanted = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("MAD_UPDATE").is_some() {
        std::fs::write(&path, &wanted).expect("written");
        return;
    }
    assert!(text == wanted, "{page} is out of date: MAD_UPDATE=1 cargo test --test diagnose");
}

fn fixture_write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("a file");
}
