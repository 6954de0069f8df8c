//! `mad howto`: one page that needs nothing else, and runs no script.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Command;

use super::described::{Block, Described, Flag};
use super::picture;
use super::reference::{by_status, with_variables, worst_first};
use super::variables::{Reader, VARIABLES};
use super::wishes::{TIPS, WISHES};
use crate::profile::levers::{Stack, shipped};
use crate::profile::{Bottleneck, rules};
use crate::report::{html_escape as escape, page_style, policy_hash};

const STYLE: &str = include_str!("howto.css");

/// Sections: the anchor, the title.
const SECTIONS: [(&str, &str); 8] = [
    ("want", "I want to …"),
    ("contract", "What a script must report"),
    ("exit", "Exit statuses"),
    ("levers", "From a bottleneck to a lever"),
    ("tips", "Tips"),
    ("way", "From an entry to a verdict"),
    ("environment", "Environment variables"),
    ("commands", "Commands"),
];

/// The page, for the command line [`crate::cli::command`].
///
/// # Errors
/// When the shipped levers cannot be read, which a test would notice.
pub fn howto(command: &Command) -> Result<String> {
    let style = format!("{}{STYLE}", page_style());
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {}; \
         img-src data:\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <link rel=\"icon\" href=\"data:,\"/>\n\
         <title>mad: how to</title>\n<style>{style}</style>\n</head>\n<body>\n<header>\n\
         <p class=\"origins\">mad-harness {version}</p>\n<h1>mad: how to</h1>\n\
         <p>A catalog of model workloads, <code>models.json</code>, becomes tests: each entry is validated, measured, \
         and judged against what was accepted.</p>\n<nav>",
        policy_hash(&style),
    );
    for (anchor, title) in SECTIONS {
        let _ = write!(page, "<a href=\"#{anchor}\">{}</a> ", escape(title));
    }
    page.push_str("</nav>\n</header>\n<main>\n");
    for (anchor, title) in SECTIONS {
        let _ = writeln!(page, "<section>\n<h2 id=\"{anchor}\">{}</h2>", escape(title));
        match anchor {
            "want" => wishes(&mut page),
            "contract" => page.push_str(CONTRACT),
            "exit" => exits(&mut page),
            "levers" => levers(&mut page)?,
            "tips" => list(&mut page, "ul", TIPS),
            "way" => way(&mut page),
            "environment" => environment(&mut page, command),
            _ => commands(&mut page, command),
        }
        page.push_str("</section>\n");
    }
    page.push_str(
        "</main>\n<footer><p>Made by <code>mad howto</code>.</p></footer>\n</body>\n</html>\n",
    );
    Ok(page)
}

fn wishes(page: &mut String) {
    let rows = WISHES.iter().map(|wish| {
        vec![escape(wish.want), typed(wish.command), format!("docs/{}", escape(wish.page))]
    });
    table(page, "wishes", &["I want to", "command", "more"], rows);
}

const CONTRACT: &str = "\
<div class=\"two\"><div>
<h3>One number: a line in the output</h3>
<pre>performance: 1234.5 tokens_per_second</pre>
<ul>
<li>The first such line counts, wherever it begins in its line; a later, different one is a warning.</li>
<li>The number is plain: <code>1,234</code> and <code>nan</code> are refused by name. There is a blank after the colon.</li>
<li>HuggingFace's <code>train_samples_per_second</code> counts if there is no such line.</li>
</ul></div><div>
<h3>Several numbers: a CSV file</h3>
<pre>model,performance,metric
prefill,5120.4,tokens_per_second
decode,87.2,tokens_per_second</pre>
<ul>
<li><code>\"multiple_results\": \"results.csv\"</code> names it, relative to the script's directory; then no line counts.</li>
<li>The script writes it in this very execution. One row without a finite number fails the whole.</li>
<li>Further columns are kept, and rows are named <code>&lt;entry&gt;_&lt;row&gt;</code>.</li>
</ul></div></div>
<p>The exit status must be 0, too. Nothing is a success that reported no number. Durations are in seconds; units
stay as the script wrote them, and two different units are never compared.</p>
";

fn exits(page: &mut String) {
    let rows = by_status().into_iter().map(|e| vec![e.code().to_string(), escape(e.meaning())]);
    table(page, "status", &["status", "means"], rows);
    let worst = worst_first();
    let _ = writeln!(page, "<p>If several things happened, the worst decides: {worst}.</p>");
}

fn levers(page: &mut String) -> Result<()> {
    page.push_str(
        "<p><code>mad profile</code> and <code>mad diagnose</code> say what holds an entry back. A lever is a \
         suggestion, most special stack first; it counts when it was measured, without a profiler, more than once. \
         Those with * may change the answer, not only its speed.</p>\n",
    );
    let levers = shipped()?;
    // In the order in which they are tried.
    let rules = rules::table();
    let mut bottlenecks: Vec<Bottleneck> = Vec::new();
    for rule in &rules {
        if !bottlenecks.contains(&rule.concludes) {
            bottlenecks.push(rule.concludes);
        }
    }
    for bottleneck in bottlenecks {
        let word = bottleneck.word();
        let row = |stack: &Stack| {
            let names: Vec<String> = levers
                .iter()
                .filter(|l| l.targets.iter().any(|t| t == word))
                .filter(|l| l.stacks.iter().any(|s| s == stack.word()))
                .map(|l| {
                    let star = if l.numerics { "*" } else { "" };
                    format!("<code title=\"{}\">{}{star}</code>", escape(&l.why), escape(&l.name))
                })
                .collect();
            (!names.is_empty()).then(|| vec![stack.word().to_owned(), names.join(" ")])
        };
        let rows: Vec<Vec<String>> = Stack::ALL.iter().filter_map(row).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(page, "<h3 id=\"{word}\">{word}</h3>\n<p>Found when:</p>\n<ul>");
        for rule in rules.iter().filter(|r| r.concludes == bottleneck) {
            let _ = writeln!(page, "<li>{}</li>", escape(&rule.when));
        }
        page.push_str("</ul>\n");
        table(page, "levers", &["stack", "levers"], rows.into_iter());
    }
    Ok(())
}

fn way(page: &mut String) {
    let _ = write!(page, "<div class=\"way\">\n<figure>{}</figure>\n", picture::svg());
    let steps = [
        "Entries are read from `models.json` and `scripts/*/models.json`; tags and names select among them.",
        "`mad validate` asks of each whether it would run and report a number. It runs nothing.",
        "The plan says what runs here, and why the rest does not, with the command for elsewhere (`--plan`).",
        "A lease keeps two executions from sharing a GPU, or the CPU, across processes and users.",
        "The engine (host, container, Slurm, madengine) runs the script in a private copy. What it started dies with it.",
        "Log and CSV become numbers, or one failure that says why there are none.",
        "Records are written once. Rows are appended to `perf.csv`.",
        "The numbers are judged against `baselines/`. What looks slower is measured again before it is called slower.",
        "`mad profile` goes this way once with a profiler attached; that number never counts.",
        "`cargo test --test models` goes the same way: three cases for each entry.",
    ];
    list(page, "ol", &steps);
    page.push_str("</div>\n");
}

fn environment(page: &mut String, command: &Command) {
    page.push_str("<h3>Forms of options</h3>\n");
    let rows = with_variables(command).into_iter().map(|flag| {
        let option = flag.forms.first().map(|f| typed(f)).unwrap_or_default();
        vec![code(&flag.variable.unwrap_or_default()), option, prose(&flag.help)]
    });
    table(page, "options", &["variable", "option", "meaning"], rows);
    for (title, reader) in [
        ("Further variables of the harness", Reader::Harness),
        ("What a script sees", Reader::Script),
        ("What shipped scripts read", Reader::Shipped),
    ] {
        let _ = writeln!(page, "<h3>{title}</h3>");
        let rows = VARIABLES.iter().filter(|v| v.reader == reader).map(|v| {
            let names: Vec<String> = v.names.split(", ").map(code).collect();
            vec![names.join(", "), prose(v.meaning)]
        });
        table(page, "variables", &["variable", "meaning"], rows);
    }
}

fn commands(page: &mut String, command: &Command) {
    let all = Described::all(command);
    page.push_str("<p>");
    for described in &all[1..] {
        let _ = write!(
            page,
            "<a href=\"#{}\">{}</a> ",
            anchor(&described.name),
            short(&described.name)
        );
    }
    page.push_str("</p>\n<h3 id=\"every\">Options of every command</h3>\n");
    options(page, &all[0].flags);
    page.push_str("<h3 id=\"runs\">Options of everything that runs entries</h3>\n");
    options(page, &Described::of_runs());
    for described in &all[1..] {
        let _ = writeln!(
            page,
            "<h3 id=\"{}\">{}</h3>\n<p>{}. {}</p>",
            anchor(&described.name),
            escape(&described.name),
            prose(&described.about),
            typed(&described.usage)
        );
        if !described.flags.is_empty() {
            options(page, &described.flags);
        }
        if described.runs {
            page.push_str(
                "<p>And the <a href=\"#runs\">options of everything that runs entries</a>.</p>\n",
            );
        }
        for block in &described.after {
            match block {
                Block::Prose(text) => {
                    let _ = writeln!(page, "<p>{}</p>", prose(text));
                }
                Block::Listing { title, lines } => {
                    if !title.is_empty() && title != "Examples" {
                        let _ = writeln!(page, "<p>{}:</p>", prose(title));
                    }
                    let _ = writeln!(page, "<pre>{}</pre>", escape(&lines.join("\n")));
                }
            }
        }
    }
}

fn options(page: &mut String, flags: &[Flag]) {
    let rows = flags.iter().map(|flag| {
        let forms: Vec<String> = flag.forms.iter().map(|f| typed(f)).collect();
        let variable = flag.variable.as_deref().map(code).unwrap_or_default();
        vec![forms.join(", "), variable, prose(&flag.meaning())]
    });
    table(page, "options", &["option", "environment", "meaning"], rows);
}

fn anchor(name: &str) -> String {
    name.replace(' ', "-")
}

fn short(name: &str) -> String {
    escape(name.strip_prefix("mad ").unwrap_or(name))
}

/// Cells are HTML.
fn table(page: &mut String, class: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(page, "<table class=\"{class}\">\n<thead><tr>");
    for head in heads {
        let _ = write!(page, "<th>{}</th>", escape(head));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{cell}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n");
}

fn list(page: &mut String, kind: &str, items: &[&str]) {
    let _ = writeln!(page, "<{kind}>");
    for item in items {
        let _ = writeln!(page, "<li>{}</li>", prose(item));
    }
    let _ = writeln!(page, "</{kind}>");
}

/// A command, which breaks between words only, unless one is very long.
fn typed(command: &str) -> String {
    let word = |word: &str| match word.len() < 40 {
        true => format!("<span>{}</span>", escape(word)),
        false => escape(word),
    };
    format!("<code>{}</code>", command.split(' ').map(word).collect::<Vec<_>>().join(" "))
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Text in which only backticks mean something, as HTML.
fn prose(text: &str) -> String {
    let part = |(n, part): (usize, &str)| if n % 2 == 1 { code(part) } else { escape(part) };
    text.split('`').enumerate().map(part).collect()
}
