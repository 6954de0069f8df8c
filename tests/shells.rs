//! Completions in real shells, manual pages, and the help of every command.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::Fixture;
use serde_json::json;

/// Whether `program` is there; where it must be, it is an error that it is not.
fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    let required = std::env::var_os("MAD_TESTS_REQUIRE_SHELLS").is_some();
    assert!(found || !required, "MAD_TESTS_REQUIRE_SHELLS: there is no {program}");
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

fn catalog() -> Fixture {
    let fixture = Fixture::empty()
        .entry("rust_gemm", "echo performance: 1 x/s", json!({ "tags": ["cpu", "quick"] }))
        .entry("pyt_vllm_qwen3-8b", "echo performance: 1 x/s", json!({ "tags": ["pyt"] }));
    // Would be seen: programs are not run while somebody types.
    fixture.write("scripts/p/get_models_json.py", "open('was-run', 'w')\n");
    fixture
}

/// Runs `script` in a shell that finds `mad`, in the catalog's directory.
fn shell(fixture: &Fixture, command: &[&str], script: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_mad")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let done = Command::new(command[0])
        .args(&command[1..])
        .arg(script)
        .current_dir(fixture.root())
        .env("PATH", path)
        .env("HOME", fixture.path(""))
        .env("TERM", "dumb")
        .env_remove("MAD_ROOT")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(!fixture.root().join("was-run").exists());
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn bash_completes() {
    let fixture = catalog();
    let complete = |line: &str| {
        let script = format!(
            "source <(mad completions bash)\n\
             COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9\n\
             _clap_complete_mad mad \"${{COMP_WORDS[COMP_CWORD]}}\" ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        shell(&fixture, &["bash", "-c"], &script)
    };
    assert_eq!(complete("mad add"), "add-model\n");
    assert_eq!(complete("mad benchmark rust_"), "rust_gemm\n");
    assert_eq!(complete("mad benchmark --tags quick,py"), "quick,pyt_vllm_qwen3-8b\nquick,pyt\n");
    assert_eq!(complete("mad validate --format sa"), "sarif\n");
    assert_eq!(complete("mad baseline show py"), "pyt_vllm_qwen3-8b\n");
    assert_eq!(complete("mad add-model x --from ru"), "rust_gemm\n");
    assert_eq!(complete("mad --root /nonexistent benchmark ru"), "\n");
    fixture.write("models.json", "[{");
    assert_eq!(complete("mad benchmark ru"), "\n", "a broken catalog completes nothing");
}

#[test]
fn zsh_completes() {
    if !there("zsh") {
        return;
    }
    let fixture = catalog();
    // What a key would start needs a terminal; what the function offers does not.
    let script = "autoload -Uz compinit; compinit -u -D\n\
                  source <(mad completions zsh)\n\
                  print -r -- \"registered ${_comps[mad]}\"\n\
                  _describe() { print -rl -- \"${completions[@]}\" \"${(@P)4}\" }\n\
                  compadd() { : }\n\
                  words=(mad benchmark rust_); CURRENT=3\n\
                  _clap_dynamic_completer_mad";
    let said = shell(&fixture, &["zsh", "-f", "-c"], script);
    assert!(said.starts_with("registered _clap_dynamic_completer_mad\n"), "{said}");
    assert!(said.contains("rust_gemm:entry"), "{said}");
    assert!(!said.contains("pyt"), "{said}");
}

#[test]
fn fish_completes() {
    if !there("fish") {
        return;
    }
    let fixture = catalog();
    let complete = |line: &str| {
        let script = format!("mad completions fish | source; complete -C '{line}'");
        shell(&fixture, &["fish", "--no-config", "-c"], &script)
    };
    assert_eq!(complete("mad benchmark rust_"), "rust_gemm\tentry: cpu quick\n");
    assert!(complete("mad val").starts_with("validate\t"));
    assert_eq!(complete("mad benchmark qui"), "quick\ttag\n");
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    let lines = lines.take_while(|l| !l.is_empty());
    // Longer descriptions go on in lines that are indented more.
    let first = lines.filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    let words = first.filter_map(|l| l.split_whitespace().next());
    words.filter(|w| *w != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_help_with_examples_and_a_page() {
    let fixture = Fixture::empty();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let mut pages = Vec::new();
    while let Some(command) = open.pop() {
        let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
        args.push("--help");
        let help = fixture.mad(&args).run().exits(0).stdout;
        assert!(help.contains("Examples:\n"), "mad {} has no example", args.join(" "));
        for example in help.lines().skip_while(|l| *l != "Examples:").skip(1) {
            let width = example.chars().count();
            assert!(width <= 100, "{width} columns: {example}");
        }
        pages.push([&["mad".to_owned()], command.as_slice()].concat().join("-") + ".1");
        open.extend(listed(&help).into_iter().map(|c| [command.clone(), vec![c]].concat()));
    }
    assert!(pages.len() > 15, "{pages:?}");

    let man = fixture.path("man/man1");
    let said = fixture.mad(&["man", man.to_str().unwrap()]).run().exits(0).stdout;
    assert!(said.starts_with(&format!("{} pages in ", pages.len())), "{said}");
    for page in &pages {
        let text = fs::read_to_string(man.join(page)).unwrap_or_else(|e| panic!("{page}: {e}"));
        assert!(text.contains("Examples:"), "{page}");
        assert!(
            !text.contains(fixture.root().to_str().unwrap()),
            "{page} has values of this machine"
        );
    }
    if there("mandoc") {
        let checked = Command::new("mandoc")
            .args(["-T", "lint", "-W", "error"])
            .args(pages.iter().map(|p| man.join(p)))
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
    fixture.mad(&["man", "/proc/nowhere"]).run().exits(4).says(&["cannot make the directory"]);
}

#[test]
fn help_fits_a_narrow_terminal() {
    let fixture = Fixture::empty();
    let commands = listed(&fixture.mad(&["--help"]).run().exits(0).stdout);
    for command in commands.iter().map(String::as_str).chain([""]) {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let mad = fixture.mad(&args).env("TERM", "xterm").env("NO_COLOR", "1");
        let Some(shown) = fixture.in_terminal(40, mad, &[]) else { return };
        assert_eq!(shown.status, 0, "{}", shown.all());
        assert!(!shown.all().contains('\u{1b}'), "{:?}", shown.all());
        for line in shown.all().lines() {
            // An option with its value, and a single word, are in one piece: to be copied.
            let whole = line.trim_start().starts_with('-')
                || line.starts_with("Usage:")
                || line.split_whitespace().count() <= 1;
            assert!(line.trim_end().chars().count() <= 40 || whole, "mad {command}: {line}");
        }
    }
}

#[test]
fn tables_have_names_in_full() {
    let name = "pyt_vllm_a-very-long-name-of-a-model-of-70b-instruct";
    let fixture = Fixture::with(name, "echo performance: 1 x/s");
    fixture.mad(&["benchmark"]).run().exits(0);
    for args in [
        &["discover"] as &[&str],
        &["benchmark"],
        &["report", "latest"],
        &["sweep", name, "--axis", "docker_env_vars.X=1,2"],
        &["history"],
        &["baseline", "accept", "--force", "--why", "a test"],
        &["baseline", "list"],
        &["compare", name, "--base-context", "{}"],
    ] {
        let mad = fixture.mad(args).env("TERM", "xterm").env("COLUMNS", "40");
        let Some(shown) = fixture.in_terminal(40, mad, &[]) else { return };
        let printed = shown.all().lines().filter(|l| !l.contains('\u{1b}'));
        let named = printed.filter(|l| l.contains(name)).count();
        assert!(named > 0, "mad {}: {}", args.join(" "), shown.all());
    }
}
