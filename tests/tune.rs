//! `mad tune-search` and `mad tune`. The scripts print a number that follows from their
//! environment, so that nothing depends on how busy the machine is.

mod common;

use common::{Fixture, Mad, Ran, cells, eventually, json_file};
use serde_json::{Value, json};

/// The more batch the faster, up to 4; two threads help a little, and `NOBODY` is not read.
/// Each execution is a line of `count`, and the one that `stop-at` names does not end.
const SCRIPT: &str = r#"
echo x >> "$DIR/count"
if [ "$(wc -l < "$DIR/count")" = "$(cat "$DIR/stop-at" 2>/dev/null)" ]; then
    touch "$DIR/begun"; sleep 60
fi
n=100
case "${BATCH:-1}" in 2) n=150;; 4) n=200;; 8) n=50;; esac
[ "${THREADS:-1}" != 2 ] || n=$((n * 110 / 100))
[ "${CRASH:-0}" != 1 ] || exit 7
[ "${HANG:-0}" != 1 ] || sleep 60
if [ "${UNIT:-0}" = 1 ]; then echo "performance: 5 latency_ms"; else
echo "performance: $n tokens_per_second"; fi
"#;

fn env(name: &str, values: &[&str]) -> Value {
    json!({ "name": name, "kind": "env", "values": values })
}

fn fixture(levers: &[Value]) -> Fixture {
    with(SCRIPT, json!({ "tune": { "levers": levers } }))
}

fn with(script: &str, extra: Value) -> Fixture {
    Fixture::empty().entry("decode", script, extra)
}

fn search(fixture: &Fixture, args: &[&str]) -> Mad {
    fixture.mad(&[&["tune-search", "decode", "--seed", "1"], args].concat())
}

/// The record of the newest search.
fn record(fixture: &Fixture) -> Value {
    let all = std::fs::read_dir(fixture.path("mad/tunings")).expect("searches");
    let newest = all.map(|e| e.expect("an entry").path()).max().expect("a search");
    json_file(&newest.join("tuning.json"))
}

/// The candidate whose only change is this value.
fn candidate(record: &Value, lever: &str, value: &str) -> Value {
    let all = record["candidates"].as_array().expect("candidates").iter();
    let mut found = all.filter(|c| {
        c["changes"].as_array().expect("changes").len() == 1
            && c["changes"][0]["lever"] == lever
            && c["changes"][0]["value"] == value
            && c["id"] != "together"
    });
    found.next().unwrap_or_else(|| panic!("no candidate {lever}={value}: {record:#}")).clone()
}

/// Levers and values that are recommended.
fn recommended(record: &Value) -> Vec<String> {
    let changes = record["recommendation"]["changes"].as_array().cloned().unwrap_or_default();
    let text = |c: &Value, key: &str| c[key].as_str().expect("a text").to_owned();
    let word = |c: &Value| format!("{}={}", text(c, "lever"), text(c, "value"));
    let mut words: Vec<String> = changes.iter().map(word).collect();
    words.sort();
    words
}

fn because(candidate: &Value) -> String {
    candidate["trust"]["because"].to_string()
}

fn executions(fixture: &Fixture) -> usize {
    fixture.text("count").lines().count()
}

#[test]
fn the_best_value_is_found_and_a_placebo_is_not() {
    let fixture = fixture(&[env("BATCH", &["2", "4", "8"]), env("NOBODY", &["1"])]);
    let ran = search(&fixture, &["--candidates", "8"]).run().exits(0);
    let record = record(&fixture);
    assert_eq!(recommended(&record), ["BATCH=4"], "{}", ran.said());
    let gain = record["recommendation"]["gain"].as_f64().unwrap();
    assert!((gain - 1.0).abs() < 1e-9, "{gain}");
    assert_eq!(record["phase"], "done");
    assert_eq!(record["baseline"]["values"], json!([100.0, 100.0, 100.0]));
    let best = candidate(&record, "BATCH", "4");
    assert_eq!(best["trust"]["trustworthy"], true);
    assert!(because(&best).contains("afresh"));
    // It has an order of its own, and the number that is reported is of it.
    assert_ne!(best["comparison"]["order"], Value::Null);
    assert!(best["verification"]["metrics"][0]["pairs"].as_u64() >= Some(6));
    let second = candidate(&record, "BATCH", "2");
    assert_eq!(
        (&second["trust"]["trustworthy"], &second["promising"]),
        (&json!(false), &json!(true))
    );
    assert!(because(&second).contains("instead"), "{second:#}");
    assert!(because(&candidate(&record, "BATCH", "8")).contains("it is worse"));
    assert!(because(&candidate(&record, "NOBODY", "1")).contains("no gain of 2.0 % or more"));
    // No run, no perf.csv; every candidate has its rows.
    assert!(!fixture.path("perf.csv").exists() && !fixture.path("mad/runs").exists());
    let id = best["id"].as_str().unwrap();
    for (file, value) in [("baseline", "100"), (id, "200")] {
        let text = fixture.text(&format!("perf_tune_{file}.csv"));
        let rows: Vec<Vec<String>> = text.lines().map(cells).collect();
        let column = rows[0].iter().position(|c| c == "performance").expect("the column");
        assert_eq!((rows.len(), rows[1][column].as_str()), (2, value), "{text}");
    }
    let accepted = fixture.mad(&["baseline", "accept", "decode"]).run();
    accepted.exits(4).says(&["there are no runs"]);
}

#[test]
fn what_holds_by_itself_is_tried_together() {
    let levers = [env("THREADS", &["2"]), env("BATCH", &["4"])];
    let fixture1 = fixture(&levers);
    search(&fixture1, &[]).run().exits(0);
    let found = record(&fixture1);
    assert_eq!(recommended(&found), ["BATCH=4", "THREADS=2"]);
    assert!((found["recommendation"]["gain"].as_f64().unwrap() - 1.2).abs() < 1e-9);
    assert_eq!(found["recommendation"]["candidates"].as_array().map(Vec::len), Some(2));
    // Where one undoes the other, the best one alone.
    let script = SCRIPT.replace("n=$((n * 110 / 100))", "{ [ $n = 100 ] && n=110 || n=90; }");
    let fixture2 = with(&script, json!({ "tune": { "levers": levers } }));
    search(&fixture2, &[]).run().exits(0);
    let found = record(&fixture2);
    assert_eq!(recommended(&found), ["BATCH=4"]);
    // Where they must not be tried together, neither.
    let mut levers = levers;
    levers[0]["conflicts"] = json!(["BATCH"]);
    let fixture3 = fixture(&levers);
    search(&fixture3, &[]).run().exits(0);
    let found = record(&fixture3);
    assert_eq!(recommended(&found), ["BATCH=4"]);
    assert_eq!(found["candidates"].as_array().map(Vec::len), Some(2));
}

#[test]
fn tune_keeps_what_helps_and_halving_finds_the_same() {
    // More than a search tries: the loop ends when there is nothing more.
    let placebos = ["NOBODY", "NO_ONE", "NOTHING"].map(|name| env(name, &["1"]));
    let levers = [env("BATCH", &["4", "2"]), env("THREADS", &["2"])];
    let levers = [placebos.as_slice(), &levers].concat();
    for strategy in ["greedy", "halving"] {
        let fixture = fixture(&levers);
        let args = ["tune", "decode", "--seed", "1", "--strategy", strategy];
        let ran = fixture.mad(&args).run().exits(0);
        let found = record(&fixture);
        assert_eq!(found["strategy"], strategy);
        assert_eq!(recommended(&found), ["BATCH=4", "THREADS=2"], "{}", ran.said());
        let gain = found["recommendation"]["gain"].as_f64().unwrap();
        assert!((gain - 1.2).abs() < 1e-9, "{gain}");
        if strategy == "greedy" {
            let second = candidate(&found, "THREADS", "2");
            assert_eq!(second["on_top_of"][0]["lever"], "BATCH");
            assert!(!candidate(&found, "BATCH", "2")["promising"].as_bool().unwrap());
        }
    }
}

#[test]
fn what_breaks_the_script_fails_and_the_search_goes_on() {
    let fixture = fixture(&[
        env("CRASH", &["1"]),
        env("HANG", &["1"]),
        env("UNIT", &["1"]),
        env("BATCH", &["2"]),
    ]);
    search(&fixture, &["--timeout", "5"]).run().exits(0);
    let record = record(&fixture);
    assert_eq!(recommended(&record), ["BATCH=2"]);
    for (lever, says) in [
        ("CRASH", "exit status 7"),
        ("HANG", "5 s"),
        ("UNIT", "the base reports tokens_per_second, which the candidate does not"),
    ] {
        let candidate = candidate(&record, lever, "1");
        assert_eq!(candidate["status"], "failure");
        assert!(because(&candidate).contains(says), "{candidate:#}");
    }
}

/// Reports a second metric, which follows `PRECISION` and `BATCH`.
const ANSWERS: &str = r#"
n=100; acc=0.9
[ "${BATCH:-1}" = 1 ] || n=150
case "${PRECISION:-bf16}" in fp8) n=200; acc=0.7;; int8) n=300; acc=0.899;; esac
echo "model,performance,metric" > results.csv
echo "speed,$n,tokens_per_second" >> results.csv
echo "answer,$acc,accuracy" >> results.csv
"#;

#[test]
fn another_answer_is_refused() {
    let extra = |accuracy: bool| {
        let mut precision = env("PRECISION", &["fp8", "int8"]);
        precision["numerics"] = true.into();
        let mut tune = json!({ "levers": [precision, env("BATCH", &["2"])] });
        if accuracy {
            tune["accuracy"] = "accuracy".into();
        }
        json!({ "multiple_results": "results.csv", "tune": tune })
    };
    // Nothing shows whether the answer is right: what may change it is not tried.
    let blind = ANSWERS.replace(r#"echo "answer,$acc,accuracy" >> results.csv"#, "");
    let fixture = with(&blind, extra(false));
    search(&fixture, &[]).run().exits(0);
    let found = record(&fixture);
    assert_eq!(recommended(&found), ["BATCH=2"]);
    let refused = candidate(&found, "PRECISION", "fp8");
    assert_eq!((&refused["status"], &refused["comparison"]), (&json!("skipped"), &Value::Null));
    assert!(because(&refused).contains("--allow-numerics"), "{refused:#}");
    // Unless the user says so.
    search(&fixture, &["--allow-numerics"]).run().exits(0);
    assert!(recommended(&record(&fixture)).contains(&"PRECISION=int8".to_owned()));

    // With the metric, what keeps it is fine and what does not is not.
    let fixture = with(ANSWERS, extra(true));
    search(&fixture, &[]).run().exits(0);
    let found = record(&fixture);
    assert!(recommended(&found).contains(&"PRECISION=int8".to_owned()), "{found:#}");
    let refused = candidate(&found, "PRECISION", "fp8");
    assert!(because(&refused).contains("a different answer"), "{refused:#}");
    assert_eq!(refused["promising"], false);

    // A metric that the entry names and that nobody reports.
    let mut silent = extra(true);
    silent["tune"]["accuracy"] = "top1".into();
    let fixture = with(ANSWERS, silent);
    search(&fixture, &[]).run().exits(0);
    assert_eq!(recommended(&record(&fixture)), Vec::<String>::new());
    assert!(because(&candidate(&record(&fixture), "BATCH", "2")).contains("does not report top1"));
}

#[test]
fn a_metric_that_gets_worse_speaks_against_it() {
    let script = r#"
        n=100; l=10; [ "${BATCH:-1}" = 1 ] || { n=200; l=30; }
        echo "model,performance,metric" > results.csv
        echo "a,$n,tokens_per_second" >> results.csv; echo "b,$l,latency_ms" >> results.csv"#;
    let extra = |regress: Value| {
        json!({ "multiple_results": "results.csv", "regress": regress,
            "tune": { "levers": [env("BATCH", &["2"])] } })
    };
    let fixture = with(script, extra(json!({})));
    search(&fixture, &[]).run().exits(0);
    let found = record(&fixture);
    assert_eq!(recommended(&found), Vec::<String>::new());
    assert!(because(&candidate(&found, "BATCH", "2")).contains("latency_ms is worse: +200.0 %"));
    let allowed = json!({ "metrics": { "latency_ms": { "gated": false, "reason": "batch job" } } });
    let fixture = with(script, extra(allowed));
    search(&fixture, &[]).run().exits(0);
    assert_eq!(recommended(&record(&fixture)), ["BATCH=2"]);
    // The latency is what counts: nothing is better.
    search(&fixture, &["--target", "latency"]).run().exits(0);
    let found = record(&fixture);
    assert_eq!(found["metric"]["metric"], "latency_ms");
    assert_eq!(recommended(&found), Vec::<String>::new());
}

#[test]
fn a_baseline_that_fails_ends_it() {
    let fixture = with("echo x >> \"$DIR/count\"; exit 9", json!({}));
    let ran = search(&fixture, &[]).run().exits(3);
    assert!(ran.stderr.contains("decode fails as it is: exit status 9"), "{}", ran.said());
    assert_eq!(executions(&fixture), 1);
    let found = record(&fixture);
    assert_eq!((&found["phase"], &found["baseline"]), (&json!("baseline"), &Value::Null));
    assert!(found["failure"].as_str().unwrap().contains("exit status 9"));
}

#[test]
fn metrics_that_cannot_be_used() {
    let fixture1 = with("echo 'performance: 5 widgets'", json!({}));
    let ran = search(&fixture1, &[]).run().exits(4);
    assert!(ran.stderr.contains(r#"{"widgets": {"direction": "higher"}}"#), "{}", ran.said());
    let fixture2 = fixture(&[]);
    let ran = search(&fixture2, &["--target", "latency"]).run().exits(4);
    assert!(ran.stderr.contains("tokens_per_second (higher)"), "{}", ran.said());
}

#[test]
fn nothing_to_try_and_arguments_that_make_no_sense() {
    let fixture = fixture(&[]).entry("other", "echo 'performance: 1 tokens_per_second'", json!({}));
    let ran = search(&fixture, &[]).run().exits(1);
    assert!(ran.stderr.contains("nothing to try"), "{}", ran.said());
    let mad = |args: &[&str]| fixture.mad(args).run();
    mad(&["tune-search", "nope"]).exits(2);
    mad(&["tune-search"]).exits(4);
    mad(&["tune-search", "decode", "--candidates", "99"]).exits(4).says(&["1..=8"]);
    mad(&["tune-search", "decode", "--candidates", "0"]).exits(4);
    mad(&["tune-search", "decode", "--max-samples", "5"]).exits(4).says(&["fewer than 6"]);
    mad(&["tune-search", "decode", "--profile-tool", "bultin"]).exits(4).says(&["`builtin`?"]);
    mad(&["tune-search", "decode", "--trace", "gone"]).exits(4).says(&["there is no such file"]);
    mad(&["tune-search", "decode", "--resume", "gone"]).exits(4).says(&["there is no search"]);
    mad(&["tune-search", "decode", "-o", "no/perf.csv"]).exits(4).says(&["no file can be there"]);
    mad(&["tune-search", "decode", "--target", "beauty"]).exits(4);
    mad(&["tune-search", "cpu"]).exits(4).says(&["2 entries"]);
    mad(&["tune", "decode", "--strategy", "random"]).exits(4);
    // Of two the first.
    for args in [&["--tag", "decode,other"][..], &["decode", "other"]] {
        let args = [&["tune-search"], args].concat();
        mad(&args).exits(1).says(&["one entry is tuned at a time: decode, not other"]);
    }
}

#[test]
fn without_a_diagnosis_it_goes_on_with_what_the_user_names() {
    let fixture = fixture(&[env("BATCH", &["2"])]);
    // Not installed here, and a trace that is none.
    fixture.write("../trace.json", "{");
    for args in [&["--profile-tool", "nsys"][..], &["--trace", "trace.json"]] {
        let ran = search(&fixture, args).run().exits(0);
        let found = record(&fixture);
        assert_eq!(recommended(&found), ["BATCH=2"]);
        assert!(found["diagnosis"]["failure"].is_string(), "{found:#}");
        assert!(ran.stderr.contains("there is no diagnosis"), "{}", ran.said());
    }
    // Tools of the context are for the diagnosis alone.
    let context = "{'tools': [{'name': 'builtin'}], 'env_vars': {'THREADS': '2'}}";
    search(&fixture, &["-c", context]).run().exits(0);
    let found = record(&fixture);
    assert_eq!(found["diagnosis"]["tools"], json!(["builtin"]));
    assert_eq!(found["baseline"]["median"], 110.0);
    search(&fixture, &["-c", "{'tools': 'builtin'}"]).run().exits(4).says(&["must be an array"]);
}

#[test]
fn killed_in_any_phase_it_goes_on() {
    let levers = [env("THREADS", &["2"]), env("BATCH", &["4"]), env("CRASH", &["1"])];
    let whole = fixture(&levers);
    search(&whole, &[]).run().exits(0);
    let expected = record(&whole);
    let all = executions(&whole);
    let of = |id: usize, what: &str| {
        expected["candidates"][id][what]["executions"].as_u64().expect("a number") as usize
    };
    // Three of the baseline and one under the profiler come first.
    let (first, second, third) = (of(0, "comparison"), of(1, "comparison"), of(2, "comparison"));
    let evaluated = 4 + first + second + third;
    let verified = evaluated + of(1, "verification");
    let stops = [
        ("baseline", 2, 0),
        ("diagnose", 4, 3),
        ("the first candidate", 5, 4),
        ("the second candidate", 4 + first + 3, 4 + first),
        ("the winner afresh", evaluated + 2, evaluated),
        ("together", verified + 1, verified),
        ("together afresh", all, all - of(3, "verification")),
    ];
    for (phase, stop, kept) in stops {
        let fixture = fixture(&levers);
        fixture.write("../stop-at", stop.to_string());
        let running = search(&fixture, &[]).start();
        eventually(phase, || fixture.path("begun").exists());
        running.signal("KILL");
        assert_eq!(running.wait().status, -9);
        let left = record(&fixture);
        std::fs::remove_file(fixture.path("stop-at")).expect("it is there");
        let run = left["run"].as_str().expect("an id").to_owned();

        // Who begins another one is told.
        let other = fixture.mad(&["tune-search", "decode", "--budget", "0.000001"]).run().exits(1);
        assert!(other.stderr.contains(&format!("--resume {run}")), "{}", other.said());
        let before = executions(&fixture);
        let args = ["tune-search", "decode", "--resume", &run];
        let ran = fixture.mad(&args).run().exits(0);
        let found = json_file(&fixture.path(&format!("mad/tunings/{run}/tuning.json")));
        assert_eq!(recommended(&found), recommended(&expected), "{phase}: {}", ran.said());
        assert_eq!(found["recommendation"], expected["recommendation"], "{phase}");
        assert_eq!(executions(&fixture) - before, all - kept, "{phase}: {}", ran.said());
        for (then, now) in left["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .zip(found["candidates"].as_array().unwrap())
        {
            let finished = then["status"] == "success" || then["status"] == "failure";
            assert!(!finished || then["comparison"] == now["comparison"], "{phase}");
        }
        fixture.mad(&args).run().exits(0).says(&["is done"]);
        assert_eq!(executions(&fixture) - before, all - kept, "{phase}");
    }
}

#[test]
fn the_loop_goes_on_after_a_kill_too() {
    let levers = [env("BATCH", &["4"]), env("THREADS", &["2"])];
    for strategy in ["greedy", "halving"] {
        // In the first candidate, in the second one, and in what is measured afresh.
        for stop in [7, 21, 35] {
            let fixture = fixture(&levers);
            fixture.write("../stop-at", stop.to_string());
            let args = ["tune", "decode", "--seed", "1", "--strategy", strategy];
            let running = fixture.mad(&args).start();
            eventually("it has begun", || fixture.path("begun").exists());
            running.signal("KILL");
            assert_eq!(running.wait().status, -9);
            let run = record(&fixture)["run"].as_str().expect("an id").to_owned();
            std::fs::remove_file(fixture.path("stop-at")).expect("it is there");
            let args = ["tune", "decode", "--strategy", strategy, "--resume", &run];
            let ran = fixture.mad(&args).run().exits(0);
            let found = record(&fixture);
            assert_eq!(recommended(&found), ["BATCH=4", "THREADS=2"], "{stop}: {}", ran.said());
        }
    }
}

#[test]
fn it_goes_on_only_with_what_it_began_with() {
    let levers = [env("BATCH", &["2"])];
    let fixture = fixture(&levers);
    fixture.write("../stop-at", "6");
    let running = search(&fixture, &["--min-effect", "5%"]).start();
    eventually("it has begun", || fixture.path("begun").exists());
    running.signal("INT");
    let ran = running.wait().exits(3);
    assert!(
        ran.stderr.contains("interrupted; go on with `mad tune-search --tag decode --resume"),
        "{}",
        ran.said()
    );
    let found = record(&fixture);
    let run = found["run"].as_str().unwrap().to_owned();
    assert_eq!((&found["stopped"], &found["failure"]), (&json!("interrupted"), &Value::Null));
    assert_eq!(found["candidates"][0]["status"], "waiting");
    let resume = |args: &[&str]| -> Ran {
        fixture.mad(&[&["tune-search", "decode", "--resume", &run], args].concat()).run()
    };
    resume(&[]).exits(4).says(&["--min-effect was 0.05, is none"]);
    resume(&["--min-effect", "5%", "--allow-numerics"])
        .exits(4)
        .says(&["--allow-numerics was none"]);
    resume(&["--min-effect", "5%", "-c", "{'env_vars': {'A': '1'}}"])
        .exits(4)
        .says(&["--additional-context"]);
    let tune = ["tune", "decode", "--resume", &run, "--min-effect", "5%"];
    fixture.mad(&tune).run().exits(4).says(&["the strategy was search, is greedy"]);
    let path = format!("mad/tunings/{run}/tuning.json");
    let mut changed = found.clone();
    changed["entry_hash"] = "0".into();
    fixture.write(&format!("../{path}"), changed.to_string());
    resume(&["--min-effect", "5%"]).exits(4).says(&["the hash of the entry was 0"]);
    let script = fixture.root().join("scripts/decode/run.sh");
    let text = std::fs::read_to_string(&script).expect("the script");
    std::fs::write(&script, format!("{text}# edited\n")).expect("it can be edited");
    fixture.write(&format!("../{path}"), found.to_string());
    resume(&["--min-effect", "5%"]).exits(4).says(&["the hash of the script was"]);
    std::fs::write(&script, text).expect("it can be put back");
    fixture.write(&format!("../{path}"), "{\"schema\": \"mad-tuning/9\"}");
    resume(&["--min-effect", "5%"]).exits(4).says(&["mad-tuning/9"]);
    fixture.write(&format!("../{path}"), found.to_string());
    resume(&["--min-effect", "5%"]).exits(0);
    assert_eq!(recommended(&record(&fixture)), ["BATCH=2"]);
}

#[test]
fn the_time_ends_it_and_more_goes_on() {
    let fixture = fixture(&[env("BATCH", &["2"])]);
    let ran = search(&fixture, &["--budget", "0.000001"]).run().exits(1);
    assert!(ran.stderr.contains("the time was not enough"), "{}", ran.said());
    let run = record(&fixture)["run"].as_str().unwrap().to_owned();
    fixture.mad(&["tune-search", "decode", "--resume", &run]).run().exits(0);
    assert_eq!(recommended(&record(&fixture)), ["BATCH=2"]);
}

#[test]
fn one_document_on_standard_output() {
    let fixture = fixture(&[env("NOBODY", &["1"])]);
    let ran = fixture.mad(&["--json", "tune-search", "decode"]).run().exits(0);
    assert_eq!(ran.json()["schema"], "mad-tuning/1");
    assert_eq!(ran.json()["recommendation"], Value::Null);
    let quiet = fixture.mad(&["-q", "tune-search", "decode"]).run().exits(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_plan_runs_nothing_and_says_how_by_hand() {
    let mut precision = env("PRECISION", &["fp8"]);
    precision["numerics"] = true.into();
    let fixture = fixture(&[env("BATCH", &["2", "4"]), precision]);
    let ran = search(&fixture, &["--plan"]).run().exits(0);
    for text in
        ["BATCH=2", "BATCH=4", "'{\"docker_env_vars\":{\"BATCH\":\"4\"}}'", "--allow-numerics"]
    {
        assert!(ran.stdout.contains(text), "{text}: {}", ran.said());
    }
    assert!(!fixture.path("count").exists() && !fixture.path("mad/tunings").exists());
    let plan = fixture.mad(&["--json", "tune-search", "decode", "--plan"]).run().exits(0).json();
    let commands = plan["candidates"][1]["commands"].as_array().expect("commands").clone();
    // As it says, so it is.
    let line = commands.last().expect("a command").as_str().expect("a line").to_owned();
    let words = shell_words::split(&line).expect("words");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    fixture.mad(&words).run().exits(0);
    assert_eq!(fixture.rows()[0].get("performance"), "200");
}

#[test]
fn what_is_for_another_host_is_planned() {
    let extra = json!({ "n_gpus": "8", "tune": { "levers": [env("BATCH", &["2"])] } });
    let fixture = with(SCRIPT, extra);
    let ran = search(&fixture, &[]).run().exits(1);
    assert!(ran.stdout.contains("decode cannot run here: needs 8"), "{}", ran.said());
    assert!(ran.stdout.contains("BATCH=2") && ran.stderr.contains("nothing was measured"));
    search(&fixture, &["--require-gpu"]).run().exits(3);
    search(&fixture, &["--plan"]).run().exits(0);
    assert!(!fixture.path("count").exists());
}

#[test]
fn the_recommendation_is_a_patch_and_nothing_is_edited() {
    let argument = json!({ "name": "--batch", "kind": "arg", "values": ["2"] });
    let script = r#"n=100; for word; do [ "$word" != 2 ] || n=150; done
        [ "${THREADS:-1}" != 2 ] || n=$((n * 2)); echo "performance: $n tokens_per_second""#;
    let tune = json!({ "tune": { "levers": [argument, env("THREADS", &["2"])] } });
    let fixture = with(script, tune);
    let before =
        [fixture.text("catalog/models.json"), fixture.text("catalog/scripts/decode/run.sh")];
    search(&fixture, &["--write-patch", "best.patch"]).run().exits(0).says(&["best.patch"]);
    let after =
        [fixture.text("catalog/models.json"), fixture.text("catalog/scripts/decode/run.sh")];
    assert_eq!(before, after);
    assert_eq!(recommended(&record(&fixture)), ["--batch=2", "THREADS=2"]);
    let applied = std::process::Command::new("git")
        .current_dir(fixture.root())
        .args(["apply", "../best.patch"])
        .status();
    assert!(applied.expect("git starts").success());
    fixture.mad(&["benchmark", "decode"]).run().exits(0);
    assert_eq!(fixture.rows()[0].get("performance"), "300");
    // What is set now is no candidate any more.
    search(&fixture, &["--write-patch", "next.patch"]).run();
    assert!(!fixture.path("next.patch").exists());
    search(&fixture, &["--write-patch", "no/where.patch"]).run().exits(4);
}
