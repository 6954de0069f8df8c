//! `mad agents install`, and what it installs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::{Fixture, check, shipped_for_agents};
use regex::Regex;
use serde_json::{Value, json};

const COMMAND: &str = ".claude/commands/mad-benchmark.md";
const SETTINGS: &str = ".claude/settings.json";

fn installed(fixture: &Fixture, path: &str) -> String {
    fs::read_to_string(fixture.root().join(path)).unwrap()
}

fn settings(fixture: &Fixture) -> Value {
    serde_json::from_str(&installed(fixture, SETTINGS)).unwrap()
}

/// What `mad agents install` makes of each file, as JSON.
fn states(fixture: &Fixture, args: &[&str], exit: i32) -> Value {
    let args = [&["--json", "agents", "install"], args].concat();
    serde_json::from_str(&fixture.mad(&args).run().exits(exit).stdout).unwrap()
}

fn all_are(states: &Value, state: &str) -> bool {
    let files = states["files"].as_array().unwrap();
    files.len() > 8 && files.iter().all(|f| f["state"] == state)
}

#[test]
fn everything_is_installed_once() {
    let fixture = Fixture::empty();
    let shown = fixture.mad(&["agents", "install", "--dry-run"]).run().exits(0);
    assert!(shown.stdout.contains(COMMAND), "{}", shown.stdout);
    assert!(!fixture.root().join(".claude").exists(), "--dry-run writes nothing");

    let first = states(&fixture, &[], 0);
    assert!(all_are(&first, "new") && first["written"] == true, "{first}");
    let text = installed(&fixture, COMMAND);
    assert!(text.starts_with("---\ndescription: "), "{text}");
    assert!(text.contains("$ARGUMENTS"), "{text}");
    let again = states(&fixture, &[], 0);
    assert!(all_are(&again, "unchanged"), "{again}");
}

#[test]
fn a_catalog_below_the_project_is_named_relative_to_it() {
    let fixture = Fixture::empty();
    let project = fixture.path("");
    fixture.mad(&["agents", "install", "--into", project.to_str().unwrap()]).run().exits(0);
    assert!(fixture.path(COMMAND).is_file());
    // Which there is only in a build that has the server.
    if let Ok(servers) = fs::read_to_string(fixture.path(".mcp.json")) {
        let servers: Value = serde_json::from_str(&servers).unwrap();
        assert_eq!(servers["mcpServers"]["mad"]["args"], json!(["mcp", "--root", "catalog"]));
    }
}

#[test]
fn what_was_edited_stays() {
    let fixture = Fixture::empty();
    states(&fixture, &[], 0);
    let path = fixture.root().join(COMMAND);
    let shipped = installed(&fixture, COMMAND);
    let edited = shipped.replace("$ARGUMENTS", "everything");
    fs::write(&path, &edited).unwrap();
    // Another file that would be written, were it not for the edited one.
    fs::remove_file(fixture.root().join(".claude/agents/perf-analyst.md")).unwrap();

    let refused = fixture.mad(&["agents", "install"]).run().exits(1);
    assert!(refused.stderr.contains(COMMAND) && refused.stderr.contains("--force"));
    assert_eq!(installed(&fixture, COMMAND), edited);
    assert!(!fixture.root().join(".claude/agents/perf-analyst.md").exists(), "all or nothing");

    states(&fixture, &["--force"], 0);
    assert_eq!(installed(&fixture, COMMAND), shipped);
    assert!(all_are(&states(&fixture, &[], 0), "unchanged"));
}

#[test]
fn what_another_version_installed_is_updated() {
    let fixture = Fixture::empty();
    states(&fixture, &[], 0);
    let shipped = installed(&fixture, COMMAND);
    // As this version would have marked another text: the first bytes of its SHA-256.
    let other =
        "no longer what it was\n\n<!-- installed by mad agents install: 0f6d8e5f6f0a4ff4 -->\n";
    fs::write(fixture.root().join(COMMAND), other).unwrap();
    fixture.mad(&["agents", "install"]).run().exits(1);
    let digest = "39991ec73e8b048a";
    let other = other.replace("0f6d8e5f6f0a4ff4", digest);
    fs::write(fixture.root().join(COMMAND), other).unwrap();
    let states = states(&fixture, &[], 0);
    let updated = json!({ "path": COMMAND, "state": "updated" });
    assert!(states["files"].as_array().unwrap().contains(&updated), "{states}");
    assert_eq!(installed(&fixture, COMMAND), shipped);
}

#[test]
fn settings_keep_what_they_have() {
    let fixture = Fixture::empty();
    let own = json!({ "model": "small", "permissions": { "allow": ["Bash(ls)"], "ask": [] } });
    fixture.write(SETTINGS, own.to_string());
    states(&fixture, &[], 0);
    let after = settings(&fixture);
    assert_eq!(after["model"], "small");
    let allow = after["permissions"]["allow"].as_array().unwrap();
    assert_eq!(allow[0], "Bash(ls)");
    assert!(allow.contains(&json!("mcp__mad__discover")), "{after}");
    check(|| insta::assert_json_snapshot!("settings", after));
}

#[test]
fn bad_input() {
    let fixture = Fixture::empty();
    for (text, says) in [
        ("{", "is no JSON"),
        (r#"{"permissions": 3}"#, "`permissions`: it is 3"),
        (r#"{"permissions": {"allow": "all"}}"#, "`allow`: it is \"all\""),
    ] {
        fixture.write(SETTINGS, text);
        let failed = fixture.mad(&["agents", "install"]).run().exits(4);
        assert!(failed.stderr.contains(says), "{}", failed.stderr);
        assert_eq!(installed(&fixture, SETTINGS), text);
        assert!(!fixture.root().join(COMMAND).exists(), "{text}");
    }
    let nowhere = fixture.mad(&["agents", "install", "--into", "nowhere"]).run().exits(4);
    assert!(nowhere.stderr.contains("there is no nowhere"), "{}", nowhere.stderr);

    let fixture = Fixture::empty();
    fs::write(fixture.root().join(".claude"), "a file").unwrap();
    let failed = fixture.mad(&["agents", "install"]).run().exits(4);
    assert!(failed.stderr.contains(".claude"), "{}", failed.stderr);
    assert_eq!(installed(&fixture, ".claude"), "a file");
}

#[test]
fn a_tree_that_is_read_only_is_left_alone() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root may write everywhere");
        return;
    }
    let fixture = Fixture::empty();
    fs::set_permissions(fixture.root(), fs::Permissions::from_mode(0o555)).unwrap();
    let failed = fixture.mad(&["agents", "install"]).run().exits(4);
    fs::set_permissions(fixture.root(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(failed.stderr.contains("nothing was written"), "{}", failed.stderr);
}

/// The words behind each `mad` in code of a text, or in a permission.
fn mentioned(text: &str) -> Vec<String> {
    let code = Regex::new(r"`mad ([^`]+)`|Bash\(mad ([^):]+)").unwrap();
    let one = |c: regex::Captures<'_>| c.get(1).or(c.get(2)).unwrap().as_str().to_owned();
    code.captures_iter(text).map(one).collect()
}

#[test]
fn every_command_that_they_mention_exists() {
    let fixture = Fixture::empty();
    let mut looked_at = 0;
    for (path, text) in shipped_for_agents() {
        for line in mentioned(&text) {
            let words: Vec<&str> = line.split_whitespace().collect();
            // Commands of commands, too; then come arguments.
            let is_command = |w: &&&str| w.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let mut command: Vec<&str> = words.iter().take_while(is_command).copied().collect();
            command.retain(|word| !word.starts_with('-'));
            command.push("--help");
            let help = fixture.mad(&command).run();
            let place = path.display();
            assert_eq!(help.status, 0, "{place}: `mad {line}`: {}", help.stderr);
            for flag in words.iter().filter(|w| w.starts_with("--")) {
                let known = Regex::new(&format!(r"(^|[ ,]){}\b", regex::escape(flag))).unwrap();
                let found = help.stdout.lines().any(|l| known.is_match(l));
                assert!(found, "{place}: `mad {line}`: no such flag");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 15, "{looked_at}");
}

#[test]
fn roles_that_read_have_no_tool_that_does_more() {
    let analyst = shipped_for_agents().into_iter().find(|(p, _)| p.ends_with("perf-analyst.md"));
    let (_, text): (PathBuf, String) = analyst.unwrap();
    let tools = text.lines().find_map(|l| l.strip_prefix("tools: ")).unwrap();
    let reads = ["discover", "diagnose", "report", "history", "validate"];
    for tool in tools.split(", ") {
        let ours = tool.strip_prefix("mcp__mad__").is_some_and(|t| reads.contains(&t));
        assert!(ours || ["Read", "Grep", "Glob"].contains(&tool), "{tool}");
    }
    // And no permission is a wildcard over commands that do something.
    let (_, permissions) =
        shipped_for_agents().into_iter().find(|(p, _)| p.ends_with("permissions.json")).unwrap();
    let permissions: Value = serde_json::from_str(&permissions).unwrap();
    for allowed in permissions["permissions"]["allow"].as_array().unwrap() {
        assert!(!allowed.as_str().unwrap().contains('*'), "{allowed}");
    }
}
