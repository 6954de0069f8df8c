//! What a Python program prints: its modules as units of code that name each other.
//!
//! A function counts as executed when something executed mentions its name; a metric
//! line counts as printed when the text, or a name that was given it, is inside a
//! call that prints.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_python_parser::{Mode, parse_module};
use ruff_text_size::{Ranged, TextSize};

use super::text::{Item, has_needle};
use super::{Tracer, pytext, tables};
use crate::diagnostic::{Place, line_column};
use crate::validate::python::check_nesting;
use crate::validate::rules::scripts as rules;

/// Source nested deeper than this is not parsed.
const MAX_NESTING: usize = 500;
/// Modules followed from one program.
const MAX_MODULES: usize = 64;

/// Why a module has no syntax tree.
#[derive(Clone, Debug)]
pub(super) struct ModuleError {
    line: usize,
    column: usize,
    message: String,
    refused: bool,
}

/// A piece of code that runs as a whole: the top of a module, or a function.
#[derive(Debug, Default)]
struct Unit {
    /// Name of the function; `None` for the top of the module.
    name: Option<String>,
    /// Runs only when the module is started, not when it is imported.
    main_only: bool,
    /// Identifiers it mentions.
    names: HashSet<String>,
    /// Metric lines it prints, with their lines.
    prints: Vec<(String, usize)>,
    /// Strings that name CSV files, or the variable that does.
    mentions: Vec<String>,
    /// Modules it imports: dots and name, and the line.
    imports: Vec<(String, usize)>,
    /// Programs it starts, as words; an empty list is not known.
    runs: Vec<(Vec<String>, usize)>,
}

/// A parsed module.
#[derive(Debug)]
pub(super) struct Module {
    units: Vec<Unit>,
}

impl Module {
    pub(super) fn parse(source: &str) -> Result<Module, ModuleError> {
        let fail = |offset: usize, message: String, refused| {
            let (line, column) = line_column(source, offset);
            Err(ModuleError { line, column, message, refused })
        };
        if let Err(e) = check_nesting(source, Mode::Module, MAX_NESTING) {
            return fail(e.offset, e.message, true);
        }
        let parsed = match parse_module(source) {
            Ok(parsed) => parsed,
            Err(e) => return fail(e.location.start().to_usize(), e.error.to_string(), false),
        };
        let lines = line_starts(source);
        let body = parsed.suite();
        let flow = pytext::Flow::new(body);
        let mut collector =
            Collector { lines: &lines, flow: &flow, unit: Unit::default(), done: Vec::new() };
        collector.top(body);
        collector.done.push(collector.unit);
        Ok(Module { units: collector.done })
    }
}

fn line_starts(source: &str) -> Vec<usize> {
    std::iter::once(0).chain(memchr::memchr_iter(b'\n', source.as_bytes()).map(|i| i + 1)).collect()
}

struct Collector<'s> {
    lines: &'s [usize],
    flow: &'s pytext::Flow,
    /// The unit we are in, and those that are complete.
    unit: Unit,
    done: Vec<Unit>,
}

impl Collector<'_> {
    fn line(&self, at: TextSize) -> usize {
        self.lines.partition_point(|start| *start <= at.to_usize())
    }

    /// Statements of the module itself; `if __name__ == "__main__"` is a unit of its own.
    fn top(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::If(block) if pytext::is_main_test(&block.test) => {
                    self.nested(Unit { main_only: true, ..Unit::default() }, |collector| {
                        block.body.iter().for_each(|stmt| collector.visit_stmt(stmt));
                    });
                }
                stmt => self.visit_stmt(stmt),
            }
        }
    }

    /// Collects a unit inside the current one.
    fn nested(&mut self, unit: Unit, collect: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.unit, unit);
        collect(self);
        self.done.push(std::mem::replace(&mut self.unit, outer));
    }

    fn call(&mut self, call: &ExprCall) {
        let line = self.line(call.func.start());
        if pytext::prints(call) {
            for text in self.flow.texts(call) {
                self.unit.prints.push((text, line));
            }
        } else if let Some(words) = self.flow.command(call) {
            self.unit.runs.push((words, line));
        }
    }
}

impl<'a> Visitor<'a> for Collector<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => {
                function.decorator_list.iter().for_each(|d| self.visit_decorator(d));
                self.visit_parameters(&function.parameters);
                let mut name = Some(function.name.to_string());
                // Decorators register functions, and Python calls dunder methods.
                let dunder = function.name.starts_with("__") && function.name.ends_with("__");
                if !function.decorator_list.is_empty() || dunder {
                    name = None;
                }
                let lazy = Unit { name, ..Unit::default() };
                self.nested(lazy, |collector| {
                    function.body.iter().for_each(|stmt| collector.visit_stmt(stmt));
                });
            }
            Stmt::Expr(expr) if matches!(*expr.value, Expr::StringLiteral(_)) => {}
            Stmt::Import(import) => {
                let line = self.line(import.start());
                for alias in &import.names {
                    self.unit.imports.push((alias.name.to_string(), line));
                }
            }
            Stmt::ImportFrom(import) => {
                let line = self.line(import.start());
                let dots = ".".repeat(import.level as usize);
                let module = import.module.as_ref().map_or("", |m| m.as_str());
                self.unit.imports.push((format!("{dots}{module}"), line));
                for alias in &import.names {
                    // `from . import helper` imports a module.
                    if import.level > 0 && module.is_empty() {
                        self.unit.imports.push((format!("{dots}{}", alias.name), line));
                    }
                    // What is imported under another name is mentioned by that name.
                    if alias.asname.is_some() {
                        self.unit.names.insert(alias.name.to_string());
                    }
                }
            }
            stmt => walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => {
                self.unit.names.insert(name.id.to_string());
            }
            Expr::Attribute(attribute) => {
                self.unit.names.insert(attribute.attr.to_string());
            }
            Expr::StringLiteral(_) | Expr::FString(_) | Expr::BinOp(_) => {
                let text = pytext::literal(expr);
                if text.contains(".csv") || text.contains("MAD_OUTPUT_CSV") {
                    self.unit.mentions.push(text);
                }
            }
            Expr::Call(call) => self.call(call),
            _ => {}
        }
        walk_expr(self, expr);
    }
}

/// A program being followed: its modules, and which of their units run.
#[derive(Default)]
struct Program {
    modules: Vec<(Arc<Module>, PathBuf, bool)>,
    loaded: HashSet<PathBuf>,
}

impl Tracer<'_> {
    /// The output of a Python file.
    pub(super) fn python_file(&mut self, path: &Path) -> Vec<Item> {
        let mut program = Program::default();
        let mut out = Vec::new();
        if self.load(&mut program, path, true) {
            self.python_program(program, None, &mut out);
        }
        out
    }

    /// The output of Python text that is no file.
    pub(super) fn python_text(&mut self, dir: &Path, text: &str, place: &Place) -> Vec<Item> {
        let Ok(module) = Module::parse(text) else {
            return vec![Item::opaque("a Python text does not parse", place)];
        };
        let file = dir.join("<text>");
        let program =
            Program { modules: vec![(Arc::new(module), file, true)], ..Program::default() };
        let mut out = Vec::new();
        self.python_program(program, Some(place), &mut out);
        out
    }

    fn load(&mut self, program: &mut Program, path: &Path, main: bool) -> bool {
        if program.modules.len() >= MAX_MODULES || !program.loaded.insert(path.to_owned()) {
            return true;
        }
        let Some(text) = self.read(path) else { return false };
        let parsed =
            self.programs.python.get(&path.to_owned(), || Module::parse(&text).map(Arc::new));
        match parsed {
            Ok(module) => program.modules.push((module, path.to_owned(), main)),
            Err(error) => {
                let place = Place { line: error.line, column: error.column, ..Place::file(path) };
                let rule = if error.refused { &rules::NOT_CHECKED } else { &rules::SYNTAX };
                self.problem(rule.at(place, error.message));
            }
        }
        true
    }

    /// Runs units until no further one is mentioned. `at` stands for all places in
    /// text that is no file.
    fn python_program(&mut self, mut program: Program, at: Option<&Place>, out: &mut Vec<Item>) {
        let mut names: HashSet<String> = HashSet::new();
        let mut ran: HashSet<(usize, usize)> = HashSet::new();
        // Lazy units of the modules so far, by name.
        let mut waiting: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        let mut ready: Vec<(usize, usize)> = Vec::new();
        let mut known = 0;
        loop {
            while known < program.modules.len() {
                let (module, _, main) = &program.modules[known];
                for (i, unit) in module.units.iter().enumerate() {
                    match &unit.name {
                        _ if unit.main_only && !main => {}
                        Some(name) if !names.contains(name) => {
                            waiting.entry(name.clone()).or_default().push((known, i));
                        }
                        _ => ready.push((known, i)),
                    }
                }
                known += 1;
            }
            let Some(next) = ready.pop() else { return };
            if !ran.insert(next) {
                continue;
            }
            let (module, file, _) = &program.modules[next.0];
            let (module, file) = (Arc::clone(module), file.clone());
            let unit = &module.units[next.1];
            for name in &unit.names {
                if names.insert(name.clone()) {
                    ready.extend(waiting.remove(name).unwrap_or_default());
                }
            }
            let place = |line| at.cloned().unwrap_or_else(|| Place { line, ..Place::file(&file) });
            unit.mentions.iter().for_each(|text| self.mention(text));
            for (text, line) in &unit.prints {
                if has_needle(text) {
                    out.push(Item::new(text, &place(*line)));
                }
            }
            for (words, line) in &unit.runs {
                self.python_runs(&file, words, &place(*line), out);
            }
            for (import, line) in &unit.imports {
                self.import(&mut program, &file, import, &place(*line), out);
            }
        }
    }

    /// A program that Python starts.
    fn python_runs(&mut self, file: &Path, words: &[String], place: &Place, out: &mut Vec<Item>) {
        if words.is_empty() {
            out.push(Item::opaque(
                "a command comes from a variable this check cannot follow",
                place,
            ));
            return;
        }
        let mut env = super::shell::Env::new(file);
        out.extend(self.enter("", place, |tracer| match words {
            [text] => tracer.shell_text(&mut env, text, place),
            words => tracer.run(&mut env, words, &[], place),
        }));
    }

    fn import(
        &mut self,
        program: &mut Program,
        file: &Path,
        import: &str,
        place: &Place,
        out: &mut Vec<Item>,
    ) {
        let name = import.trim_start_matches('.');
        let dots = import.len() - name.len();
        // `.x` is beside the file, `..x` one level above; `x` beside the file or the program.
        let mut base = file.parent().unwrap_or(Path::new(""));
        for _ in 1..dots {
            base = base.parent().unwrap_or(Path::new(""));
        }
        let main = program.modules.first().map(|m| m.1.clone()).unwrap_or_default();
        let main_dir = main.parent().unwrap_or(Path::new("")).to_owned();
        let path = name.replace('.', "/");
        for dir in [base.to_owned(), main_dir] {
            for candidate in [format!("{path}.py"), format!("{path}/__init__.py")] {
                let candidate = dir.join(candidate);
                if self.files.is_file(&candidate) {
                    self.load(program, &candidate, false);
                    return;
                }
            }
            // A directory without `__init__.py` is a package, too.
            if !path.is_empty() && self.files.is_dir(&dir.join(&path)) {
                return;
            }
        }
        let package = name.split('.').next().unwrap_or_default();
        if !package.is_empty() && !tables::is_library(package) {
            let what = format!("the Python module `{package}` is not part of the catalog");
            out.push(Item::opaque(&what, place));
        }
    }
}
