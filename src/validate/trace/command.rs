//! What single commands do: builtins, filters, and the programs everybody calls.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use brush_parser::ast::FunctionBody;
use regex::Regex;

use super::shell::{Env, Value, unknown_program};
use super::text::{HOLE, Item, OPAQUE, has_needle, opaque_part};
use super::word::{base_name, directory};
use super::{MAX_DEPTH, Tracer, tables};
use crate::diagnostic::Place;

/// Pseudo-variable: the input of the loop we are in.
pub(super) const STDIN: &str = "<";

impl Tracer<'_> {
    /// The output of a command whose words are known, holes included.
    pub(super) fn run(
        &mut self,
        env: &mut Env,
        words: &[String],
        stdin: &[Item],
        place: &Place,
    ) -> Vec<Item> {
        let mut out = Vec::new();
        if !self.step(place, &mut out) {
            return out;
        }
        let Some((first, rest)) = words.split_first() else { return out };
        if let Some(body) = env.function(first) {
            return self.call(env, first, &body, rest, stdin, place);
        }
        let program = base_name(first);
        if !matches!(program.as_str(), "rm" | "ls" | "test" | "[" | "mkdir" | "unset" | "touch") {
            rest.iter().for_each(|word| self.mention(word));
        }
        match program.as_str() {
            "echo" => {
                let flags =
                    rest.iter().take_while(|w| matches!(w.as_str(), "-n" | "-e" | "-ne" | "-en"));
                let text = rest[flags.count()..].join(" ");
                out.push(Item::new(unescape(&format!("{text}\n")), place));
            }
            "printf" => self.printf(env, rest, place, &mut out),
            "tee" => {
                for name in rest.iter().filter(|w| !w.starts_with('-')) {
                    self.write(name, stdin.to_vec());
                }
                out.extend_from_slice(stdin);
            }
            "grep" | "egrep" | "fgrep" | "rg" | "zgrep" => {
                self.grep(env, rest, stdin, place, &mut out)
            }
            "awk" | "gawk" | "mawk" | "perl" | "ruby" | "node" => {
                let inline =
                    program.ends_with("awk") || rest.iter().any(|w| w == "-e" || w == "-ne");
                match inline {
                    true => out.extend(rest.iter().filter_map(|w| printed_literal(w, place))),
                    false => out.push(Item::new(unknown_program(&program), place)),
                }
            }
            "sed" => {
                out.extend(rest.iter().filter_map(|word| sed_replacement(word, place)));
                self.filter(env, &program, rest, stdin, place, &mut out);
            }
            filter if tables::is_filter(filter) => {
                self.filter(env, filter, rest, stdin, place, &mut out);
            }
            "source" | "." => match rest.first().and_then(|name| self.resolve(env, name)) {
                Some(path) if self.files.is_file(&path) => {
                    let outer = std::mem::replace(&mut env.args, rest[1..].to_vec());
                    if rest.len() < 2 {
                        env.args.clone_from(&outer);
                    }
                    out = self.enter(&key(&path), place, |tracer| tracer.shell_file(env, &path));
                    env.args = outer;
                }
                // Environments of tools are sourced all the time, and print nothing.
                _ if rest
                    .first()
                    .is_some_and(|n| n.ends_with("activate") || n.contains("conda")) => {}
                _ => {
                    let name = rest.first().map_or("", String::as_str);
                    let what = format!("`{name}` is sourced and is not a file of the catalog");
                    out.push(Item::opaque(&what, place));
                }
            },
            "eval" => out = self.shell_text(env, &rest.join(" "), place),
            "trap" => {
                if let [action, _signal, ..] = rest
                    && action != "-"
                {
                    out = self.shell_text(&mut env.clone(), action, place);
                }
            }
            "cd" | "pushd" => {
                let target = rest.iter().find(|w| !w.starts_with('-'));
                env.cwd = target.and_then(|name| self.resolve_path(env, name));
            }
            "popd" => env.cwd = Some(env.script_dir().to_owned()),
            "pwd" => out.push(Item::new(env.cwd_text(), place)),
            "dirname" => out.extend(rest.last().map(|w| Item::new(directory(w), place))),
            "basename" => out.extend(rest.first().map(|w| Item::new(base_name(w), place))),
            "realpath" | "readlink" => out.extend(rest.last().map(|w| Item::new(w.clone(), place))),
            "read" => {
                let value = env.vars.get(STDIN).cloned().unwrap_or_else(Value::hole);
                for name in rest.iter().filter(|w| !w.starts_with('-')) {
                    env.set(name, value.clone());
                }
            }
            "set" => {
                if let Some(at) = rest.iter().position(|w| w == "--") {
                    env.args = rest[at + 1..].to_vec();
                }
            }
            "shift" => {
                // The entry's own arguments are one hole that stands for all of them.
                if env.args.len() > 1 || env.args.first().is_some_and(|arg| !arg.starts_with(HOLE))
                {
                    env.args.remove(0);
                }
            }
            "exit" => env.ended = env.branches == 0,
            "cp" | "mv" => {
                if let [.., from, to] = rest {
                    let items = self.written.get(&base_name(from)).cloned().unwrap_or_default();
                    self.write(to, items);
                }
            }
            compiler if tables::is_compiler(compiler) => self.compile(env, rest),
            _ => out = self.program_named(env, words, stdin, place),
        }
        out
    }

    /// A call of a function of the script.
    fn call(
        &mut self,
        env: &mut Env,
        name: &str,
        body: &FunctionBody,
        args: &[String],
        stdin: &[Item],
        place: &Place,
    ) -> Vec<Item> {
        args.iter().for_each(|word| self.mention(word));
        let outer = std::mem::replace(&mut env.args, args.to_vec());
        let out = self.enter(name, place, |tracer| tracer.function_body(env, body, stdin));
        env.args = outer;
        out
    }

    /// Goes one level deeper, into the function or file `what`.
    pub(super) fn enter(
        &mut self,
        what: &str,
        place: &Place,
        inner: impl FnOnce(&mut Self) -> Vec<Item>,
    ) -> Vec<Item> {
        // Recursion repeats itself: what it prints is seen in its first rounds.
        if !what.is_empty() && self.active.iter().filter(|active| *active == what).count() > 1 {
            return Vec::new();
        }
        if self.active.len() >= MAX_DEPTH {
            return vec![Item::opaque("the script nests too deep to be followed", place)];
        }
        self.active.push(what.to_owned());
        let out = inner(self);
        self.active.pop();
        out
    }

    /// Remembers what is written to a file.
    pub(super) fn write(&mut self, name: &str, items: Vec<Item>) {
        let items_so_far = self.written.entry(base_name(name)).or_default();
        if items_so_far.len() < 256 {
            items_so_far.extend(items);
        }
    }

    /// What a file holds, as far as the script wrote it.
    pub(super) fn file_content(&mut self, env: &Env, name: &str, place: &Place) -> Vec<Item> {
        if let Some(items) = self.written.get(&base_name(name)) {
            return items.clone();
        }
        if let Some(path) = self.resolve(env, name)
            && self.files.is_file(&path)
        {
            let text = self.read(&path);
            let lines = text.iter().flat_map(|t| t.lines()).filter(|line| has_needle(line)).take(8);
            return lines.map(|line| Item::new(line, place)).collect();
        }
        if name.starts_with("/proc/") || name.starts_with("/etc/") || name.starts_with("/sys/") {
            return Vec::new();
        }
        vec![Item::opaque(&format!("the content of `{name}` is not known"), place)]
    }

    fn operands(words: &[String]) -> impl Iterator<Item = &String> {
        words.iter().filter(|w| !w.starts_with('-') && !w.starts_with('+'))
    }

    fn filter(
        &mut self,
        env: &Env,
        program: &str,
        words: &[String],
        stdin: &[Item],
        place: &Place,
        out: &mut Vec<Item>,
    ) {
        out.extend_from_slice(stdin);
        if stdin.is_empty() {
            // The others have operands that may be something else, such as a count.
            let files_alone = matches!(program, "cat" | "tac" | "zcat");
            for name in Self::operands(words) {
                let written = self.written.contains_key(&base_name(name));
                if files_alone || written || looks_like_file(name) {
                    out.extend(self.file_content(env, name, place));
                }
            }
        }
    }

    /// Keeps the lines that may match. Opaque input stays opaque only if somebody
    /// searches it for a metric.
    fn grep(
        &mut self,
        env: &Env,
        words: &[String],
        stdin: &[Item],
        place: &Place,
        out: &mut Vec<Item>,
    ) {
        let short =
            |w: &String, flag| w.starts_with('-') && !w.starts_with("--") && w.contains(flag);
        if words.iter().any(|w| short(w, 'q') || short(w, 'c') || short(w, 'l') || w == "--quiet") {
            return;
        }
        let Some(pattern) = Self::operands(words).next() else { return };
        let files: Vec<String> = words.to_vec();
        let mut input = Vec::new();
        match stdin.is_empty() {
            false => input.extend_from_slice(stdin),
            true => {
                for name in Self::operands(&files).skip(1) {
                    input.extend(self.file_content(env, name, place));
                }
            }
        }
        let sought = pattern.contains("perf") || pattern.contains(HOLE) || pattern == ".";
        out.extend(input.into_iter().filter(|item| {
            has_needle(&item.text) || (sought && opaque_part(&item.text).is_some())
        }));
    }

    fn printf(&mut self, env: &mut Env, words: &[String], place: &Place, out: &mut Vec<Item>) {
        let (variable, words) = match words {
            [flag, name, rest @ ..] if flag == "-v" => (Some(name), rest),
            [dashes, rest @ ..] if dashes == "--" => (None, rest),
            words => (None, words),
        };
        let Some((format, arguments)) = words.split_first() else { return };
        let text = unescape(&format_text(format, arguments));
        match variable {
            Some(name) => env.set(name, Value::alternatives(vec![text])),
            None => out.push(Item::new(text, place)),
        }
    }

    fn compile(&mut self, env: &Env, words: &[String]) {
        let is_source = |w: &&String| {
            let ending = w.rsplit_once('.').map_or("", |(_, ending)| ending);
            matches!(ending, "rs" | "c" | "cc" | "cpp" | "cxx" | "cu" | "hip" | "f90" | "C")
        };
        let sources: Vec<PathBuf> =
            words.iter().filter(is_source).filter_map(|w| self.resolve(env, w)).collect();
        let output = words.iter().position(|w| w == "-o").and_then(|at| words.get(at + 1));
        let output = match (output, sources.first()) {
            (Some(name), _) => base_name(name),
            (None, Some(path)) if path.extension().is_some_and(|e| e == "rs") => {
                path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
            }
            _ => "a.out".to_owned(),
        };
        self.compiled.entry(output).or_default().extend(sources);
    }
}

/// What a file is known by while it is being followed.
pub(super) fn key(path: &Path) -> String {
    format!("{}", path.display())
}

/// Whether an operand of a filter names a file (and is not its program or a number).
fn looks_like_file(word: &str) -> bool {
    !word.is_empty()
        && word.contains(|c: char| c.is_alphabetic() || c == HOLE || c == OPAQUE)
        && !word.contains([' ', '\n', '\\', '^', ';', '|'])
        && (word.contains('.') || word.contains('/') || word.contains([HOLE, OPAQUE]))
        && !(word.starts_with("s/") || word.starts_with('/') && word.ends_with(['/', 'p', 'd']))
}

fn unescape(text: &str) -> String {
    match text.contains('\\') {
        true => text
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace("\\r", "\r")
            .replace("\\\"", "\""),
        false => text.to_owned(),
    }
}

/// What `printf` makes of its arguments; conversions without one become holes.
fn format_text(format: &str, arguments: &[String]) -> String {
    let mut arguments = arguments.iter();
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            text.push('%');
            continue;
        }
        let flags = |c: &char| c.is_ascii_digit() || "-+ #.*'hlLqjzt".contains(*c);
        while chars.next_if(flags).is_some() {}
        let conversion = chars.next();
        match (conversion, arguments.next()) {
            (Some('s' | 'b' | 'q'), Some(argument)) => text.push_str(argument),
            _ => text.push(HOLE),
        }
    }
    text
}

/// The literal that an awk or perl program prints, if it looks like a metric line.
fn printed_literal(program: &str, place: &Place) -> Option<Item> {
    static PRINT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?s)(?:print|printf|say|puts|console\.log)\b[^;}\n]*?["']([^"']*performance:[^"']*)["']"#).ok()
    });
    if !has_needle(program) {
        return None;
    }
    let literal = PRINT.as_ref()?.captures(program)?.get(1)?.as_str();
    // Values follow the literal, or stand where it has a conversion.
    let text = format!("{}{HOLE}", format_text(&literal.replace("\\n", ""), &[]));
    Some(Item::new(text, place))
}

/// What `s/…/…/` puts in, if it looks like a metric line.
fn sed_replacement(script: &str, place: &Place) -> Option<Item> {
    static BACK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\\[0-9]|&").ok());
    let at = script.find('s')?;
    let delimiter = script[at + 1..].chars().next().filter(char::is_ascii_punctuation)?;
    let replacement = script[at + 1..].split(delimiter).nth(2)?;
    let text = BACK.as_ref()?.replace_all(replacement, HOLE.to_string()).into_owned();
    has_needle(&text).then(|| Item::new(text, place))
}
