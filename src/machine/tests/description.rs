use std::fs;

use super::{fixture, fixture_path};
use crate::machine::{Machine, MachineError, Vendor};

const FIXTURES: [&str; 3] = ["8x-mi300x.json", "1x-h200.json", "cpu-only.json"];

#[test]
fn fixtures_round_trip() {
    for name in FIXTURES {
        let machine = fixture(name).unwrap();
        let text = serde_json::to_string_pretty(&machine).unwrap();
        assert_eq!(text + "\n", fs::read_to_string(fixture_path(name)).unwrap());
    }
}

#[test]
fn gpus_by_vendor() {
    let machine = fixture("8x-mi300x.json").unwrap();
    assert_eq!(machine.gpus_of(None).count(), 8);
    assert_eq!(machine.gpus_of(Some(Vendor::Amd)).count(), 8);
    assert_eq!(machine.gpus_of(Some(Vendor::Nvidia)).count(), 0);
    assert_eq!(Vendor::Nvidia.to_string(), "NVIDIA");
}

#[test]
fn equal_but_for_the_boot() {
    let machine = fixture("cpu-only.json").unwrap();
    let mut rebooted = machine.clone();
    rebooted.boot_id = None;
    assert_eq!(machine, rebooted);
    rebooted.hidden_gpus = 1;
    assert_ne!(machine, rebooted);
}

fn from_text(text: &str) -> Result<Machine, MachineError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.json");
    fs::write(&path, text).unwrap();
    Machine::from_file(&path)
}

/// The message, without the directory of the file.
fn error(text: &str) -> String {
    let message = from_text(text).unwrap_err().to_string();
    message[message.find("m.json").unwrap()..].to_owned()
}

#[test]
fn unknown_fields_are_passed_over_and_absent_options_are_none() {
    let text = r#"{"schema": "mad-machine/1", "hostname": "h", "os": "o", "kernel": "k", "new": {},
        "cpu": {"model": "m", "vendor": "v", "sockets": 1, "cores": 1, "threads": 1,
                "available": 1, "numa_nodes": 1, "new": 1},
        "memory_bytes": 1, "gpus": []}"#;
    let machine = from_text(text).unwrap();
    assert_eq!((machine.driver, machine.hidden_gpus), (None, 0));
}

#[test]
fn errors_say_where() {
    insta::assert_snapshot!(error("{\n  \"schema\": \"mad-machine/1\",\n  \"hostname\": 7\n}"), @"m.json:3:15: not a machine description: invalid type: integer `7`, expected a string; write one with `mad machine` on the host it describes");
    insta::assert_snapshot!(error("{\n  \"schema\": \"mad-machine/1\"\n}\n"), @"m.json:3:1: not a machine description: missing field `hostname`; write one with `mad machine` on the host it describes");
    insta::assert_snapshot!(error("{}"), @"m.json:1:2: not a machine description: missing field `schema`; write one with `mad machine` on the host it describes");
    insta::assert_snapshot!(error("{"), @"m.json:1:1: not a machine description: EOF while parsing an object; write one with `mad machine` on the host it describes");
    insta::assert_snapshot!(error(r#"{"schema": "mad-machine/2"}"#), @r#"m.json: schema "mad-machine/2" is newer than "mad-machine/1", the newest this version reads; update mad, or write the description again with this version's `mad machine`"#);
    insta::assert_snapshot!(error(r#"{"schema": "mad-record/1"}"#), @r#"m.json: schema is "mad-record/1", expected "mad-machine/1"; write a machine description with `mad machine` on the host it describes"#);
    let missing = Machine::from_file("/nonexistent/m.json".as_ref()).unwrap_err();
    insta::assert_snapshot!(missing, @"cannot read the machine description /nonexistent/m.json: No such file or directory (os error 2)");
}

#[test]
fn leases_are_named_by_address() {
    let mut gpu = fixture("8x-mi300x.json").unwrap().gpus.remove(0);
    insta::assert_snapshot!(gpu.resource(), @"GPU 0000:0c:00.0-renderD128");
    gpu.render_node = None;
    insta::assert_snapshot!(gpu.resource(), @"GPU 0000:0c:00.0");
    gpu.pci = None;
    insta::assert_snapshot!(gpu.resource(), @"GPU GPU-8a1f2c0e5b7d4936");
    gpu.uuid = None;
    insta::assert_snapshot!(gpu.resource(), @"GPU AMD-index-0");
}
