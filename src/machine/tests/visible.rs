use proptest::prelude::*;

use super::fixture;
use crate::machine::visible::{Visibility, parse};

const IDS: [Option<&str>; 4] = [
    Some("GPU-8a1f2c0e5b7d4936"),
    Some("GPU-8a90b3a7c24e6f58"),
    None,
    Some("GPU-47b6f08d93ce2a15"),
];

fn chosen(value: &str) -> Vec<usize> {
    parse(value, &IDS).0
}

#[test]
fn lists() {
    assert_eq!(chosen("0,2"), [0, 2]);
    assert_eq!(chosen(" 3 , 1 "), [3, 1]);
    assert_eq!(chosen("GPU-47b6f08d93ce2a15,0"), [3, 0]);
    assert_eq!(chosen("gpu-47B"), [3], "shortened, in another case");
    assert_eq!(chosen("GPU-8a"), [0usize; 0], "ambiguous");
    assert_eq!(chosen("GPU-"), [0usize; 0]);
}

#[test]
fn a_list_ends_at_the_first_entry_that_names_nothing() {
    for (value, visible, ended_by) in [
        ("-1", &[][..], Some("-1")),
        ("0,-1,2", &[0], Some("-1")),
        ("0,7,2", &[0], Some("7")),
        ("1,1,2", &[1], Some("1")),
        ("0,,2", &[0], Some("")),
        ("NoDevFiles", &[], Some("NoDevFiles")),
        ("all", &[], Some("all")),
        ("99999999999999999999999", &[], Some("99999999999999999999999")),
        ("0,3", &[0, 3], None),
    ] {
        assert_eq!(parse(value, &IDS), (visible.to_vec(), ended_by), "{value}");
    }
}

fn amd(rocr: Option<&str>, hip: Option<&str>, cuda: Option<&str>) -> Vec<u32> {
    let mut machine = fixture("8x-mi300x.json").unwrap();
    let owned = |value: Option<&str>| value.map(str::to_owned);
    Visibility { rocr: owned(rocr), hip: owned(hip), cuda: owned(cuda) }.apply(&mut machine);
    assert_eq!(machine.gpus.len() + machine.hidden_gpus as usize, 8);
    machine.gpus.iter().map(|gpu| gpu.index).collect()
}

#[test]
fn amd_variables() {
    let all: Vec<u32> = (0..8).collect();
    assert_eq!(amd(None, None, None), all);
    assert_eq!(amd(Some(""), None, None), [0u32; 0]);
    assert_eq!(amd(None, Some(""), None), all, "as HIP does");
    assert_eq!(amd(None, None, Some("")), all, "as HIP does");
    assert_eq!(amd(Some("4,5,6"), Some("2,0"), None), [6, 4], "of what ROCR left");
    assert_eq!(amd(Some("4,5"), Some("4"), None), [0u32; 0]);
    assert_eq!(amd(None, None, Some("1")), [1]);
    assert_eq!(amd(None, Some("2"), Some("1")), [2], "HIP's own first");
    assert_eq!(amd(Some("GPU-8a1f2c0e5b7d4936"), None, None), [0]);
}

#[test]
fn nvidia_variable() {
    for (value, gpus) in [("0", 1), ("", 0), ("-1", 0), ("GPU-3b1c7f5a", 1), ("MIG-3b1c", 0)] {
        let mut machine = fixture("1x-h200.json").unwrap();
        let visibility = Visibility {
            rocr: Some(String::new()),
            hip: Some("5".to_owned()),
            cuda: Some(value.to_owned()),
        };
        visibility.apply(&mut machine);
        assert_eq!(machine.gpus.len(), gpus, "{value}");
    }
}

proptest! {
    #[test]
    fn any_value(value in any::<String>()) {
        let (positions, _) = parse(&value, &IDS);
        prop_assert!(positions.iter().all(|at| *at < IDS.len()));
    }

    #[test]
    fn any_likely_value(value in "(GPU-|gpu-|[0-9a-f,-]| ){0,12}") {
        let (positions, ended_by) = parse(&value, &IDS);
        let mut distinct = positions.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), positions.len());
        prop_assert_eq!(ended_by.is_none(), positions.len() == value.split(',').count());
    }
}
