use proptest::prelude::*;

use super::*;

fn done(text: &str, format: Format, path: &str, value: &str) -> Replaced {
    replace(text, format, path, value).unwrap_or_else(|e| panic!("{path}: {e}\n{text}"))
}

#[test]
fn yaml_keeps_its_comments_kinds_and_quotes() {
    let text = "\
# Größe: ein Kommentar
base: &b {lr: 1e-3, 'on': yes}   # ½
model:
    name: 'it''s'  # old
    dtype:   bfloat16   # keep
    layers: 12
    empty:
    none: ~
    steps:
    - 1
    - \"two\"
train.batch: 8\r
";
    for (path, value, old, new) in [
        ("base.lr", "0.1", "lr: 1e-3", "lr: 0.1"),
        ("base.on", "no", "yes}", "no}"),
        ("model.name", "a'b", "'it''s'", "'a''b'"),
        ("model.dtype", "fp8", "bfloat16   #", "fp8   #"),
        ("model.dtype", "8", "bfloat16   #", "\"8\"   #"),
        ("model.dtype", "no", "bfloat16   #", "\"no\"   #"),
        ("model.dtype", "a: b # c", "bfloat16   #", "\"a: b # c\"   #"),
        ("model.layers", "24", "layers: 12", "layers: 24"),
        ("model.empty", "24", "empty:", "empty: 24"),
        ("model.none", "fp8", "none: ~", "none: fp8"),
        ("model.steps.0", "7", "- 1", "- 7"),
        ("model.steps.1", "x", "\"two\"", "\"x\""),
        ("train.batch", "16", "batch: 8\r", "batch: 16\r"),
    ] {
        let replaced = done(text, Format::Yaml, path, value);
        assert_eq!(replaced.text, text.replacen(old, new, 1), "{path}");
    }
    let unfit = |path: &str, value: &str| replace(text, Format::Yaml, path, value).unwrap_err();
    insta::assert_snapshot!(
        [
            unfit("model.layers", "many"),
            unfit("base.on", "1"),
            unfit("model", "1"),
            unfit("model.steps", "1"),
            unfit("model.layer", "1"),
            unfit("layers", "1"),
        ]
        .map(|e| e.to_string())
        .join("\n"),
        @r"
    it is the number 12, and `many` is none
    it is `true`, and `1` is not true or false
    `model` is a group of keys, not one value
    `model.steps` is a list, not one value
    no such path; the nearest: `model.layers`, `model.name`, `model.dtype`
    no such path; the nearest: `model.layers`, `model.name`, `base.lr`
    "
    );
}

#[test]
fn yaml_that_others_depend_on_is_refused() {
    let text = "a: &x 4\nb: *x\nc: |\n  lines\n  of text\nd: !!str 5\ne: 2024-01-01\n";
    assert!(replace(text, Format::Yaml, "a", "5").is_err(), "the alias would change");
    assert!(replace(text, Format::Yaml, "c", "x").is_err());
    assert_eq!(done(text, Format::Yaml, "b", "5").text, text.replacen("*x", "5", 1));
    assert_eq!(get(text, Format::Yaml, "a"), Ok("4".to_owned()));
    assert!(matches!(get("a: [", Format::Yaml, "a"), Err(Missing::Unreadable(_))));
    assert!(matches!(get("", Format::Yaml, "a"), Err(Missing::Absent(_))));
    assert!(matches!(get("a: 1\n---\na: 2\n", Format::Yaml, "a"), Err(Missing::Unreadable(_))));
}

#[test]
fn toml_and_json_keep_theirs() {
    let text = "# é\ntop = 1 # one\n[a]\nx.y = 'lit'\nlist = [1, 0x10]\n[[b]]\non = true\nday = 1979-05-27\n";
    for (path, value, old, new) in [
        ("top", "2", "top = 1 ", "top = 2 "),
        ("a.x.y", "C:\\", "'lit'", "'C:\\'"),
        ("a.x.y", "it's", "'lit'", "\"it's\""),
        ("a.list.1", "0x20", "0x10", "0x20"),
        ("b.0.on", "false", "on = true", "on = false"),
    ] {
        assert_eq!(done(text, Format::Toml, path, value).text, text.replacen(old, new, 1));
    }
    assert!(replace(text, Format::Toml, "b.0.day", "1980-01-01").is_err());
    assert!(replace(text, Format::Toml, "b.0.on", "True").is_err());
    let text = "\u{feff}{\n  \"a\": {\"b.c\": [1, \"x\"]},\r\n  \"n\": null, \"t\": true\n}\n";
    for (path, value, old, new) in [
        ("a.b.c.0", "-2.5", "[1,", "[-2.5,"),
        ("a.b.c.1", "q\"", "\"x\"", "\"q\\\"\""),
        ("n", "fp8", "null", "\"fp8\""),
        ("n", "8", "null", "8"),
        ("t", "false", "true", "false"),
    ] {
        assert_eq!(done(text, Format::Json, path, value).text, text.replacen(old, new, 1));
    }
}

/// A value and a new one of its kind, each as a text that is no syntax.
#[derive(Clone, Debug)]
enum Leaf {
    Number(u32, u32),
    Bool(bool, bool),
    Text(String, String, u8),
}

#[derive(Clone, Debug)]
enum Tree {
    Leaf(Leaf),
    List(Vec<Leaf>),
    Map(Vec<Leaf>),
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let text = || "[ -~é☃]{0,9}";
    prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Leaf::Number(a, b)),
        any::<(bool, bool)>().prop_map(|(a, b)| Leaf::Bool(a, b)),
        (text(), text(), 0u8..3).prop_map(|(a, b, quote)| Leaf::Text(a, b, quote)),
    ]
}

fn tree() -> impl Strategy<Value = Vec<Tree>> {
    let leaves = || prop::collection::vec(leaf(), 1..4);
    let node = prop_oneof![
        leaf().prop_map(Tree::Leaf),
        leaves().prop_map(Tree::List),
        leaves().prop_map(Tree::Map),
    ];
    prop::collection::vec(node, 1..5)
}

fn write_leaf(leaf: &Leaf, format: Format) -> String {
    let json = |text: &str| serde_json::Value::from(text).to_string();
    match (leaf, format) {
        (Leaf::Number(n, _), _) => n.to_string(),
        (Leaf::Bool(b, _), _) => b.to_string(),
        (Leaf::Text(text, _, 0), Format::Yaml) => format!("'{}'", text.replace('\'', "''")),
        (Leaf::Text(text, _, 0), Format::Toml) if !text.contains('\'') => format!("'{text}'"),
        (Leaf::Text(text, _, 1), Format::Yaml)
            if text.len() > 2 && text.chars().all(|c| c.is_ascii_alphabetic()) =>
        {
            text.clone()
        }
        (Leaf::Text(text, ..), _) => json(text),
    }
}

/// The text of `tree`, and the paths of its leaves.
fn write(trees: &[Tree], format: Format) -> (String, Vec<(String, Leaf)>) {
    let (mut text, mut tables, mut paths) = (String::new(), String::new(), Vec::new());
    if format == Format::Json {
        text.push('{');
    }
    for (i, node) in trees.iter().enumerate() {
        let key = format!("k{i}é");
        let written = match node {
            Tree::Leaf(leaf) => {
                paths.push((key.clone(), leaf.clone()));
                write_leaf(leaf, format)
            }
            Tree::List(items) => {
                let leaves = items.iter().enumerate();
                paths.extend(leaves.map(|(n, leaf)| (format!("{key}.{n}"), leaf.clone())));
                let items: Vec<String> = items.iter().map(|l| write_leaf(l, format)).collect();
                match format {
                    Format::Yaml => format!("\n- {} # ü", items.join("   # ☃\n- ")),
                    _ => format!("[ {} ]", items.join(" ,")),
                }
            }
            Tree::Map(items) => {
                let leaves = items.iter().enumerate();
                paths.extend(leaves.map(|(n, leaf)| (format!("{key}.m{n}"), leaf.clone())));
                let items = items.iter().enumerate().map(|(n, leaf)| match format {
                    Format::Yaml => format!("\n    m{n}:   {}", write_leaf(leaf, format)),
                    Format::Json => format!("\"m{n}\" :{}", write_leaf(leaf, format)),
                    Format::Toml => format!("m{n}= {} # ü\n", write_leaf(leaf, format)),
                });
                let items: Vec<String> = items.collect();
                match format {
                    Format::Yaml => items.concat(),
                    Format::Json => format!("{{{}}}", items.join(", ")),
                    Format::Toml => {
                        tables.push_str(&format!("[\"{key}\"]\n{}", items.concat()));
                        continue;
                    }
                }
            }
        };
        match format {
            Format::Json => {
                let comma = if i == 0 { "" } else { ",\n" };
                text.push_str(&format!("{comma} \"{key}\": {written}"));
            }
            Format::Toml => text.push_str(&format!("\"{key}\" = {written}   # é\n")),
            Format::Yaml => text.push_str(&format!("{key}: {written}\n\n# é\n")),
        }
    }
    text.push_str(&tables);
    if format == Format::Json {
        text.push('}');
    }
    (text, paths)
}

proptest! {
    #[test]
    fn one_value_changes_and_nothing_else(
        trees in tree(),
        which: prop::sample::Index,
        format in prop_oneof![Just(Format::Json), Just(Format::Toml), Just(Format::Yaml)],
    ) {
        let (text, paths) = write(&trees, format);
        let (path, leaf) = &paths[which.index(paths.len())];
        let (was, new) = match leaf {
            Leaf::Number(a, b) => (a.to_string(), b.to_string()),
            Leaf::Bool(a, b) => (a.to_string(), b.to_string()),
            Leaf::Text(a, b, _) => (a.clone(), b.clone()),
        };
        let replaced = match replace(&text, format, path, &new) {
            Ok(replaced) => replaced,
            Err(why) => return Err(TestCaseError::fail(format!("{path} → {new:?}: {why}\n{text}"))),
        };
        prop_assert_eq!(&replaced.was, &was);
        prop_assert_eq!(get(&replaced.text, format, path), Ok(new));
        for (other, _) in paths.iter().filter(|(p, _)| p != path) {
            prop_assert_eq!(get(&replaced.text, format, other), get(&text, format, other));
        }
        // What stands before and behind the value is as it was.
        let old = write_leaf(leaf, format);
        let front = text.bytes().zip(replaced.text.bytes()).take_while(|(a, b)| a == b).count();
        let back = text.bytes().rev().zip(replaced.text.bytes().rev());
        let back = back.take_while(|(a, b)| a == b).count();
        prop_assert!(front + back + old.len() >= text.len(), "{}\n→\n{}", text, replaced.text);
    }

    #[test]
    fn no_text_makes_it_panic(
        text in "[a-c: \n\t\\-\\[\\]{}\"'#&*|>!=.0-9é]{0,40}",
        value in "[ -~é]{0,5}",
        format in prop_oneof![Just(Format::Json), Just(Format::Toml), Just(Format::Yaml)],
    ) {
        for path in ["a", "a.b", "0", ""] {
            if let Ok(replaced) = replace(&text, format, path, &value) {
                prop_assert!(get(&replaced.text, format, path).is_ok());
            }
        }
    }
}
