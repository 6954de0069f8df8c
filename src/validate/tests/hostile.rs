//! Whatever is in the files: an answer, soon.

use proptest::prelude::*;

use super::Tree;

#[test]
fn deep_nesting_is_refused_and_not_recursed_into() {
    let scripts = [
        "(".repeat(50_000),
        "$(".repeat(50_000),
        "if true; then\n".repeat(50_000),
        "{ ".repeat(50_000),
        "`".repeat(5_001),
        "${a:-".repeat(5_000),
        "\"$(".repeat(5_000),
        "((".repeat(30_000),
        "case x in x) ".repeat(5_000),
        "a && ".repeat(20_000) + "b",
        "x | ".repeat(20_000) + "y",
        "f() { g; }; g() { f; }; f".to_owned(),
        "X=$X$X; ".repeat(2_000),
        "[[ ".to_owned() + &"! ".repeat(5_000),
        "echo ".to_owned() + &"{a,b}".repeat(20),
        "while ".repeat(40),
        "( ".repeat(30) + "echo a" + &" )".repeat(30),
        "$( ".repeat(25) + "echo a" + &" )".repeat(25),
        "for i in 1 2 3 4 5 6 7 8; do ".repeat(12) + "echo a; " + &"done;".repeat(12),
    ];
    for script in &scripts {
        Tree::entry("", &[("s/run.sh", script)]).check();
    }
    for program in
        ["(", "-", "[1,", "lambda: ", "a.", "1+", "f(", "not ", "{1:", "if x:\n", "x if y else "]
    {
        let program = format!("x = {}", program.repeat(50_000));
        Tree::entry("\"scripts\": \"a.py\"", &[("a.py", &program)]).check();
    }
}

#[test]
fn large_files_are_not_read() {
    let large = "#".repeat(9 << 20);
    assert_eq!(Tree::entry("", &[("s/run.sh", &large)]).ids(), ["MAD025"]);
}

/// Text that looks a little like a shell script.
fn shellish() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "echo ",
        "performance: ",
        "$x",
        "${y:-z}",
        "$(",
        ")",
        "`",
        "\"",
        "'",
        "if ",
        "then ",
        "fi\n",
        "for i in ",
        "do ",
        "done\n",
        "|",
        "&&",
        ";",
        "\n",
        "<<EOF\n",
        "EOF\n",
        "> f ",
        "cat f ",
        "f() {",
        "}",
        "case x in ",
        "esac ",
        "bash -c ",
        "python3 - ",
        "eval ",
        "\\",
        "#",
        "[[ ",
        "]]",
        "((",
        "))",
        "A=(",
        "${A[@]}",
        "é",
        "\r\n",
        "2>&1 ",
        "%s",
        "awk '{print \"",
        "sed s/a/b/ ",
    ]);
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_script(bytes in prop::collection::vec(any::<u8>(), 0..200), text in shellish()) {
        let json: &[u8] = br#"[{"name": "a", "scripts": "a.sh"}, {"name": "b", "scripts": "b.sh"},
            {"name": "c", "scripts": "c.py"}, {"name": "d", "scripts": "b.sh", "dockerfile": "d"}]"#;
        Tree::new(&[("models.json", json), ("a.sh", &bytes), ("b.sh", text.as_bytes()),
            ("c.py", text.as_bytes()), ("d.Dockerfile", &bytes)]).check();
    }

    #[test]
    fn any_arguments(args in "\\PC*", name in "\\PC+", arch in "\\PC*", csv in "\\PC*") {
        let json = serde_json::json!([{ "name": name, "scripts": "a.sh", "args": args,
            "skip_gpu_arch": arch, "multiple_results": csv, "dockerfile": args, "data": arch }]);
        Tree::new(&[("models.json", json.to_string().as_bytes()), ("a.sh", b"echo > $OUT")]).check();
    }
}
