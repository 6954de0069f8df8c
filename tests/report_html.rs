//! The page that `mad report --format html` writes, in a real browser (tests/common/browser.rs).

mod common;

use common::{Fixture, HOSTILE, browse, decoded, hostile};
use serde_json::{Value, json};

/// Rows of a perf.csv: `m<i>`, every third of them slower by `factor`, every tenth failed.
fn rows(n: usize, factor: f64) -> String {
    let row = |i: usize| {
        let value = (100.0 + i as f64) * if i % 3 == 1 { factor } else { 1.0 };
        match i % 10 {
            9 => format!("m{i},,,FAILURE\n"),
            _ => format!("m{i},{value},tokens_per_second,SUCCESS\n"),
        }
    };
    "model,performance,metric,status\n".to_owned() + &(0..n).map(row).collect::<String>()
}

fn write(fixture: &Fixture, name: &str, text: &str) {
    std::fs::write(fixture.path(name), text).expect("a file");
}

#[test]
fn the_table_is_found_in_sorted_and_paged() {
    let fixture = Fixture::empty();
    write(&fixture, "old.csv", &rows(250, 1.0));
    write(&fixture, "new.csv", &rows(250, 0.5));
    fixture.mad(&["report", "new.csv", "old.csv", "-o", "page.html"]).run().exits(1);
    let Some(saw) = browse(
        &fixture.path("page.html"),
        1200,
        "",
        r##"
        saw.title = page().title;
        saw.heading = text("h1")[0];
        saw.cards = text(".card");
        saw.count = text("#count")[0];
        saw.first = models().slice(0, 2);
        saw.shown = models().length;
        click("#on");
        saw.second_page = text("#page")[0];
        await find("M24");
        saw.found = models();
        saw.found_count = text("#count")[0];
        await find("");
        choose("verdict", "suspected");
        saw.suspected = text("#count")[0];
        choose("verdict", "");
        click("th:nth-child(4) button");
        saw.lowest = models()[0];
        click("th:nth-child(4) button");
        saw.highest = models()[0];
        saw.sorted = all("th").map(th => th.getAttribute("aria-sort")).indexOf("descending");
        saw.empty_last = (() => { click("#on"); click("#on"); return models().at(-1); })();
        [...all(".card")].find(c => c.textContent.includes("failed")).click();
        saw.failed = text("#count")[0];
        saw.address = frame.contentWindow.location.hash;
        await find("no such row");
        saw.nothing = text("#rows")[0];
        "##,
    ) else {
        return;
    };
    let headline = saw["title"].as_str().expect("a title");
    assert!(headline.starts_with("biggest regression: m1 tokens_per_second -50.00%"), "{saw:#}");
    assert!(headline.starts_with(saw["heading"].as_str().expect("a heading")), "{saw:#}");
    assert_eq!(
        saw["cards"],
        json!(["90 %225 of 250 passed", "25failed", "75suspected", "150same"]),
        "{saw:#}"
    );
    assert_eq!(saw["count"], "250 rows");
    // What failed comes first.
    assert_eq!(saw["first"], json!(["m9", "m19"]));
    assert_eq!(saw["shown"], 100);
    assert_eq!(saw["second_page"], "101 – 200 of 250");
    assert_eq!(saw["found"][0], "m249");
    assert_eq!(saw["found_count"], "11 of 250 rows");
    assert_eq!(saw["suspected"], "75 of 250 rows");
    assert_eq!(
        (&saw["lowest"], &saw["highest"], &saw["sorted"]),
        (&json!("m0"), &json!("m248"), &json!(3))
    );
    // Whatever has no number is at the end.
    assert_eq!(saw["empty_last"], "m249");
    assert_eq!(saw["failed"], "25 of 250 rows");
    assert_eq!(saw["address"], "#status=FAILURE&sort=-before");
    assert_eq!(saw["nothing"], "No row is like that.");
}

#[test]
fn a_row_opens_to_its_history_and_reasons() {
    let fixture = Fixture::with("m", "echo \"performance: ${VALUE:-100} tok/s\"");
    for value in ["99", "100", "101"] {
        fixture.mad(&["benchmark"]).env("VALUE", value).run().exits(0);
    }
    fixture.mad(&["baseline", "accept", "--last", "2"]).run().exits(0);
    fixture.mad(&["benchmark", "--samples", "2"]).env("VALUE", "60").run().exits(5);
    fixture.mad(&["report", "-o", "page.html"]).run().exits(1);
    let Some(saw) = browse(
        &fixture.path("page.html"),
        1200,
        "",
        r##"
        saw.before = all("tr.detail").length;
        click(".open");
        saw.expanded = all(".open")[0].getAttribute("aria-expanded");
        saw.said = text("dl")[0];
        saw.plot = all("svg")[0].getAttribute("aria-label");
        saw.points = all("svg .point").length;
        saw.now = all("svg .now")[0].getAttribute("class");
        saw.band = all("svg .band").length;
        saw.each = all("svg .each").length;
        saw.link = all("dl a")[0].getAttribute("href");
        saw.address = frame.contentWindow.location.hash;
        click(".open");
        saw.after = all("tr.detail").length;
        "##,
    ) else {
        return;
    };
    assert_eq!(
        (&saw["before"], &saw["after"], &saw["expanded"]),
        (&json!(0), &json!(0), &json!("true"))
    );
    let said = saw["said"].as_str().expect("text");
    for words in ["regressed", "confirmed by 3 fresh Executions", "higher is better", "60, 60"] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(saw["plot"], "m tok/s: 60, after 3 earlier numbers, baseline 100.5");
    assert_eq!((&saw["points"], &saw["band"], &saw["each"]), (&json!(3), &json!(1), &json!(2)));
    assert_eq!(saw["now"], "now bad");
    let link = saw["link"].as_str().expect("a link");
    assert!(link.starts_with("./mad/runs/"), "{link}");
    assert_eq!(fixture.text(&decoded(link)), "performance: 60 tok/s\n");
    assert_eq!(saw["address"], "#open=m+tok%2Fs");
    // The address alone leads back to what was looked at.
    let again = browse(
        &fixture.path("page.html"),
        1200,
        "#open=m+tok%2Fs",
        r##"saw.open = all("tr.detail svg").length; saw.said = text("dl").length;"##,
    );
    assert_eq!(again, Some(json!({ "open": 1, "said": 1 })));
}

#[test]
fn nothing_is_wider_than_a_phone() {
    let fixture = Fixture::empty();
    hostile(&fixture);
    let long = format!("{}{},1,x,SUCCESS\n", rows(5_000, 0.5), "long".repeat(60));
    write(&fixture, "new.csv", &long);
    write(&fixture, "old.csv", &rows(5_000, 1.0));
    fixture.mad(&["report", "new.csv", "old.csv", "-o", "compared.html"]).run().exits(1);
    fixture.mad(&["report", "hostile.csv", "-o", "hostile.html"]).run().exits(1);
    for (name, count) in [("compared.html", "5,001 rows"), ("hostile.html", "22 rows")] {
        let Some(saw) = browse(
            &fixture.path(name),
            390,
            "",
            r##"
            all(".open").slice(0, 30).forEach(button => button.click());
            const root = page().documentElement;
            saw.count = text("#count")[0];
            saw.wide = root.scrollWidth - root.clientWidth;
            choose("order", "-value");
            await find("long");
            saw.wide_long = root.scrollWidth - root.clientWidth;
            "##,
        ) else {
            return;
        };
        assert_eq!(saw, json!({ "count": count, "wide": 0, "wide_long": 0 }), "{name}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let fixture = Fixture::empty();
    hostile(&fixture);
    fixture.mad(&["report", "hostile.csv", "-o", "page.html"]).run().exits(1);
    let Some(saw) = browse(
        &fixture.path("page.html"),
        1000,
        "",
        r##"
        saw.models = models();
        saw.images = all("img").length;
        saw.scripts = all("script").length;
        all(".open").forEach(button => button.click());
        saw.links = all("a").length;
        saw.title = page().title;
        saw.policy = await new Promise(done => {
            const script = page().createElement("script");
            page().addEventListener("securitypolicyviolation", e => {
                e.stopImmediatePropagation();
                done(e.violatedDirective);
            }, { capture: true });
            script.textContent = "document.title = 'owned'";
            page().body.append(script);
            setTimeout(() => done("none"), 500);
        });
        errors.length = 0;
        saw.title_then = page().title;
        "##,
    ) else {
        return;
    };
    let models: Vec<&str> =
        saw["models"].as_array().expect("models").iter().filter_map(Value::as_str).collect();
    for name in HOSTILE {
        assert!(models.iter().any(|m| m.starts_with(name)), "{name:?} in {models:?}");
    }
    assert_eq!((&saw["images"], &saw["scripts"], &saw["links"]), (&json!(0), &json!(2), &json!(0)));
    assert_eq!(saw["title"], saw["title_then"]);
    assert!(!saw["title"].as_str().expect("a title").contains("owned"));
    assert_eq!(saw["policy"], "script-src-elem");
}
