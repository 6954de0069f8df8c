//! The history of a team, in a real PostgreSQL on this machine. Without a server these tests
//! are skipped, with `MAD_TESTS_REQUIRE_POSTGRES=1` they fail.

#![allow(missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{Past, Ran, eventually, stepped, tuned};
use serde_json::{Value, json};
use server::{SECRET, Server, free_port};

macro_rules! server {
    () => {
        match Server::start() {
            Some(server) => server,
            None => return,
        }
    };
}

/// A machine of this name that measured these values.
fn machine(name: &str, values: &[Option<f64>]) -> Past {
    let mut past = Past::new();
    past.run["machine"]["hostname"] = json!(name);
    for (n, value) in values.iter().enumerate() {
        past.add(n, *value, |_| ());
    }
    past
}

/// `mad history` against `url`. The password is not in what it says.
fn ask(past: &Past, url: &str, args: &[&str]) -> Ran {
    let ran = past.ask(&[&["--history", url], args].concat());
    assert!(!ran.said().contains("the-secret"), "{}", ran.said());
    ran
}

fn told(past: &Past, url: &str) -> Value {
    ask(past, url, &["m", "--json"]).exits(0).json()
}

#[test]
fn a_shared_history_answers_like_that_of_a_machine() {
    let server = server!();
    let past = machine("alpha", &stepped());
    past.add(60, None, |m| m["failure"] = json!("a\tb\\c\nd\r'e'\\N $1 \u{1f525}"));
    past.add(61, Some(90.5), |m| m["precision"] = json!("fp16"));
    past.add(62, Some(1e-300), |m| m["id"] = json!("M"));
    past.add(63, Some(0.1), |m| m["id"] = json!("_"));
    let alone = past.json(&[]);
    for _ in 0..2 {
        let shared = ask(&past, &server.url(), &["--json"]).exits(0).json();
        assert_eq!(shared["series"], alone["series"]);
        assert_eq!(shared["without_numbers"], alone["without_numbers"]);
        assert_eq!(shared["runs"], 64);
        let place = format!("the shared history mad at 127.0.0.1:{}", server.port);
        assert_eq!(shared["shared"], json!(place));
    }
    // What no text of PostgreSQL can hold is no reason to lose a run.
    past.add(64, None, |m| m["failure"] = json!("a\u{0}b"));
    let told = told(&past, &server.url()).to_string();
    assert!(told.contains("\"a\u{fffd}b\""), "{told}");
    ask(&past, &server.url(), &["nope"]).exits(2).says(&["in the shared history mad at"]);
    ask(&past, &server.url(), &["--rebuild"]).exits(4).says(&["what other machines measured"]);
}

#[test]
fn a_team_sees_what_everybody_measured() {
    let server = server!();
    // The same ids on both, as two clocks and process numbers may have it.
    let alpha = machine("alpha", &[Some(1.0), Some(2.0)]);
    let beta = machine("beta", &[Some(3.0), None, Some(5.0)]);
    assert_eq!(told(&alpha, &server.url())["series"][0]["runs"], 2);
    for past in [&beta, &alpha, &beta] {
        let told = told(past, &server.url());
        assert_eq!(told["runs"], 5);
        let last = told["series"][0]["last"].as_array().cloned().expect("runs");
        let row = |e: &Value| (e["host"].as_str().map(str::to_owned), e["value"].as_f64());
        let host = |name: &str| Some(name.to_owned());
        assert_eq!(
            last.iter().map(row).collect::<Vec<_>>(),
            [
                (host("alpha"), Some(1.0)),
                (host("beta"), Some(3.0)),
                (host("alpha"), Some(2.0)),
                (host("beta"), None),
                (host("beta"), Some(5.0)),
            ]
        );
    }
    // A run that went on is told once, as it is now.
    beta.add(1, Some(4.0), |_| ());
    assert_eq!(told(&beta, &server.url())["series"][0]["last"][3]["value"], 4.0);
    assert_eq!(told(&alpha, &server.url())["runs"], 5);
    // What its records say stays when they go, and somebody who has none can ask, too.
    fs::remove_dir_all(beta.fixture.path("mad/runs")).expect("the records go");
    assert_eq!(told(&beta, &server.url())["runs"], 5);
    // Where it is can be said once for all.
    let toml = format!("[history]\nurl = \"{}\"\n", server.open_url());
    alpha.fixture.write("mad.toml", toml);
    let ask = |args: &[&str]| alpha.fixture.mad(args).env("PGPASSWORD", SECRET).run().exits(0);
    assert_eq!(ask(&["history", "m", "--json"]).json()["runs"], 5);
    let file = ["history", "m", "--json", "--database", "a.sqlite"];
    assert_eq!(ask(&file).json()["runs"], 2);
}

#[test]
fn many_at_once_neither_collide_nor_duplicate() {
    let server = server!();
    let machines = ["alpha", "beta"].map(|name| machine(name, &stepped()));
    // All of them find a database without tables.
    let url = server.url();
    let args = ["history", "m", "--json", "--history", &url];
    let start = |past: &Past| past.fixture.mad(&args).start();
    let running: Vec<_> = (0..3).flat_map(|_| machines.iter().map(start)).collect();
    for running in running {
        running.wait().exits(0);
    }
    assert_eq!(told(&machines[0], &server.url())["runs"], 120);
    let counts = "SELECT (SELECT COUNT(*) FROM runs), (SELECT COUNT(*) FROM measurements), \
        (SELECT COUNT(*) FROM metric_values), (SELECT COUNT(*) FROM mad_history)";
    assert_eq!(server.sql(counts), "120|120|114|1");
}

#[test]
fn a_password_is_found_where_libpq_finds_it_and_told_to_nobody() {
    let server = server!();
    let past = machine("alpha", &[Some(1.0)]);
    let url = server.open_url();
    ask(&past, &url, &["m"]).exits(4).says(&["~/.pgpass"]);
    ask(&past, &url.replace("mad@", "mad:wr0ng@"), &["m"]).exits(4).says(&[
        "password authentication failed",
        "SQLSTATE 28P01",
        "PGPASSWORD",
    ]);
    let mad = || past.fixture.mad(&["history", "m"]).env("MAD_HISTORY", &url);
    mad().env("PGPASSWORD", SECRET).run().exits(0);
    let file = past.fixture.path("pgpass");
    let line =
        format!("the-secret of a line that is none\n127.0.0.1:{}:mad:mad:{SECRET}\n", server.port);
    fs::write(&file, line).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    let ran = mad().env("PGPASSFILE", &file).run().exits(0);
    assert_eq!(ran.stderr, "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
    let ran = mad().env("PGPASSFILE", &file).run().exits(4).says(&["only its owner"]);
    assert!(!ran.said().contains("the-secret"), "{}", ran.said());
    // A socket, and all that may be left out of a URL left out.
    let socket = server.dir().to_str().expect("text");
    let port = server.port.to_string();
    let sparse = past.fixture.mad(&["history", "m", "--json"]);
    let env = [("PGHOST", socket), ("PGPORT", &port), ("PGUSER", "mad"), ("PGPASSWORD", SECRET)];
    let sparse = env.iter().fold(sparse, |mad, (name, value)| mad.env(name, value));
    let told = sparse.env("MAD_HISTORY", "postgres://").run().exits(0).json();
    assert_eq!(told["runs"], 1);
    // A script that prints its environment prints no password into the log.
    fs::remove_dir_all(past.dir(0)).expect("the run goes");
    let ran = past.fixture.mad(&["benchmark"]).env("VALUE", "2").env("MAD_HISTORY", server.url());
    past.fixture.write("scripts/m/run.sh", "env\necho \"performance: $VALUE tok/s\"\n");
    ran.env("PGPASSWORD", SECRET).run().exits(0);
    assert!(past.fixture.log("m").contains("MAD_HISTORY=***"), "{}", past.fixture.log("m"));
    fs::remove_file(file).expect("the password file goes");
    assert_eq!(past.fixture.files_with("the-secret"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_server_that_is_not_to_be_used_says_why() {
    let server = server!();
    let past = machine("alpha", &[Some(1.0)]);
    let nobody = server.url().replace(&server.port.to_string(), &free_port().to_string());
    ask(&past, &nobody, &["m"]).exits(4).says(&["cannot use the shared history mad at", "refused"]);
    let other =
        server.url().replace(&format!("{}/mad", server.port), &format!("{}/other", server.port));
    ask(&past, &other, &["m"]).exits(4).says(&["\"other\" does not exist", "createdb"]);
    let garbled = server.url().replace(&format!(":{}/", server.port), ":port/");
    ask(&past, &garbled, &["m"]).exits(4).says(&["cannot be understood", "%XX"]);
    // Tables of somebody else.
    server.sql("CREATE TABLE runs (marathon TEXT)");
    ask(&past, &server.url(), &["m"])
        .exits(4)
        .says(&["not one of mad's", "tables of the same names"]);
    assert_eq!(server.sql("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
    server.sql("DROP TABLE runs");
    ask(&past, &server.url(), &["m"]).exits(0);
    // Tables of a newer mad; nothing in them changes.
    server.sql("UPDATE mad_history SET version = version + 1");
    past.add(1, Some(2.0), |_| ());
    ask(&past, &server.url(), &["m"]).exits(4).says(&["a newer version of mad", "update mad"]);
    assert_eq!(server.sql("SELECT COUNT(*) FROM runs"), "1");
}

#[test]
fn a_history_that_may_only_be_read_is_read() {
    let server = server!();
    let past = machine("alpha", &[Some(1.0), Some(2.0)]);
    server.sql("CREATE ROLE reader LOGIN PASSWORD 'reader'");
    let url = server.open_url().replace("mad@", "reader:reader@");
    // Nobody has made the tables yet, and the reader cannot.
    ask(&past, &url, &["m"]).exits(4).says(&["permission denied", "CREATE on the schema"]);
    told(&past, &server.url());
    server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    let read_only = "ALTER DATABASE mad SET default_transaction_read_only = on";
    for sql in ["SELECT 1", read_only] {
        server.sql(sql);
        // With nothing new there is nothing to write.
        assert_eq!(told(&past, &url)["runs"], 2);
        past.add(2, Some(3.0), |_| ());
        let ran =
            ask(&past, &url, &["m", "--json"]).exits(1).says(&["cannot be written", "not in it"]);
        assert_eq!(ran.json()["series"][0]["runs"], 2);
        fs::remove_dir_all(past.dir(2)).expect("the run goes");
    }
}

#[test]
fn a_connection_that_breaks_leaves_nothing_half_done() {
    let server = server!();
    let past = machine("alpha", &stepped());
    ask(&past, &server.url(), &["--run-dir", "none"]).exits(0);
    let writer = server.busy_writer();
    let start = || past.fixture.mad(&["history", "m"]).env("MAD_HISTORY", server.url()).start();
    let running = start();
    eventually("somebody who waits", || server.waiting() == "1");
    server.cut_off();
    running.wait().exits(4).says(&["terminating connection", "ask again"]);
    assert_eq!(server.sql("SELECT COUNT(*) FROM runs"), "0");
    // A writer that comes to an end is waited for.
    let running = start();
    eventually("somebody who waits", || server.waiting() == "1");
    server.end(writer);
    running.wait().exits(0);
    // The server goes in the middle.
    past.add(60, Some(1.0), |_| ());
    let writer = server.busy_writer();
    let running = start();
    eventually("somebody who waits", || server.waiting() == "1");
    drop(server);
    drop(writer);
    running.wait().exits(4).says(&["cannot use the shared history", "ask again"]);
}

#[test]
fn a_statement_that_may_not_take_its_time_is_told() {
    let server = server!();
    let past = machine("alpha", &[Some(1.0)]);
    ask(&past, &server.url(), &["--run-dir", "none"]).exits(0);
    let writer = server.busy_writer();
    server.sql("ALTER ROLE mad SET statement_timeout = '300ms'");
    ask(&past, &server.url(), &["m"]).exits(4).says(&["statement timeout", "ALTER ROLE"]);
    server.sql("ALTER ROLE mad RESET statement_timeout");
    server.end(writer);
    assert_eq!(told(&past, &server.url())["runs"], 1);
}

#[test]
fn searches_are_shared_too() {
    let server = server!();
    let alpha = machine("alpha", &[Some(1.0)]);
    let beta = machine("beta", &[Some(2.0)]);
    for (past, searches) in [(&alpha, 0..2), (&beta, 2..4)] {
        for search in &tuned::searches()[searches] {
            tuned::write(&past.fixture, search);
            let dir = past.fixture.path("mad/tunings").join(search["run"].as_str().expect("an id"));
            fs::write(dir.join("run.json"), past.run.to_string()).expect("a record");
        }
    }
    let ask = |past: &Past| ask(past, &server.url(), &["--tuning", "--json"]).exits(0).json();
    ask(&alpha);
    let shared = ask(&beta);
    assert_eq!((&shared["searches"], &ask(&alpha)["searches"]), (&json!(4), &json!(4)));
    // All of them on one machine say the same.
    let alone = machine("alone", &[]);
    tuned::searches().iter().for_each(|search| tuned::write(&alone.fixture, search));
    let alone = alone.json(&["--tuning"]);
    assert_eq!(shared["learned"], alone["learned"]);
    assert_eq!(shared["learned"][1]["tried"], 3);
    let gains = |told: &Value| -> Vec<Value> {
        let tried = told["tried"].as_array().expect("a list");
        tried.iter().map(|row| json!([row["model"], row["change"], row["gain"]])).collect()
    };
    assert_eq!(gains(&shared), gains(&alone));
    let hosts: Vec<&Value> =
        shared["best"].as_array().expect("a list").iter().map(|b| &b["host"]).collect();
    assert_eq!(hosts, ["alpha", "beta"]);
}

#[test]
fn a_shared_history_without_searches_gets_their_tables() {
    let server = server!();
    let past = machine("alpha", &[Some(1.0), Some(2.0)]);
    assert_eq!(told(&past, &server.url())["runs"], 2);
    // As the version before made it.
    server.sql(
        "DROP VIEW learned_patterns; DROP TABLE best_configurations, optimization_history, \
         model_baselines, tunings; UPDATE mad_history SET version = 2",
    );
    tuned::write(&past.fixture, &tuned::searches()[0]);
    fs::remove_dir_all(past.fixture.path("mad/runs")).expect("the records go");
    let told = ask(&past, &server.url(), &["--tuning", "--json"]).exits(0).json();
    assert_eq!(told["searches"], 1);
    assert_eq!(self::told(&past, &server.url())["runs"], 2);
}
