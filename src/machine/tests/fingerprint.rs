use proptest::prelude::*;

use super::fixture;
use crate::machine::fingerprint::slug;
use crate::machine::{Difference, Gpu, Machine};

fn class(machine: &Machine, gpus: usize) -> String {
    let used: Vec<&Gpu> = machine.gpus.iter().take(gpus).collect();
    machine.class(&used).to_string()
}

fn breaking(differences: &[Difference]) -> Vec<&str> {
    differences
        .iter()
        .filter(|difference| difference.breaking)
        .map(|difference| &*difference.what)
        .collect()
}

#[test]
fn classes() {
    let mi300x = fixture("8x-mi300x.json").unwrap();
    insta::assert_snapshot!(class(&mi300x, 8), @"8x-gfx942-amd-instinct-mi300x");
    insta::assert_snapshot!(class(&mi300x, 1), @"1x-gfx942-amd-instinct-mi300x");
    insta::assert_snapshot!(class(&mi300x, 0), @"cpu-amd-epyc-9654-96-core-processor-384t");
    let h200 = fixture("1x-h200.json").unwrap();
    insta::assert_snapshot!(class(&h200, 1), @"1x-sm-90-nvidia-h200");
    insta::assert_snapshot!(class(&h200, 0), @"cpu-intel-xeon-platinum-8480plus-16t");
    insta::assert_snapshot!(class(&fixture("cpu-only.json").unwrap(), 0), @"cpu-intel-xeon-platinum-8375c-cpu-8t");
}

#[test]
fn mixed_gpus_have_a_class_whatever_their_order() {
    let mi300x = fixture("8x-mi300x.json").unwrap();
    let h200 = fixture("1x-h200.json").unwrap();
    let (a, b) = (&mi300x.gpus[0], &h200.gpus[0]);
    assert_eq!(mi300x.class(&[a, b, a]), mi300x.class(&[b, a, a]));
    insta::assert_snapshot!(mi300x.class(&[a, b, a]), @"2x-gfx942-amd-instinct-mi300x_1x-sm-90-nvidia-h200");
}

#[test]
fn a_class_outlives_reboots_and_updates() {
    let ours = fixture("8x-mi300x.json").unwrap();
    let mut theirs = ours.clone();
    theirs.hostname = "other".to_owned();
    theirs.kernel = "6.8.0".to_owned();
    theirs.boot_id = None;
    theirs.memory_bytes -= 1 << 20;
    theirs.driver.as_mut().unwrap().version = "6.14.5".to_owned();
    assert_eq!(class(&ours, 8), class(&theirs, 8));
    assert_eq!(class(&ours, 0), class(&theirs, 0));
    let differences = ours.differences(&theirs);
    assert_eq!(breaking(&differences), [""; 0]);
    let soft: Vec<_> = differences.iter().map(|d| &*d.what).collect();
    assert_eq!(soft, ["GPU driver", "kernel", "hostname"]);
}

#[test]
fn differences_between_machines() {
    let mi300x = fixture("8x-mi300x.json").unwrap();
    let h200 = fixture("1x-h200.json").unwrap();
    assert_eq!(mi300x.differences(&mi300x), []);
    let lines: Vec<String> = mi300x
        .differences(&h200)
        .iter()
        .map(|d| {
            let mark = if d.breaking { '!' } else { ' ' };
            format!("{mark} {}: {} / {}", d.what, d.ours, d.theirs)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    ! CPU model: AMD EPYC 9654 96-Core Processor / Intel(R) Xeon(R) Platinum 8480+
    ! CPU sockets: 2 / 1
    ! CPU cores: 192 / 8
    ! CPU threads: 384 / 16
    ! available CPU threads: 384 / 16
    ! NUMA nodes: 2 / 1
    ! GPU count: 8 / 1
    ! GPU product: AMD Instinct MI300X / NVIDIA H200
    ! GPU architecture: gfx942 / sm_90
    ! GPU memory: 192.0 GiB / 140.4 GiB
      memory: 1511.2 GiB / 125.8 GiB
      GPU driver: amdgpu 6.12.12 / nvidia 570.133.20
      GPU runtime: ROCm 6.4.1 / CUDA 12.8
      kernel: 5.15.0-116-generic / 6.8.0-60-generic
      OS: Ubuntu 22.04.5 LTS / Ubuntu 24.04.2 LTS
      hostname: node-8x-mi300x / node-1x-h200
    ");
}

#[test]
fn gpu_memory_matters_when_the_product_is_the_same() {
    let ours = fixture("1x-h200.json").unwrap();
    let mut theirs = ours.clone();
    theirs.gpus[0].memory_bytes -= 1 << 28;
    assert_eq!(ours.differences(&theirs), []);
    theirs.gpus[0].memory_bytes /= 2;
    assert_eq!(breaking(&ours.differences(&theirs)), ["GPU memory"]);
}

#[test]
fn slugs() {
    for (name, expected) in [
        ("AMD Instinct MI300X", "amd-instinct-mi300x"),
        ("AMD Instinct MI250X / MI250", "amd-instinct-mi250x-mi250"),
        ("Intel(R) Xeon(R) Platinum 8480+", "intel-xeon-platinum-8480plus"),
        ("sm_90", "sm-90"),
        ("../../etc", "etc"),
    ] {
        assert_eq!(slug(name), expected);
    }
    assert_ne!(slug("8480"), slug("8480+"));
    assert_ne!(slug("é"), slug("è"));
    assert_ne!(slug(""), slug("/"));
}

proptest! {
    #[test]
    fn slugs_are_file_names(name in any::<String>()) {
        let slug = slug(&name);
        prop_assert!(!slug.is_empty() && slug.len() <= 80);
        prop_assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
    }

    #[test]
    fn words_make_distinct_slugs(
        a in proptest::collection::vec("[a-z0-9]{1,8}", 1..10),
        b in proptest::collection::vec("[a-z0-9]{1,8}", 1..10),
    ) {
        prop_assert_eq!(slug(&a.join(" ")) == slug(&b.join(" ")), a == b);
    }

    #[test]
    fn separators_and_case_do_not_matter(words in proptest::collection::vec("[a-zA-Z0-9]{1,6}", 1..6)) {
        prop_assert_eq!(slug(&words.join(" ")), slug(&words.join("_").to_uppercase()));
    }
}
