//! Following a shell script: control structures, functions, redirections.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use brush_parser::SourceSpan;
use brush_parser::ast::{self, SourceLocation as _};

use super::parse::{line_start, parse};
use super::redirect::stdin_value;
use super::text::{HOLE, Item, opaque};
use super::word::{Expansion, Kind, rooted};
use super::{Tracer, tables};
use crate::diagnostic::Place;
use crate::validate::rules::scripts as rules;

/// The value of a variable: what it may be, or the elements of an array.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) texts: Vec<String>,
    pub(super) array: bool,
}

impl Value {
    pub(super) fn hole() -> Self {
        Value::alternatives(vec![HOLE.to_string()])
    }

    pub(super) fn alternatives(texts: Vec<String>) -> Self {
        Value { texts, array: false }
    }

    pub(super) fn map(mut self, f: impl Fn(&str) -> String) -> Self {
        self.texts.iter_mut().for_each(|text| *text = f(text));
        self
    }
}

/// What a shell process knows.
#[derive(Clone)]
pub(super) struct Env {
    /// The script that was started, and the file that is read (they differ in `source`).
    pub(super) script: PathBuf,
    pub(super) source: PathBuf,
    /// Line that stands for all lines, in text that is no file.
    line: Option<Place>,
    pub(super) vars: HashMap<String, Value>,
    functions: HashMap<String, Rc<ast::FunctionBody>>,
    pub(super) args: Vec<String>,
    /// Relative to the root; `None` when it is not known.
    pub(super) cwd: Option<PathBuf>,
    /// How many branches we are in: assignments there may not happen.
    pub(super) branches: usize,
    /// `exit` was reached.
    pub(super) ended: bool,
}

impl Env {
    pub(super) fn new(script: &Path) -> Self {
        Env {
            script: script.to_owned(),
            source: script.to_owned(),
            line: None,
            vars: HashMap::new(),
            functions: HashMap::new(),
            // The entry's arguments: some, which we do not look at.
            args: vec![HOLE.to_string()],
            cwd: Some(script.parent().unwrap_or(Path::new("")).to_owned()),
            branches: 0,
            ended: false,
        }
    }

    pub(super) fn script_text(&self) -> String {
        rooted(&self.script)
    }

    pub(super) fn source_text(&self) -> String {
        rooted(&self.source)
    }

    pub(super) fn cwd_text(&self) -> String {
        self.cwd.as_deref().map_or_else(|| HOLE.to_string(), rooted)
    }

    /// The directory of the entry's script.
    pub(super) fn script_dir(&self) -> &Path {
        self.script.parent().unwrap_or(Path::new(""))
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        match self.vars.get_mut(name) {
            Some(old) if self.branches > 0 && !old.array && !value.array => {
                for text in value.texts {
                    if old.texts.len() < 16 && !old.texts.contains(&text) {
                        old.texts.push(text);
                    }
                }
            }
            _ => {
                self.vars.insert(name.to_owned(), value);
            }
        }
    }

    pub(super) fn function(&self, name: &str) -> Option<Rc<ast::FunctionBody>> {
        self.functions.get(name).cloned()
    }

    pub(super) fn place(&self, span: Option<&SourceSpan>) -> Place {
        match (&self.line, span) {
            (Some(place), _) => place.clone(),
            (None, Some(span)) => {
                let (line, column) = (span.start.line, span.start.column);
                Place { line, column, ..Place::file(&self.source) }
            }
            (None, None) => Place::file(&self.source),
        }
    }
}

impl Tracer<'_> {
    /// The output of a shell script that is a file.
    pub(super) fn shell_file(&mut self, env: &mut Env, path: &Path) -> Vec<Item> {
        let Some(text) = self.read(path) else {
            return vec![Item::opaque("the script cannot be read", &Place::file(path))];
        };
        match self.programs.shell.get(&path.to_owned(), || parse(&text)) {
            Ok(program) => {
                let outer = std::mem::replace(&mut env.source, path.to_owned());
                let line = env.line.take();
                let out = self.program(env, &program);
                env.source = outer;
                env.line = line;
                out
            }
            Err(error) => {
                let start = line_start(&text, error.line) + error.column.saturating_sub(1);
                let mut place = Place::span(path, &text, start..start);
                place.span = None;
                let rule = if error.refused { &rules::NOT_CHECKED } else { &rules::SYNTAX };
                let problem = rule.at(place, error.message).help("`bash -n` says more");
                self.problem(problem);
                Vec::new()
            }
        }
    }

    /// The output of shell text that is no file: `bash -c`, `$(…)`, `eval`.
    pub(super) fn shell_text(&mut self, env: &mut Env, text: &str, place: &Place) -> Vec<Item> {
        let Ok(program) = parse(text) else {
            return vec![Item::opaque("a command text does not parse", place)];
        };
        let outer = env.line.replace(place.clone());
        let out = self.enter("", place, |tracer| tracer.program(env, &program));
        env.line = outer;
        out
    }

    fn program(&mut self, env: &mut Env, program: &ast::Program) -> Vec<Item> {
        let mut out = Vec::new();
        for list in &program.complete_commands {
            self.list(env, list, &mut out);
        }
        out
    }

    pub(super) fn list(&mut self, env: &mut Env, list: &ast::CompoundList, out: &mut Vec<Item>) {
        for ast::CompoundListItem(and_or, _) in &list.0 {
            if env.ended {
                return;
            }
            out.extend(self.pipeline(env, &and_or.first));
            for next in &and_or.additional {
                let (ast::AndOr::And(pipeline) | ast::AndOr::Or(pipeline)) = next;
                env.branches += 1;
                let more = self.pipeline(env, pipeline);
                out.extend(more);
                env.branches -= 1;
            }
        }
    }

    fn branch(&mut self, env: &mut Env, list: &ast::CompoundList, out: &mut Vec<Item>) {
        env.branches += 1;
        self.list(env, list, out);
        env.branches -= 1;
    }

    fn pipeline(&mut self, env: &mut Env, pipeline: &ast::Pipeline) -> Vec<Item> {
        let mut items = Vec::new();
        for command in &pipeline.seq {
            items = match pipeline.seq.len() {
                1 => self.command(env, command, Vec::new()),
                _ => self.command(&mut env.clone(), command, items),
            };
        }
        items
    }

    fn command(&mut self, env: &mut Env, command: &ast::Command, stdin: Vec<Item>) -> Vec<Item> {
        match command {
            ast::Command::Simple(simple) => self.simple(env, simple, stdin),
            ast::Command::Compound(compound, redirects) => {
                let mut stdin = stdin;
                let place = env.place(compound.location().as_ref());
                for redirect in redirects.iter().flat_map(|r| &r.0) {
                    self.redirect_in(env, redirect, &place, &mut stdin);
                }
                let out = self.compound(env, compound, stdin);
                self.redirect_all(env, redirects.as_ref(), out)
            }
            ast::Command::Function(function) => {
                let body = Rc::new(function.body.clone());
                env.functions.insert(function.fname.value.clone(), body);
                Vec::new()
            }
            ast::Command::ExtendedTest(..) => Vec::new(),
        }
    }

    pub(super) fn compound(
        &mut self,
        env: &mut Env,
        compound: &ast::CompoundCommand,
        stdin: Vec<Item>,
    ) -> Vec<Item> {
        use ast::CompoundCommand as C;
        let mut out = Vec::new();
        match compound {
            C::Arithmetic(_) => {}
            C::BraceGroup(group) => self.list(env, &group.list, &mut out),
            C::Subshell(sub) => self.list(&mut env.clone(), &sub.list, &mut out),
            C::ArithmeticForClause(clause) => {
                if let Some(variable) = clause.initializer.as_ref() {
                    let name = variable.value.split('=').next().unwrap_or_default().trim();
                    env.set(name, Value::hole());
                }
                self.branch(env, &clause.body.list, &mut out);
            }
            C::ForClause(clause) => self.for_clause(env, clause, &mut out),
            C::CaseClause(clause) => {
                for case in &clause.cases {
                    if let Some(list) = &case.cmd {
                        self.branch(env, list, &mut out);
                    }
                }
            }
            C::IfClause(clause) => {
                self.branch(env, &clause.condition, &mut out);
                self.branch(env, &clause.then, &mut out);
                for other in clause.elses.iter().flatten() {
                    if let Some(condition) = &other.condition {
                        self.branch(env, condition, &mut out);
                    }
                    self.branch(env, &other.body, &mut out);
                }
            }
            C::WhileClause(clause) | C::UntilClause(clause) => {
                // `while read line` sees what is piped in: its variables hold those lines.
                env.vars.insert(super::command::STDIN.to_owned(), stdin_value(&stdin));
                self.branch(env, &clause.0, &mut out);
                self.branch(env, &clause.1.list, &mut out);
                env.vars.remove(super::command::STDIN);
            }
            C::Coprocess(coprocess) => {
                env.branches += 1;
                let _ = self.command(env, &coprocess.body, stdin);
                env.branches -= 1;
            }
        }
        out
    }

    fn for_clause(&mut self, env: &mut Env, clause: &ast::ForClauseCommand, out: &mut Vec<Item>) {
        let place = env.place(Some(&clause.loc));
        let mut elements = Vec::new();
        match &clause.values {
            Some(words) => {
                for word in words {
                    let expansion = self.expand(env, word, &place);
                    for i in 0..expansion.texts.len() {
                        elements.extend(expansion.words(i));
                    }
                }
            }
            None => elements.clone_from(&env.args),
        }
        elements.dedup();
        if elements.is_empty() {
            elements.push(HOLE.to_string());
        }
        // Loops in loops multiply; the elements beyond the first few seldom differ in kind.
        elements.truncate(8);
        for element in elements {
            if !self.step(&place, out) {
                return;
            }
            env.vars.insert(clause.variable_name.clone(), Value::alternatives(vec![element]));
            self.branch(env, &clause.body.list, out);
        }
    }

    fn simple(
        &mut self,
        env: &mut Env,
        simple: &ast::SimpleCommand,
        mut stdin: Vec<Item>,
    ) -> Vec<Item> {
        let place = env.place(simple.location().as_ref());
        let mut out = Vec::new();
        if !self.step(&place, &mut out) {
            return out;
        }
        let mut words: Vec<Expansion> = Vec::new();
        let mut redirects: Vec<&ast::IoRedirect> = Vec::new();
        let prefix = simple.prefix.iter().flat_map(|p| &p.0);
        let suffix = simple.suffix.iter().flat_map(|s| &s.0);
        let is_command = simple.word_or_name.is_some();
        let name = simple.word_or_name.iter().map(Part::Word);
        let parts = prefix.map(Part::Item).chain(name).chain(suffix.map(Part::Item));
        for part in parts {
            match part {
                Part::Word(word) | Part::Item(ast::CommandPrefixOrSuffixItem::Word(word)) => {
                    words.push(self.expand(env, word, &place));
                }
                Part::Item(ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word)) => {
                    let before_command = is_command && words.is_empty();
                    self.assign(env, assignment, &place);
                    if !before_command && is_command {
                        words.push(Expansion {
                            texts: vec![word.value.clone()],
                            kind: Kind::Single,
                        });
                    }
                }
                Part::Item(ast::CommandPrefixOrSuffixItem::IoRedirect(redirect)) => {
                    redirects.push(redirect);
                }
                Part::Item(ast::CommandPrefixOrSuffixItem::ProcessSubstitution(_, sub)) => {
                    // `cmd <(other)` reads it, `> >(other)` feeds it: either may show it.
                    self.list(&mut env.clone(), &sub.list, &mut stdin);
                    words.push(Expansion { texts: vec![HOLE.to_string()], kind: Kind::Single });
                }
            }
        }
        for redirect in &redirects {
            self.redirect_in(env, redirect, &place, &mut stdin);
        }
        let count = words.iter().filter(|w| w.kind != Kind::Array).map(|w| w.texts.len()).max();
        for i in 0..count.unwrap_or(1) {
            let words: Vec<String> = words.iter().flat_map(|w| w.words(i)).collect();
            if !words.is_empty() {
                out.extend(self.run(env, &words, &stdin, &place));
            }
        }
        for redirect in redirects {
            out = self.redirect_out(env, redirect, &place, out);
        }
        out
    }

    fn assign(&mut self, env: &mut Env, assignment: &ast::Assignment, place: &Place) {
        let name = match &assignment.name {
            ast::AssignmentName::VariableName(name) => name,
            ast::AssignmentName::ArrayElementName(name, _) => name,
        };
        let element = matches!(assignment.name, ast::AssignmentName::ArrayElementName(..));
        let mut value = match &assignment.value {
            ast::AssignmentValue::Scalar(word) => {
                Value::alternatives(self.expand(env, word, place).texts)
            }
            ast::AssignmentValue::Array(words) => {
                let mut texts = Vec::new();
                for (_, word) in words {
                    texts.extend(self.expand(env, word, place).words(0));
                }
                Value { texts, array: true }
            }
        };
        for text in &value.texts {
            self.mention(text);
        }
        if let Some(old) = env.vars.get(name).filter(|_| assignment.append || element) {
            let mut texts = old.texts.clone();
            if value.array || element || old.array {
                texts.append(&mut value.texts);
                texts.truncate(1024);
                value = Value { texts, array: true };
            } else {
                let head = texts.first().cloned().unwrap_or_default();
                value = value.map(|tail| format!("{head}{tail}").chars().take(16 << 10).collect());
            }
        }
        env.set(name, value);
    }
}

enum Part<'a> {
    Word(&'a ast::Word),
    Item(&'a ast::CommandPrefixOrSuffixItem),
}

/// A program that is not known; says so.
pub(super) fn unknown_program(program: &str) -> String {
    match tables::is_wrapper(program) {
        true => opaque(&format!("what `{program}` runs is not a file of the catalog")),
        false => opaque(&format!("`{program}` is a program this check cannot look into")),
    }
}
