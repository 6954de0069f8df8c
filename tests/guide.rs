//! The guide: pages that are made from the code, links, the book, and `mad howto`.
//!
//! `MAD_UPDATE=1 cargo test --test guide` makes the pages anew.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{Fixture, browse};
use mad_harness::cli::{Exit, command};
use mad_harness::guide::{Block, Described, Reader, VARIABLES, WISHES, reference};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The guide, with its pages of reference as the code has them where that is asked for: no test
/// looks at it before.
fn docs() -> &'static Path {
    static DOCS: LazyLock<PathBuf> = LazyLock::new(|| {
        let docs = root().join("docs");
        if std::env::var_os("MAD_UPDATE").is_some() {
            for page in reference(&command()).expect("the pages") {
                fs::write(docs.join(page.file), &page.text).expect("written");
            }
        }
        docs
    });
    &DOCS
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Pages of Markdown in a directory, by name.
fn pages(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut pages: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    pages.retain(|p| p.extension().is_some_and(|e| e == "md"));
    pages.sort();
    pages
}

#[test]
fn pages_of_reference_are_those_of_the_code() {
    for page in reference(&command()).expect("the pages") {
        let found = fs::read_to_string(docs().join(page.file)).unwrap_or_default();
        assert!(
            found == page.text,
            "docs/{} is not what the code says; run MAD_UPDATE=1 cargo test --test guide",
            page.file
        );
    }
}

/// A page of Markdown: where its links lead, and what may be linked to in it.
#[derive(Default)]
struct Markdown {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

fn markdown(text: &str) -> Markdown {
    let mut page = Markdown::default();
    let mut heading: Option<String> = None;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) => page.links.push(dest_url.into_string()),
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = slug(&heading.take().unwrap_or_default());
                let count = seen.entry(anchor.clone()).or_default();
                page.anchors.insert(match *count {
                    0 => anchor,
                    n => format!("{anchor}-{n}"),
                });
                *count += 1;
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let ids = html.split("id=\"").skip(1).filter_map(|rest| rest.split('"').next());
                page.anchors.extend(ids.map(str::to_owned));
            }
            _ => {}
        }
    }
    page
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn links_and_anchors_lead_somewhere() {
    let further = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "baselines/README.md"];
    let mut all = pages(docs());
    all.extend(further.map(|name| root().join(name)));
    let read: BTreeMap<PathBuf, Markdown> =
        all.iter().map(|path| (path.clone(), markdown(&text(path)))).collect();
    let mut wrong = Vec::new();
    for (path, page) in &read {
        for link in page.links.iter().filter(|l| !l.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a directory").join(file),
            };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{}: {link}: no such file", path.display()));
                continue;
            };
            // mdBook makes each link to Markdown one to a page of the book, and README.md its index.
            let inside = path.starts_with(docs());
            let page = target.extension().is_some_and(|e| e == "md");
            let in_book = target.parent() == path.parent() && !target.ends_with("README.md");
            let summary = path.ends_with("SUMMARY.md");
            if inside && page && !in_book && !summary {
                wrong.push(format!("{}: {link}: not a page of the book", path.display()));
            }
            let known = read.get(&target).is_none_or(|p| p.anchors.contains(anchor));
            if !anchor.is_empty() && !known {
                wrong.push(format!("{}: {link}: no such heading", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// mdBook shows what SUMMARY.md lists, and nothing else.
#[test]
fn every_page_is_in_the_book_once() {
    let mut listed = markdown(&text(&docs().join("SUMMARY.md"))).links;
    listed.sort();
    let there = pages(docs()).into_iter().map(|p| p.file_name().expect("a name").to_owned());
    let there: Vec<String> =
        there.map(|n| n.to_string_lossy().into_owned()).filter(|n| n != "SUMMARY.md").collect();
    assert_eq!(listed, there);
}

#[test]
fn every_page_has_one_title() {
    for path in pages(docs()) {
        let text = text(&path);
        let titles = Parser::new(&text).filter(|event| {
            matches!(event, Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }))
        });
        let titles = titles.count();
        let summary = path.ends_with("SUMMARY.md");
        assert!(titles == 1 || summary, "{} has {titles} titles", path.display());
    }
}

/// What the README says of exit statuses is what the code says.
#[test]
fn the_readme_has_the_exit_statuses() {
    let readme = text(&root().join("README.md"));
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(readme.contains(&row), "README.md lacks {row}");
    }
}

/// Each `mad …` that `--help` shows as an example is one that `mad` understands.
#[test]
fn examples_of_the_help_are_understood() {
    let mut seen = 0;
    for described in Described::all(&command()) {
        for block in &described.after {
            let Block::Listing { lines, .. } = block else { continue };
            for line in lines {
                // Behind two blanks begins what is said about it.
                let typed = line.split("  ").next().unwrap_or_default();
                seen += usize::from(typed.starts_with("mad "));
                understood(typed);
            }
        }
    }
    assert!(seen > 50, "only {seen} examples found");
}

#[test]
fn wishes_are_understood_and_have_a_page() {
    for wish in WISHES {
        understood(wish.command);
        assert!(docs().join(wish.page).exists(), "no page {}", wish.page);
    }
}

/// Each `mad …` of the pages that is not run by tests/docs.rs is one that `mad` understands.
#[test]
fn commands_of_the_pages_are_understood() {
    let mut seen = 0;
    for path in pages(docs()).into_iter().chain([root().join("README.md")]) {
        let mut shell = false;
        for event in Parser::new(&text(&path)) {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    shell = matches!(kind, CodeBlockKind::Fenced(info) if &*info == "sh");
                }
                Event::End(TagEnd::CodeBlock) => shell = false,
                Event::Text(lines) if shell => {
                    let whole = lines.replace("\\\n", " ");
                    for line in whole.lines().filter(|l| l.trim_start().starts_with("mad ")) {
                        let typed = line.split(" #").next().unwrap_or_default();
                        seen += 1;
                        understood(typed);
                    }
                }
                _ => {}
            }
        }
    }
    assert!(seen > 30, "only {seen} commands found");
}

/// Asks the command line about each `mad …` of a line of the shell.
fn understood(line: &str) {
    let words = shell_words::split(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    // `;` and the parenthesis of `<(mad …)` stand at a word.
    let spaced = words.iter().flat_map(|word| match word.strip_suffix([';', ')']) {
        Some(word) => vec![word, ";"],
        None => vec![word.as_str()],
    });
    let spaced: Vec<&str> = spaced.map(|word| word.trim_start_matches("<(")).collect();
    for words in spaced.split(|word| ["|", "&&", ">", ">>", ";"].contains(word)) {
        let before = |word: &&&str| word.contains('=') || ["do", "source"].contains(*word);
        let words: Vec<&&str> = words.iter().skip_while(before).collect();
        if words.first().is_some_and(|word| **word == "mad") {
            let found = command().try_get_matches_from(words);
            assert!(found.is_ok(), "{line}: {}", found.expect_err("just seen"));
        }
    }
}

/// What a script sees of ours is described, and what `src/` reads of the environment.
#[test]
fn every_variable_is_described() {
    let page = text(&docs().join("environment.md"));
    let described = |name: &str| page.contains(&format!("`{name}`"));
    let fixture = Fixture::with("a", "env; echo 'performance: 1 x/s'");
    fixture.mad(&["benchmark", "a"]).run().exits(0);
    let log = fixture.log("a");
    let names = log.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let ours: Vec<&str> = names.filter(|n| n.starts_with("MAD_")).collect();
    assert!(ours.contains(&"MAD_MODEL_NAME"), "{log}");
    for name in ours {
        assert!(described(name), "docs/environment.md lacks {name}");
    }
    // Keys of the context, what tests set, and what `mad` tells the git that it starts.
    let inner = ["MAD_CONTAINER_IMAGE", "MAD_UPDATE", "MAD_GIT_USERNAME", "MAD_GIT_PASSWORD"];
    for file in sources(&root().join("src")) {
        for quoted in text(&file).split('"').skip(1).step_by(2) {
            let name = quoted.strip_prefix("MAD_").filter(|rest| {
                !rest.is_empty() && rest.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            });
            let known = described(quoted) || inner.contains(&quoted) || quoted.ends_with('_');
            assert!(
                name.is_none() || known || quoted.starts_with("MAD_SECRET"),
                "docs/environment.md lacks {quoted}, which {} has",
                file.display()
            );
        }
    }
    assert!(VARIABLES.iter().any(|v| v.reader == Reader::Script));
}

/// The sources of the program, without those of its tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|e| e.expect("an entry").path());
    let found = paths.flat_map(|path| match path.is_dir() {
        true if path.ends_with("tests") => Vec::new(),
        true => sources(&path),
        false => vec![path],
    });
    let program =
        |p: &PathBuf| p.extension().is_some_and(|e| e == "rs") && !p.ends_with("tests.rs");
    found.filter(program).collect()
}

fn howto() -> String {
    let fixture = Fixture::empty();
    let page = fixture.mad(&["howto"]).run().exits(0).stdout;
    let said = fixture.mad(&["howto", "-o", "page.html"]).run().exits(0).stdout;
    assert_eq!(said, "written to page.html\n");
    assert_eq!(fixture.text("page.html"), page);
    page
}

/// Every element ends, attributes are quoted, and no entity is unknown.
#[test]
fn the_page_is_well_formed() {
    let page = howto();
    let mut reader = quick_xml::Reader::from_str(&page);
    reader.config_mut().check_end_names = true;
    let mut elements = 0;
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => break,
            Ok(quick_xml::events::Event::Start(element)) => {
                elements += 1;
                for attribute in element.attributes() {
                    attribute.unwrap_or_else(|e| panic!("{element:?}: {e}"));
                }
            }
            Ok(_) => {}
            Err(e) => panic!("at byte {}: {e}", reader.error_position()),
        }
    }
    assert!(elements > 500, "only {elements} elements");
}

/// Links lead to something in the page, and nothing comes from elsewhere.
#[test]
fn the_page_needs_nothing_else() {
    let page = howto();
    let values = |name: &str| -> Vec<&str> {
        let begin = format!(" {name}=\"");
        page.split(begin.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    };
    let ids = values("id");
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "an id twice");
    for link in values("href") {
        let inside = link.strip_prefix('#').is_some_and(|id| unique.contains(id));
        assert!(inside || link == "data:,", "{link}");
    }
    assert_eq!(values("src"), [""; 0]);
    assert!(!page.contains("<script") && !page.contains("@import"));
    for described in Described::all(&command()).iter().skip(1) {
        assert!(unique.contains(described.name.replace(' ', "-").as_str()), "{}", described.name);
    }
}

/// What does not follow from the command line or a catalog of levers.
#[test]
fn the_page_says() {
    let page = howto();
    let mut said = String::new();
    for section in page.split("<section>").skip(1) {
        let stable = ["want", "contract", "exit", "tips", "way"];
        if stable.iter().any(|id| section.contains(&format!("<h2 id=\"{id}\">"))) {
            said += section.split("</section>").next().unwrap_or_default();
        }
    }
    let cells = said.replace("</td><td>", " | ").replace("</th><th>", " | ");
    let cells = cells.replace("</text>", " ");
    let tags = regex::Regex::new("<[^>]*>").expect("an expression");
    let lines =
        tags.replace_all(&cells, "").lines().map(str::trim).map(str::to_owned).fold(
            String::new(),
            |all, line| if line.is_empty() { all } else { all + &line + "\n" },
        );
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&quot;", "\""), ("&amp;", "&")];
    let plain = entities.iter().fold(lines, |all, (entity, c)| all.replace(entity, c));
    insta::assert_snapshot!(plain);
}

#[test]
fn the_page_fits_wide_and_narrow_windows() {
    let fixture = Fixture::empty();
    fixture.mad(&["howto", "-o", "page.html"]).run().exits(0);
    for width in [1280, 390] {
        let Some(saw) = browse(
            &fixture.path("page.html"),
            width,
            "",
            r#"
            const root = page().documentElement;
            saw.beyond = all("body *").filter(e => e.getBoundingClientRect().right > root.clientWidth + 1)
                .map(e => e.outerHTML.slice(0, 80));
            saw.wider = root.scrollWidth - root.clientWidth;
            saw.title = page().title;
            "#,
        ) else {
            return;
        };
        assert_eq!(saw["title"], "mad: how to");
        assert_eq!(saw["beyond"], serde_json::json!([]), "{width}");
        assert_eq!(saw["wider"], 0, "{width}");
    }
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let fixture = Fixture::empty();
    let ran = fixture.mad(&["howto", "-o", "no/such/page.html"]).run().exits(4);
    ran.says(&["no/such/page.html"]);
}
