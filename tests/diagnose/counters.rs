//! What Nsight Compute and Linux perf print, with the columns and lines of the real ones.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mad_harness::profile::{Bottleneck, Diagnosis, diagnose};

use super::traces::{Op, Writer, ops, write};
use super::{Fixture, mad};

/// The forms of Nsight Compute's output, which has no copies and no gaps.
pub(crate) const NCU: [(&str, Writer); 3] =
    [("ncu --csv", ncu_csv), ("ncu --csv --page raw", ncu_raw_csv), ("ncu --page raw", ncu_text)];

/// Shares of the peaks of arithmetic and memory that a kernel reaches.
fn peaks(op: &Op) -> (f64, f64) {
    if op.name.starts_with("Cijk") { (80.5, 30.25) } else { (12.5, 91.0) }
}

fn kernels(ops: &[Op]) -> impl Iterator<Item = (usize, &Op)> {
    ops.iter().filter(|op| !op.is_copy()).enumerate()
}

fn us(op: &Op) -> f64 {
    (op.end - op.start) as f64 / 1e3
}

const PREFIX: &str = "==PROF== Connected to process 4711 (/usr/bin/python3.11)\n\
                      ==PROF== Profiling \"kernel\" - 0: 0%....50%....100% - 8 passes\n\
                      ==PROF== Disconnected from process 4711\n";

fn ncu_csv(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut text = format!(
        "{PREFIX}\"ID\",\"Process ID\",\"Process Name\",\"Host Name\",\"Kernel Name\",\"Context\",\
         \"Stream\",\"Block Size\",\"Grid Size\",\"Device\",\"CC\",\"Section Name\",\"Metric Name\",\
         \"Metric Unit\",\"Metric Value\",\"Rule Name\",\"Rule Type\",\"Rule Description\"\n"
    );
    for (id, op) in kernels(ops) {
        let (compute, memory) = peaks(op);
        let rows = [
            ("GPU Speed Of Light Throughput", "SM Frequency", "Ghz", "1.55".to_owned()),
            ("GPU Speed Of Light Throughput", "Memory Throughput", "%", memory.to_string()),
            ("GPU Speed Of Light Throughput", "Duration", "us", us(op).to_string()),
            ("GPU Speed Of Light Throughput", "Compute (SM) Throughput", "%", compute.to_string()),
            ("Memory Workload Analysis", "Memory Throughput", "Tbyte/s", "2,012.5".to_owned()),
        ];
        for (section, metric, unit, value) in rows {
            let _ = writeln!(
                text,
                "\"{id}\",\"4711\",\"python3.11\",\"127.0.0.1\",\"{}\",\"1\",\"7\",\"(256, 1, 1)\",\
                 \"(1024, 1, 1)\",\"0\",\"9.0\",\"{section}\",\"{metric}\",\"{unit}\",\"{value}\",\
                 \"\",\"\",\"\"",
                op.name
            );
        }
    }
    write(dir.join("ncu.csv"), text)
}

fn ncu_raw_csv(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut text = format!(
        "{PREFIX}\"ID\",\"Process ID\",\"Process Name\",\"Host Name\",\"Kernel Name\",\"Context\",\
         \"Stream\",\"Block Size\",\"Grid Size\",\"Device\",\"CC\",\
         \"gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed\",\
         \"gpu__time_duration.sum\",\"sm__throughput.avg.pct_of_peak_sustained_elapsed\"\n\
         \"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"%\",\"ns\",\"%\"\n"
    );
    for (id, op) in kernels(ops) {
        let (compute, memory) = peaks(op);
        let _ = writeln!(
            text,
            "\"{id}\",\"4711\",\"python3.11\",\"127.0.0.1\",\"{}\",\"1\",\"7\",\"(256, 1, 1)\",\
             \"(1024, 1, 1)\",\"0\",\"9.0\",\"{memory}\",\"{},{:03}\",\"{compute}\"",
            op.name,
            (op.end - op.start) / 1000,
            (op.end - op.start) % 1000,
        );
    }
    write(dir.join("ncu_raw.csv"), text)
}

fn ncu_text(dir: &Path, ops: &[Op]) -> PathBuf {
    let mut text = format!("{PREFIX}[4711] python3.11@127.0.0.1\n");
    let line = format!("    {:-<68} {:-<11} {:-<12}", "", "", "");
    for (_, op) in kernels(ops) {
        let (compute, memory) = peaks(op);
        let _ = writeln!(
            text,
            "  {} (1024, 1, 1)x(256, 1, 1), Context 1, Stream 7, Device 0, CC 9.0\n{line}",
            op.name
        );
        let peak = "pct_of_peak_sustained_elapsed";
        for (name, unit, value) in [
            ("Metric Name".to_owned(), "Metric Unit", "Metric Value".to_owned()),
            (format!("gpu__compute_memory_throughput.avg.{peak}"), "%", memory.to_string()),
            ("gpu__time_duration.sum".to_owned(), "us", us(op).to_string()),
            (format!("sm__throughput.avg.{peak}"), "%", compute.to_string()),
        ] {
            let _ = writeln!(text, "    {name:68} {unit:>11} {value:>12}");
        }
        let _ = writeln!(text, "{line}\n");
    }
    write(dir.join("ncu.txt"), text)
}

fn of(text: &str) -> Diagnosis {
    let dir = tempfile::tempdir().expect("a directory");
    diagnose(&write(dir.path().join("file"), text)).expect("a diagnosis")
}

#[test]
fn nsight_compute_says_how_near_the_peaks_are() {
    for (format, writer) in NCU {
        let dir = tempfile::tempdir().expect("a directory");
        let ops = ops("compute");
        let found = diagnose(&writer(dir.path(), &ops)).expect("a diagnosis");
        let sums = found.kernels.as_ref().expect("kernels");
        assert_eq!(sums.calls as usize, kernels(&ops).count(), "{format}");
        assert!((sums.total_s - 60.0 * 95e-6).abs() < 1e-9, "{format}: {}", sums.total_s);
        assert_eq!(found.hotspots[0].name, ops[0].name, "{format}");
        assert_eq!(found.gpu, None, "{format}");
        let told = "arithmetic reaches 70 % and memory 40 %";
        assert!(found.notes.iter().any(|n| n.contains(told)), "{format}: {:?}", found.notes);
    }
}

#[test]
fn nsight_compute_without_durations_or_cut_off_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = std::fs::read_to_string(ncu_raw_csv(dir.path(), &ops("compute"))).expect("text");
    let found = of(&text[..text.len() - 30]);
    assert!(found.problems[0].contains("in the middle of a row"), "{:?}", found.problems);
    assert_eq!(found.bottleneck, Bottleneck::Compute);
    let without = text.replace("gpu__time_duration.sum", "gpu__time_active.sum");
    let found = of(&without);
    assert_eq!(found.kernels, None);
    assert!(found.notes.iter().any(|n| n.contains("--section SpeedOfLight")), "{:?}", found.notes);
}

/// `perf stat -d`, with these instructions and misses per 1000 cycles and loads.
fn perf_stat(busy_ms: &str, instructions: u64, misses: u64) -> String {
    format!(
        "# started on Thu Nov 26 01:07:42 2026\n\n\n Performance counter stats for './run.sh':\n\n\
         \x20         {busy_ms} msec task-clock:u                     #    0.950 CPUs utilized\n\
         \x20             1,000      context-switches                 #  800.000 /sec\n\
         \x20                 0      cpu-migrations                   #    0.000 /sec\n\
         \x20               741      page-faults                      #   64.190 K/sec\n\
         \x20         1,000,000      cycles                           #    2.800 GHz\n\
         \x20         {instructions},000      instructions                     #    0.00  insn per cycle\n\
         \x20   <not supported>      branches\n\
         \x20           1,000      LLC-loads                        #    1.000 M/sec\n\
         \x20             {misses}      LLC-load-misses                  #   35.00% of all LL-cache accesses\n\n\
         \x20      1.250000000 seconds time elapsed\n\n\
         \x20      1.150000000 seconds user\n       0.040000000 seconds sys\n\n\n"
    )
}

/// `perf script` with call graphs: a sample of `period` in each of these functions.
fn perf_script(functions: &[(&str, u64)]) -> String {
    let mut text = String::new();
    for (i, (function, period)) in functions.iter().enumerate() {
        let _ = write!(
            text,
            "python3 23424 [001] 26308.{i:06}: {period:10} cycles:P: \n\
             \t    7f30c06943e0 {function}+0x270 (/usr/lib/x86_64-linux-gnu/libopenblas.so.0)\n\
             \t               0 main+0x1 (/usr/bin/python3.11)\n\n"
        );
    }
    text
}

/// The same without call graphs.
fn perf_script_flat(functions: &[(&str, u64)]) -> String {
    let row = |(function, period): &(&str, u64)| {
        format!(
            "         python3 23368 26305.309306:     {period} cpu-clock:      7f30c06943e0 \
             {function}+0x270 (/usr/lib/x86_64-linux-gnu/libopenblas.so.0)\n"
        )
    };
    functions.iter().map(row).collect()
}

/// `perf report --stdio` with call graphs, which have shares of their own.
fn perf_report(functions: &[(&str, u64)]) -> String {
    let mut text = String::from(
        "# To display the perf.data header info, please use --header/--header-only options.\n#\n#\n\
         # Total Lost Samples: 0\n#\n# Samples: 1K of event 'cycles:P'\n\
         # Event count (approx.): 314000000\n#\n\
         # Children      Self  Command   Shared Object         Symbol\n\
         # ........  ........  ........  ....................  ..............\n#\n",
    );
    let all: u64 = functions.iter().map(|f| f.1).sum();
    for (function, period) in functions {
        let own = 100.0 * *period as f64 / all as f64;
        let _ = write!(
            text,
            "    99.00%    {own:5.2}%  python3   libopenblas.so.0      [.] {function}\n            \
             |\n            ---main\n               |\n               |--19.43%--{function}\n\n"
        );
    }
    text
}

const FUNCTIONS: [(&str, u64); 3] =
    [("sgemm_kernel_HASWELL", 700), ("__memcpy_avx_unaligned_erms", 200), ("PyEval_Frame", 100)];

#[test]
fn functions_of_the_host_are_told_by_their_names() {
    type Form = fn(&[(&str, u64)]) -> String;
    let forms: [Form; 3] = [perf_script, perf_script_flat, perf_report];
    for form in forms {
        let found = of(&form(&FUNCTIONS));
        assert_eq!(found.problems, Vec::<String>::new());
        assert_eq!(found.bottleneck, Bottleneck::Compute, "{}", found.headline());
        let host = found.host.expect("the host");
        let told: Vec<(&str, &str)> =
            host.functions.iter().map(|f| (f.name.as_str(), f.object.as_str())).collect();
        let expected = FUNCTIONS.map(|(name, _)| (name, "libopenblas.so.0"));
        assert_eq!(told, expected);
        assert!((host.functions[0].share - 0.7).abs() < 1e-6, "{:?}", host.functions);
        let copies = of(&form(&[("__memcpy_avx_unaligned_erms", 800), ("main", 200)]));
        assert_eq!(copies.bottleneck, Bottleneck::Memory);
        let any = of(&form(&[("PyEval_Frame", 800), ("main", 200)]));
        assert_eq!(any.bottleneck, Bottleneck::Unknown);
        assert!(any.because.contains("no function of a known kind"), "{}", any.because);
    }
}

#[test]
fn counters_say_whether_the_cpu_waits_for_its_memory() {
    let cases = [
        (perf_stat("1,187.50", 600, 350), Bottleneck::Memory),
        (perf_stat("1,187.50", 600, 10), Bottleneck::Compute),
        (perf_stat("1,187.50", 2600, 350), Bottleneck::Compute),
        (perf_stat("100.00", 2600, 10), Bottleneck::Unknown),
    ];
    for (text, bottleneck) in cases {
        let found = of(&text);
        assert_eq!(found.bottleneck, bottleneck, "{}", found.headline());
        let host = found.host.expect("the host");
        assert_eq!((host.wall_s, host.voluntary_switches_per_s), (1.25, 800.0));
    }
    // A run that is still going on, or was killed.
    let text = perf_stat("1,187.50", 600, 350);
    let cut = of(text.split_once("1.25").expect("the end").0);
    assert!(cut.problems[0].contains("was perf ended?"), "{:?}", cut.problems);
}

#[test]
fn several_of_perfs_files_are_about_one_run() {
    let fixture = Fixture::empty();
    std::fs::create_dir(fixture.path("out")).expect("a directory");
    for (name, text) in [
        ("stat.txt", perf_stat("1,187.50", 600, 350)),
        ("script.txt", perf_script(&FUNCTIONS[1..])),
    ] {
        write(fixture.path("out").join(name), text);
    }
    let ran = mad(&fixture, &["diagnose", "out"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_log_with_times_is_no_samples() {
    let fixture = Fixture::empty();
    write(fixture.path("run.log"), "worker 12 26305.309306: 250000 steps: done\n    main (a.py)\n");
    mad(&fixture, &["diagnose", "run.log"]).exits(4).says(&["no trace, profile or log"]);
}

/// Where there is a perf that may count, what it prints today is read.
#[test]
fn a_real_perf_is_read() {
    let fixture = Fixture::empty();
    let perf = |args: &[&str]| {
        let ran = Command::new("perf").args(args).current_dir(fixture.path(".")).output().ok()?;
        ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
    };
    let busy = ["--", "bash", "-c", "for ((i = 0; i < 20000; i++)); do :; done"];
    let stat = ["stat", "-d", "-o", "stat.txt"];
    let record = ["record", "-q", "-e", "cpu-clock", "-o", "perf.data"];
    let made = perf(&[&stat[..], &busy].concat()).and(perf(&[&record[..], &busy].concat()));
    let printed = made.and_then(|_| {
        Some((
            perf(&["script", "-i", "perf.data"])?,
            perf(&["report", "--stdio", "-i", "perf.data"])?,
        ))
    });
    let Some((script, report)) = printed else {
        eprintln!("skipped: there is no perf that may count here");
        return;
    };
    assert!(of(&fixture.text("stat.txt")).host.expect("the host").cpus_busy > 0.0);
    for text in [script, report] {
        let host = of(&text).host.expect("the host");
        let all: f64 = host.kinds.values().sum();
        assert!((all - 1.0).abs() < 0.05, "{all}");
    }
}
