use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Host;
use crate::machine::cache::cached_at;
use crate::machine::cpu::{count_id_list, parse_cpuinfo, without_clock};
use crate::machine::probe::{parse_loadavg, probe_at};
use crate::machine::visible::Visibility;
use crate::machine::{Machine, SCHEMA, load_average};

#[test]
fn two_sockets_with_smt() {
    let mut text = String::new();
    for thread in 0..8 {
        let (socket, core) = (thread / 2 % 2, thread % 2);
        text += &format!(
            "processor\t: {thread}\nvendor_id\t: GenuineIntel\n\
             model name\t: Intel(R) Xeon(R) Platinum 8260 CPU @ 2.40GHz\ncpu MHz\t\t: {}\n\
             physical id\t: {socket}\ncore id\t\t: {core}\nflags\t\t: fpu vme\n\n",
            1000 + thread
        );
    }
    let cpu = parse_cpuinfo(&text, 2, 8);
    assert_eq!(cpu.model, "Intel(R) Xeon(R) Platinum 8260 CPU");
    assert_eq!(cpu.vendor, "GenuineIntel");
    assert_eq!((cpu.sockets, cpu.cores, cpu.threads), (2, 4, 8));
}

#[test]
fn arm() {
    let text = "processor\t: 0\nBogoMIPS\t: 2000.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n\n\
                processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n";
    let cpu = parse_cpuinfo(text, 1, 2);
    assert_eq!(cpu.model, "Arm 0x41/0xd4f");
    assert_eq!((cpu.sockets, cpu.cores, cpu.threads), (1, 2, 2));
}

#[test]
fn nothing_known() {
    let cpu = parse_cpuinfo("", 1, 1);
    assert_eq!((&*cpu.model, &*cpu.vendor), ("unknown", "unknown"));
    assert_eq!((cpu.sockets, cpu.cores, cpu.threads), (1, 1, 1));
    let empty = tempfile::tempdir().unwrap();
    let machine = probe_at(empty.path(), &Visibility::default());
    assert_eq!(machine.hostname, "unknown");
    assert_eq!((machine.memory_bytes, machine.boot_id), (0, None));
}

#[test]
fn clocks_are_dropped() {
    for (given, kept) in [
        ("Intel(R) Xeon(R) CPU @ 2.10GHz", "Intel(R) Xeon(R) CPU"),
        ("Some CPU @2.1GHz", "Some CPU"),
        ("Some  CPU   2800 MHz-class", "Some CPU 2800 MHz-class"),
        ("AMD EPYC 9654 96-Core Processor ", "AMD EPYC 9654 96-Core Processor"),
    ] {
        assert_eq!(without_clock(given), kept);
    }
}

#[test]
fn id_lists() {
    assert_eq!(count_id_list("0"), Some(1));
    assert_eq!(count_id_list("0-3,8,10-11"), Some(7));
    assert_eq!(count_id_list(""), None);
    assert_eq!(count_id_list("3-1"), None);
    assert_eq!(count_id_list("0-4294967295"), None);
}

#[test]
fn host_facts() {
    let host = Host::new();
    host.write("sys/devices/system/node/online", "0-1\n");
    let machine = probe_at(host.path(), &Visibility::default());
    assert_eq!(machine.schema, SCHEMA);
    assert_eq!(machine.hostname, "node");
    assert_eq!(machine.kernel, "6.8.0-60-generic");
    assert_eq!(machine.os, "Ubuntu 24.04.2 LTS");
    assert_eq!(machine.memory_bytes, 65_843_640 * 1024);
    assert_eq!(machine.cpu.numa_nodes, 2);
    assert_eq!(machine.boot_id.as_deref(), Some("boot-1"));
    assert_eq!(machine.driver, None);
}

#[test]
fn this_host() {
    let machine = Machine::probe();
    assert!(machine.cpu.available >= 1);
    assert!(machine.cpu.threads >= machine.cpu.cores);
    assert!(machine.memory_bytes > 0);
    assert!(load_average().is_some_and(|load| load >= 0.0));
}

#[test]
fn loads() {
    assert_eq!(parse_loadavg("0.52 0.58 0.59 2/467 12345\n"), Some(0.52));
    assert_eq!(parse_loadavg("nan 0 0"), None);
    assert_eq!(parse_loadavg(""), None);
}

/// Prints what a probe costs here: `cargo test --release --lib machine -- --ignored
/// --nocapture probe_costs`.
#[test]
#[ignore = "prints figures, checks nothing"]
fn probe_costs() {
    const ROUNDS: u32 = 200;
    let dir = tempfile::tempdir().unwrap();
    let time = |what: &str, act: &dyn Fn() -> Machine| {
        let mut best = Duration::MAX;
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let one = Instant::now();
            std::hint::black_box(act());
            best = best.min(one.elapsed());
        }
        println!("{what}: mean {:?}, best {best:?}", start.elapsed() / ROUNDS);
    };
    time("probe", &Machine::probe);
    time("cached", &|| Machine::cached(dir.path()));

    let large = Host::mi300x_node();
    let flags = "flag ".repeat(150);
    let cpuinfo: String = (0..384)
        .map(|n| {
            format!(
                "processor\t: {n}\nphysical id\t: {}\ncore id\t: {}\nflags\t: {flags}\n\n",
                n % 2,
                n / 2
            )
        })
        .collect();
    large.write("proc/cpuinfo", &cpuinfo);
    let all = Visibility::default();
    time("laid-out 8x MI300X, 384 threads: probe", &|| probe_at(large.path(), &all));
    time("laid-out 8x MI300X, 384 threads: cached", &|| cached_at(large.path(), dir.path(), &all));
}

proptest! {
    #[test]
    fn any_cpuinfo(text in any::<String>()) {
        let cpu = parse_cpuinfo(&text, 1, 1);
        prop_assert!(!cpu.model.is_empty() && cpu.cores >= 1 && cpu.threads >= 1);
    }

    #[test]
    fn any_id_list(text in "[0-9,-]{0,20}") {
        count_id_list(&text);
    }

    #[test]
    fn the_clock_does_not_matter(mhz in 1u32..10_000) {
        let name = format!("Intel(R) Xeon(R) CPU @ {}.{:02}GHz", mhz / 1000, mhz % 1000 / 10);
        prop_assert_eq!(without_clock(&name), "Intel(R) Xeon(R) CPU");
    }
}
