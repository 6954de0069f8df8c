//! Traces that are damaged, empty, or none: nothing of that panics or ends green.

use std::path::{Path, PathBuf};

use mad_harness::profile::{Bottleneck, diagnose};
use proptest::prelude::*;
use serde_json::json;

use super::traces::{FORMATS, Op, ops, pytorch_events, rocpd};
use super::{Fixture, fixture_write, mad};

/// What `mad diagnose` says of a file with this content: its status and its errors.
fn said(content: impl AsRef<[u8]>) -> (i32, String) {
    let fixture = Fixture::empty();
    std::fs::write(fixture.path("file"), content).expect("a file");
    let ran = mad(&fixture, &["diagnose", "file"]);
    (ran.status, ran.stderr)
}

#[test]
fn what_is_no_trace_is_refused_with_what_to_do() {
    let mut text = String::new();
    for (what, content) in [
        ("empty", b"".as_slice()),
        ("blank", b" \n\n"),
        ("prose", b"Once upon a time,\nthere was a kernel.\n"),
        ("perf.csv", b"model,performance,metric\na,1,b\n"),
        ("other JSON", b"{\"performance\": 1}"),
        ("rocprofv3's JSON", b"{\"rocprofiler-sdk-tool\": [{\"metadata\": {}}]}"),
        (
            "a Perfetto trace",
            b"\n\x8e\x01\x08\x00\x12\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10",
        ),
        ("garbage", &[0xde, 0xad, 0, 0xbe, 0xef, 0, 1, 2]),
        ("half a database", b"SQLite format 3\0\x10\0garbage"),
        (
            "a packed nothing",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ),
        ("a damaged package", b"\x1f\x8b\x08garbage"),
    ] {
        let (code, stderr) = said(content);
        assert_eq!(code, 4, "{what}: {stderr}");
        text += &format!("{what}: {stderr}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_not_there_is_said() {
    let fixture = Fixture::empty();
    std::fs::create_dir(fixture.path("nothing")).expect("a directory");
    for (path, part) in
        [("absent", "cannot read absent"), ("nothing", "no files"), ("/dev/null", "neither a file")]
    {
        let ran = mad(&fixture, &["diagnose", path]);
        assert_eq!(ran.status, 4, "{path}");
        assert!(ran.stderr.contains(part), "{path}: {}", ran.stderr);
    }
}

/// A trace whose profiler was killed: what it has counts, and the end is not green.
#[test]
fn a_trace_that_ends_in_the_middle_is_diagnosed_and_fails() {
    for (format, write) in FORMATS {
        let text = [
            "chrome trace, PyTorch",
            "chrome trace, PyTorch, gzip",
            "nsys stats CSV",
            "Nsight Systems trace CSV",
        ];
        if !text.contains(&format) {
            continue;
        }
        let fixture = Fixture::empty();
        let path = write(&fixture.path("."), &ops("compute"));
        let bytes = std::fs::read(&path).expect("the trace");
        // In the middle of a row.
        let cut =
            (bytes.len() * 2 / 3..).find(|i| bytes[*i] == b',').unwrap_or(bytes.len() * 2 / 3);
        std::fs::write(&path, &bytes[..cut + 1]).expect("half of it");
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        let ran = mad(&fixture, &["diagnose", name]);
        assert_eq!(ran.status, 1, "{format}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("bottleneck: compute"), "{format}: {}", ran.stdout);
        assert!(
            ran.stderr.contains("middle") || ran.stderr.contains("after"),
            "{format}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_damaged_database_fails() {
    let fixture = Fixture::empty();
    let path = rocpd(&fixture.path("."), &ops("compute"));
    let mut bytes = std::fs::read(&path).expect("the database");
    let middle = bytes.len() / 4;
    bytes[middle..].fill(0xa5);
    std::fs::write(&path, bytes).expect("a damaged one");
    let ran = mad(&fixture, &["diagnose", "4711_results.db"]);
    assert!(matches!(ran.status, 1 | 4), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("damaged") || ran.stderr.contains("malformed"), "{}", ran.stderr);
}

#[test]
fn a_trace_without_kernels_is_no_success() {
    let host_only = json!({"traceEvents": [
        {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 1, "dur": 2}]});
    let header = "\"Kind\",\"Agent_Id\",\"Kernel_Name\",\"Start_Timestamp\",\"End_Timestamp\"\n";
    let api = "\"Name\",\"Calls\",\"TotalDurationNs\",\"AverageNs\"\n\"hipMalloc\",3,9000,3000\n";
    for (content, part) in [
        (host_only.to_string(), "none of its 1 events ran on a GPU"),
        (json!({"traceEvents": []}).to_string(), "none of its 0 events"),
        (header.to_owned(), "no rows"),
        (api.to_owned(), "calls of the host"),
    ] {
        let fixture = Fixture::empty();
        fixture_write(&fixture.path("."), "file", &content);
        let ran = mad(&fixture, &["diagnose", "file"]);
        assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("bottleneck: unknown"), "{}", ran.stdout);
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
        assert!(ran.stderr.contains("there is no kernel in file"), "{}", ran.stderr);
    }
}

/// What a later version adds is passed over, and it is said that something may be missed.
#[test]
fn a_newer_version_is_read_as_far_as_it_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut trace = pytorch_events(&ops("memory"));
    trace["schemaVersion"] = json!(7);
    trace["traceEvents"][0]["novelty"] = json!({"deep": [1, {"er": null}]});
    fixture_write(dir.path(), "trace.json", &trace.to_string());
    let found = diagnose(dir.path()).expect("a diagnosis");
    assert_eq!(found.bottleneck, Bottleneck::Memory);
    assert!(found.notes[0].contains("schemaVersion 7 is newer than 1"), "{:?}", found.notes);

    let dir = tempfile::tempdir().expect("a directory");
    let path = rocpd(dir.path(), &ops("memory"));
    let db = rusqlite::Connection::open(&path).expect("the database");
    for (sql, part) in [
        ("UPDATE `rocpd_metadata{u}` SET value = '9.1'", "9.1 is newer"),
        (
            "ALTER TABLE `rocpd_kernel_dispatch{u}` RENAME COLUMN start TO begin",
            "no times that are known",
        ),
    ] {
        db.execute(&sql.replace("{u}", super::traces::UUID), []).expect("changed");
        let found = diagnose(&path).expect("a diagnosis");
        let said = [found.notes, found.problems].concat();
        assert!(said.iter().any(|s| s.contains(part)), "{part}: {said:?}");
    }
}

/// The format lets the end of the array be missing.
#[test]
fn an_array_of_events_may_be_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut text = "[\n".to_owned();
    for Op { name, start, end } in ops("memory") {
        let event = json!({"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 1,
            "ts": start / 1000 - 9_000_000_000, "dur": (end - start) / 1000});
        text += &format!("{event},\n");
    }
    fixture_write(dir.path(), "trace.json", text.trim_end().trim_end_matches(','));
    let found = diagnose(dir.path()).expect("a diagnosis");
    assert_eq!((found.bottleneck, found.problems.len()), (Bottleneck::Memory, 0));
}

#[test]
fn numbers_out_of_this_world_do_no_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let event = |ts: &str, dur: &str| {
        format!(
            "{{\"ph\":\"X\",\"cat\":\"kernel\",\"name\":\"\\u0000<b>\",\"ts\":{ts},\"dur\":{dur}}}"
        )
    };
    let events = [
        event("1e300", "1e300"),
        event("-1e300", "5"),
        event("\"nan\"", "1"),
        event("1", "-4"),
        event("null", "1"),
        event("[1]", "{}"),
        event("9223372036854775807", "9223372036854775807"),
        event("3", "2"),
    ];
    fixture_write(dir.path(), "trace.json", &format!("{{\"traceEvents\":[{}]}}", events.join(",")));
    let found = diagnose(dir.path()).expect("a diagnosis");
    assert!(found.gpu.is_some_and(|g| (0.0..=1.0).contains(&g.busy_share)));
    let csv = "Kernel_Name,Agent_Id,Start_Timestamp,End_Timestamp\n\
        a,x,-5,3\nb,,9223372036854775807,9223372036854775807\nc,1,7,5\nd,1,one,two\n";
    std::fs::remove_file(dir.path().join("trace.json")).expect("removed");
    fixture_write(dir.path(), "trace.csv", csv);
    let found = diagnose(dir.path()).expect("a diagnosis");
    assert!(found.notes.iter().any(|n| n.contains("2 rows")), "{:?}", found.notes);
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        Just(b"".to_vec()),
        Just(b"SQLite format 3\0".to_vec()),
        Just(b"{\"traceEvents\": [{\"ph\": \"X\", \"cat\": \"kernel\", ".to_vec()),
        Just(b"Kernel_Name,Start_Timestamp,End_Timestamp\n".to_vec()),
        Just(b"\"Time (%)\",\"Total Time (ns)\",\"Instances\",\"Name\"\n".to_vec()),
        Just(b"Kernel Calls Total(us) Avg(us) %\n====\n".to_vec()),
        Just(b"x NCCL INFO AllReduce: opCount 1 ".to_vec()),
        Just(b"\x1f\x8b\x08\x00".to_vec()),
    ];
    (head, prop::collection::vec(any::<u8>(), 0..400))
        .prop_map(|(head, tail)| [head, tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_panics(content in any_file()) {
        let dir = tempfile::tempdir().expect("a directory");
        let path: PathBuf = dir.path().join("file");
        std::fs::write(&path, content).expect("a file");
        let _ = diagnose(Path::new(&path));
    }
}
