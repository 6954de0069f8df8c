use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, thread};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::regress::{Direction, Policy};

fn key() -> Key {
    Key {
        machine_class: "8x MI300X".to_owned(),
        model: "pyt_llama".to_owned(),
        n_gpus: 8,
        precision: "fp16".to_owned(),
    }
}

fn metric(median: f64) -> AcceptedMetric {
    AcceptedMetric {
        metric: "tokens/s".to_owned(),
        median,
        values: vec![median],
        direction: Direction::Higher,
    }
}

fn run(id: &str, median: f64) -> Accepted {
    Accepted {
        level: 0,
        run: id.to_owned(),
        at: "2026-01-02T03:04:05Z".to_owned(),
        by: "ada".to_owned(),
        why: "first numbers".to_owned(),
        forced: false,
        objection: None,
        provenance: BTreeMap::from([("commit".to_owned(), "0123abc".to_owned())]),
        metrics: BTreeMap::from([("throughput".to_owned(), metric(median))]),
    }
}

/// Five percent, and no fear of single runs.
fn policy(_: &str, _: &str) -> Policy {
    Policy { tolerance: 0.05, direction: Direction::Higher, ..Policy::default() }
}

fn rules() -> Rules<'static> {
    Rules { agree: 1, force: false, new_level: &|_, _| None, policy: &policy }
}

fn accept(store: &Store, run: Accepted) -> Result<Acceptance, BaselineError> {
    Ok(store.accept(&key(), &[run], &rules())?.1)
}

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::new(dir.path().join("baselines"));
    (dir, store)
}

/// A message, without the temporary directory.
fn message(dir: &TempDir, error: &BaselineError) -> String {
    error.to_string().replace(&format!("{}/", dir.path().display()), "")
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn the_file_reads_well() {
    let (dir, store) = store();
    let mut first = run("r1", 100.0);
    let latency = AcceptedMetric {
        metric: "ms".to_owned(),
        median: 12.5,
        values: vec![12.25, 12.5, 13.0],
        direction: Direction::Lower,
    };
    first.metrics.insert("decode/latency".to_owned(), latency);
    let forced = Rules { agree: 2, force: true, ..rules() };
    let (_, done) = store.accept(&key(), &[first], &forced).unwrap();
    assert!(done.created && done.new_level.is_empty());
    let (path, done) = store.accept(&key(), &[run("r2", 120.0)], &rules()).unwrap();
    assert!(!done.created && !done.new_level.is_empty());
    assert_eq!(done.baseline.current_level(), 2);

    let relative = path.strip_prefix(dir.path()).unwrap().display().to_string();
    assert_eq!(relative, "baselines/8x%20MI300X/pyt_llama.json");
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap());
    let siblings = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(siblings, 1, "something was left beside the file");
}

#[test]
fn levels_separate_what_does_not_agree() {
    let (_dir, store) = store();
    assert!(!store.exists(&key()));
    assert_eq!(store.load(&key()).unwrap(), None);
    for (i, median) in [100.0, 104.0, 98.0, 70.0, 71.0].into_iter().enumerate() {
        accept(&store, run(&format!("r{i}"), median)).unwrap();
    }
    let baseline = store.load(&key()).unwrap().unwrap();
    let levels: Vec<u32> = baseline.accepted.iter().map(|a| a.level).collect();
    assert_eq!(levels, [1, 1, 1, 2, 2]);
    assert_eq!(baseline.current_level(), 2);
    assert_eq!(baseline.window("throughput"), [70.0, 71.0]);
    assert_eq!(baseline.window("other"), [] as [f64; 0]);
    assert!(baseline.metric_keys().into_iter().eq(["throughput"]));
}

#[test]
fn the_window_is_the_last_ten() {
    let (_dir, store) = store();
    for i in 0..13 {
        accept(&store, run(&format!("r{i}"), 100.0 + f64::from(i) / 10.0)).unwrap();
    }
    let window = store.load(&key()).unwrap().unwrap().window("throughput");
    let last: Vec<f64> = (3..13).map(|i| 100.0 + f64::from(i) / 10.0).collect();
    assert_eq!(window, last);
}

#[test]
fn accepting_changes_no_earlier_line() {
    let (_dir, store) = store();
    // Doubles that a sloppy parser gets wrong in the last digit.
    for (i, median) in [0.1 + 0.2, 1e23, 8.41e21, 2.2250738585072014e-308].into_iter().enumerate() {
        let before = fs::read_to_string(store.path(&key())).unwrap_or_default();
        accept(&store, run(&format!("r{i}"), median)).unwrap();
        let after = fs::read_to_string(store.path(&key())).unwrap();
        let kept = before.trim_end_matches(['\n', ' ', '}', ']']);
        assert!(after.starts_with(kept), "{before}\n{after}");
    }
}

#[test]
fn what_people_read_when_it_goes_wrong() {
    let (dir, store) = store();
    let path = store.path(&key());
    accept(&store, run("r1", 100.0)).unwrap();
    let sound = fs::read_to_string(&path).unwrap();
    let mut told = Vec::new();
    let mut tell = |what: &str, error: BaselineError| {
        told.push(format!("{what}\n  {}", message(&dir, &error)));
    };

    let mut other_unit = run("r2", 100.0);
    other_unit.metrics.get_mut("throughput").unwrap().metric = "samples/s".to_owned();
    let mut nothing = run("r2", 100.0);
    nothing.metrics.clear();
    let mut no_values = run("r2", 100.0);
    no_values.metrics.get_mut("throughput").unwrap().values.clear();
    for (what, refused) in [
        ("the same run again", run("r1", 100.0)),
        ("another unit", other_unit),
        ("no metric", nothing),
        ("no values", no_values),
        ("not a number", run("r2", f64::NAN)),
    ] {
        tell(what, accept(&store, refused).unwrap_err());
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), sound, "a refusal changed the file");

    let four = Key { n_gpus: 4, precision: String::new(), ..key() };
    tell("another size", store.load(&four).unwrap_err());
    tell("accepted in another size", store.accept(&four, &[run("r2", 1.0)], &rules()).unwrap_err());

    let edits = [
        ("a merge conflict", "{\n", "{\n<<<<<<< HEAD\n"),
        ("cut short", "    }\n  ]\n}\n", ""),
        ("an unknown key", "\"by\"", "\"bye\": 1,\n      \"by\""),
        ("a wrong type", "\"median\": 100.0", "\"median\": \"fast\""),
        ("a newer schema", "baseline/1\"", "baseline/2\", \"new\": 1"),
        ("another schema", "mad-baseline/1", "perf/1"),
        ("out of range", "\"median\": 100.0", "\"median\": 1e999"),
        ("another model", "pyt_llama", "pyt_bert"),
        ("level 0", "\"level\": 1", "\"level\": 0"),
    ];
    for (what, from, to) in edits {
        let edited = sound.replace(from, to);
        assert_ne!(edited, sound, "{what}");
        write(&path, &edited);
        tell(what, store.load(&key()).unwrap_err());
    }
    let mut twice: Baseline = serde_json::from_str(&sound).unwrap();
    twice.accepted.push(twice.accepted[0].clone());
    write(&path, &serde_json::to_string(&twice).unwrap());
    tell("a run twice", store.load(&key()).unwrap_err());
    twice.accepted[1].run = "r2".to_owned();
    let changed = twice.accepted[1].metrics.get_mut("throughput").unwrap();
    changed.metric = "ms".to_owned();
    write(&path, &serde_json::to_string(&twice).unwrap());
    tell("two units", store.load(&key()).unwrap_err());
    twice.accepted.clear();
    write(&path, &serde_json::to_string(&twice).unwrap());
    tell("nothing accepted", store.load(&key()).unwrap_err());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    tell("a directory", store.load(&key()).unwrap_err());
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_list_reports_everything() {
    let (dir, store) = store();
    assert!(store.list().0.is_empty() && store.list().1.is_empty());
    let bert = Key { model: "bert".to_owned(), ..key() };
    for key in [&key(), &bert] {
        store.accept(key, &[run("r1", 1.0)], &rules()).unwrap();
    }
    let moved = dir.path().join("baselines/cpu/pyt_llama.json");
    write(&moved, &fs::read_to_string(store.path(&key())).unwrap());
    write(&dir.path().join("baselines/cpu/broken.json"), "{");
    write(&dir.path().join("baselines/cpu/left-over.json.tmp"), "{");
    write(&dir.path().join("baselines/README.md"), "# Baselines");
    let (baselines, errors) = store.list();
    let models: Vec<&str> = baselines.iter().map(|(_, b)| b.model.as_str()).collect();
    assert_eq!(models, ["bert", "pyt_llama"]);
    let told: Vec<String> = errors.iter().map(|error| message(&dir, error)).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn removed_even_when_damaged() {
    let (_dir, store) = store();
    let remove = || store.remove_model(&key().model, None).unwrap();
    assert!(remove().is_empty());
    write(&store.path(&key()), "{");
    assert_eq!(remove(), [store.path(&key())]);
    assert!(!store.exists(&key()));
}

#[test]
fn concurrent_accepts_lose_nothing() {
    let (_dir, store) = store();
    thread::scope(|scope| {
        for i in 0..8 {
            let store = &store;
            scope.spawn(move || accept(store, run(&format!("r{i}"), 1.0)));
        }
    });
    assert_eq!(store.load(&key()).unwrap().unwrap().accepted.len(), 8);
}

#[test]
fn differences_are_listed() {
    let (_dir, store) = store();
    let mut first = run("r1", 100.0);
    first.metrics.insert("gone".to_owned(), metric(7.0));
    first.metrics.insert("kept".to_owned(), metric(5.0));
    first.metrics.insert("zero".to_owned(), metric(0.0));
    accept(&store, first).unwrap();
    let baseline = store.load(&key()).unwrap().unwrap();
    let now = [("added", 1.0), ("kept", 5.0), ("throughput", 90.0), ("zero", 2.0)];
    let now = now.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    insta::assert_json_snapshot!(diff(&baseline, &now));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/~\"\\\\]{0,8}", ".{0,12}"]
}

fn metrics() -> impl Strategy<Value = AcceptedMetric> {
    let directions =
        prop::sample::select(vec![Direction::Higher, Direction::Lower, Direction::Unknown]);
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    (texts(), prop::collection::vec(finite, 1..4), directions).prop_map(
        |(metric, values, direction)| {
            let median = crate::regress::median(&values);
            AcceptedMetric { metric, median, values, direction }
        },
    )
}

fn runs() -> impl Strategy<Value = Accepted> {
    (
        (texts(), texts(), "why.{0,8}"),
        prop::collection::btree_map(texts(), texts(), 0..3),
        prop::collection::btree_map(texts(), metrics(), 1..3),
    )
        .prop_map(|((at, by, why), provenance, metrics)| Accepted {
            at,
            by,
            why,
            provenance,
            metrics,
            ..run("", 0.0)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_accepted_comes_back(
        accepted in prop::collection::vec(runs(), 1..4),
        machine_class in texts(), model in texts(), n_gpus in any::<u32>(), precision in texts(),
    ) {
        let (_dir, store) = store();
        let key = Key { machine_class, model, n_gpus, precision };
        for (i, run) in accepted.iter().enumerate() {
            let mut run = Accepted { run: format!("r{i}"), ..run.clone() };
            run.metrics.values_mut().for_each(|metric| metric.metric = "ms".to_owned());
            store.accept(&key, &[run.clone()], &rules()).unwrap();
            let baseline = store.load(&key).unwrap().unwrap();
            prop_assert_eq!(baseline.accepted.len(), i + 1);
            run.level = baseline.current_level();
            prop_assert_eq!(baseline.accepted.last(), Some(&run));
        }
        let (listed, errors) = store.list();
        prop_assert_eq!(listed.len(), 1);
        prop_assert!(errors.is_empty(), "{:?}", errors);
    }
}
