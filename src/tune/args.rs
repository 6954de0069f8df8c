//! One argument in a command line, of which everything else stays as it is.

use std::ops::Range;

use anyhow::{Context, Result};

/// A command line with one argument set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// The command line.
    pub args: String,
    /// The value before; empty for an argument without a value, none where it was absent.
    pub was: Option<String>,
}

/// Where an argument stands among the words.
enum Place {
    /// `--flag=value` or `key=value`.
    Joined(usize),
    /// `--flag value`.
    Pair(usize),
    /// `--flag`.
    Bare(usize),
}

/// Sets the argument `name` to `value` in `args`, words as a POSIX shell splits them: the last
/// `--name value`, `--name=value` or, without dashes, `name=value` is changed, or it is
/// appended. Without a value it is a bare flag. `-` and `_` within the name of a flag are the
/// same, and stay as they are.
///
/// # Errors
/// When `args` cannot be split.
pub(super) fn set(args: &str, name: &str, value: &str) -> Result<Set> {
    let words = split(args)?;
    let is_flag = name.starts_with('-');
    let (range, new) = match place(&words, name) {
        None => {
            let new = match (is_flag, value) {
                (_, "") => quoted(name),
                (true, value) => format!("{} {}", quoted(name), quoted(value)),
                (false, value) => quoted(&format!("{name}={value}")),
            };
            (words.len()..words.len(), new)
        }
        Some(Place::Joined(i)) => {
            let key = words[i].split('=').next().unwrap_or_default();
            let new = if value.is_empty() { key.to_owned() } else { format!("{key}={value}") };
            (i..i + 1, quoted(&new))
        }
        Some(Place::Pair(i) | Place::Bare(i)) if value.is_empty() => {
            let end = i + 1 + usize::from(matches!(place(&words, name), Some(Place::Pair(_))));
            (i..end, quoted(&words[i]))
        }
        Some(Place::Pair(i)) => (i + 1..i + 2, quoted(value)),
        Some(Place::Bare(i)) => (i..i + 1, format!("{} {}", quoted(&words[i]), quoted(value))),
    };
    Ok(Set { args: replaced(args, &words, range, &new), was: value_in(&words, name) })
}

/// The value of the argument `name`; empty for one without a value.
///
/// # Errors
/// When `args` cannot be split.
pub(super) fn current(args: &str, name: &str) -> Result<Option<String>> {
    Ok(value_in(&split(args)?, name))
}

fn split(args: &str) -> Result<Vec<String>> {
    shell_words::split(args).with_context(|| format!("args {args:?}"))
}

fn value_in(words: &[String], name: &str) -> Option<String> {
    Some(match place(words, name)? {
        Place::Joined(i) => words[i].split_once('=').map(|(_, v)| v.to_owned())?,
        Place::Pair(i) => words[i + 1].clone(),
        Place::Bare(_) => String::new(),
    })
}

fn place(words: &[String], name: &str) -> Option<Place> {
    let is_flag = name.starts_with('-');
    let same = |word: &str| match is_flag {
        true => word.replace('_', "-") == name.replace('_', "-"),
        false => word == name,
    };
    let is_value = |word: &String| !word.starts_with('-') || word.parse::<f64>().is_ok();
    let at = |i: usize| match words[i].split_once('=') {
        Some((key, _)) if same(key) => Some(Place::Joined(i)),
        None if is_flag && same(&words[i]) => Some(match words.get(i + 1).is_some_and(is_value) {
            true => Place::Pair(i),
            false => Place::Bare(i),
        }),
        _ => None,
    };
    (0..words.len()).rev().find_map(at)
}

/// `args` with `new` in the place of some words; as it was written where that is possible.
fn replaced(args: &str, words: &[String], range: Range<usize>, new: &str) -> String {
    let spans = spans(args);
    let read = spans.iter().map(|span| shell_words::split(&args[span.clone()]).ok());
    let exact = read.eq(words.iter().map(|word| Some(vec![word.clone()])));
    if exact && range.is_empty() {
        let end = args.trim_end();
        let blank = if end.is_empty() { "" } else { " " };
        return format!("{end}{blank}{new}");
    }
    if exact {
        let (start, end) = (spans[range.start].start, spans[range.end - 1].end);
        return format!("{}{new}{}", &args[..start], &args[end..]);
    }
    let mut parts: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    parts.splice(range, [new.to_owned()]);
    parts.join(" ")
}

/// `word` as it stands in a command line.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => shell_words::quote(word).into_owned(),
    }
}

/// Where the words of `args` stand, quotes included.
fn spans(args: &str) -> Vec<Range<usize>> {
    let (mut spans, mut start, mut quote) = (Vec::new(), None, None);
    let mut chars = args.char_indices();
    while let Some((i, c)) = chars.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n') => {
                spans.extend(start.take().map(|s| s..i));
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (None | Some('"'), '\\') => {
                chars.next();
            }
            _ => {}
        }
        start.get_or_insert(i);
    }
    spans.extend(start.map(|s| s..args.len()));
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_replaced_where_it_stands() {
        for (args, name, value, new, was) in [
            ("--a 1 --b 2", "--a", "3", "--a 3 --b 2", Some("1")),
            ("--a=1  --b 2", "--a", "x y", "'--a=x y'  --b 2", Some("1")),
            ("--a 1 --a 2", "--a", "3", "--a 1 --a 3", Some("2")),
            ("--max_num_seqs 64", "--max-num-seqs", "256", "--max_num_seqs 256", Some("64")),
            ("--a -1 --b", "--a", "8", "--a 8 --b", Some("-1")),
            ("--a --b", "--a", "True", "--a True --b", Some("")),
            ("--a", "--a", "", "--a", Some("")),
            ("--a False -c", "--a", "", "--a -c", Some("False")),
            ("", "--a", "8", "--a 8", None),
            ("'x y' $HOME", "--a", "", "'x y' $HOME --a", None),
            ("base.yml steps=10", "steps", "20", "base.yml steps=20", Some("10")),
            ("base.yml", "attention", "flash", "base.yml attention=flash", None),
            ("--x \"a \\\" b\" --a 1", "--a", "2", "--x \"a \\\" b\" --a 2", Some("1")),
        ] {
            let set = set(args, name, value).unwrap();
            assert_eq!((set.args.as_str(), set.was.as_deref()), (new, was), "{args} {name}");
        }
        assert!(set("--a 'x", "--a", "1").is_err());
    }

    proptest! {
        #[test]
        fn it_has_the_value_then_and_the_other_words_stay(
            words in prop::collection::vec("[a-z '\"$\\\\=]{0,6}|--[ab]|--a=[0-9]", 0..6),
            value in "[a-z0-9 '\"$\\\\#=]{1,6}",
        ) {
            prop_assume!(!value.starts_with('-'));
            let args = shell_words::join(&words);
            let set = set(&args, "--a", &value).unwrap();
            prop_assert_eq!(current(&set.args, "--a").unwrap(), Some(value));
            prop_assert_eq!(&set.was, &current(&args, "--a").unwrap());
            let new = shell_words::split(&set.args).unwrap();
            let kept = new.iter().filter(|w| words.contains(w)).count();
            prop_assert!(kept + 1 >= words.len().min(new.len()), "{:?} {:?}", words, new);
        }

        #[test]
        fn nothing_else_is_written_anew(front in "[a-z '\"]{0,8}", back in "[a-z ]{0,8}") {
            prop_assume!(shell_words::split(&front).is_ok());
            let args = format!("{front} --a 1 {back}");
            let set = set(&args, "--a", "2").unwrap();
            prop_assert_eq!(set.args, format!("{front} --a 2 {back}"));
        }
    }
}
