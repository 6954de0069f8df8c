//! Texts in Python: what strings can become, and where they flow.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, FStringPart, InterpolatedStringElement, Operator, Stmt};

use super::text::{HOLE, has_needle};

/// The text of an expression, with holes for what is not a literal.
pub(super) fn literal(expr: &Expr) -> String {
    match expr {
        Expr::StringLiteral(s) => s.value.to_str().to_owned(),
        Expr::FString(f) => f
            .value
            .iter()
            .map(|part| match part {
                FStringPart::Literal(literal) => literal.value.to_string(),
                FStringPart::FString(f) => f
                    .elements
                    .iter()
                    .map(|element| match element {
                        InterpolatedStringElement::Literal(literal) => literal.value.to_string(),
                        InterpolatedStringElement::Interpolation(_) => HOLE.to_string(),
                    })
                    .collect(),
            })
            .collect(),
        Expr::BinOp(op) if op.op == Operator::Add => {
            format!("{}{}", literal(&op.left), literal(&op.right))
        }
        Expr::BinOp(op) if op.op == Operator::Mod => placeholders(&literal(&op.left)),
        Expr::Call(call) => match call.func.as_ref() {
            Expr::Attribute(a) if a.attr.as_str() == "format" => placeholders(&literal(&a.value)),
            _ => HOLE.to_string(),
        },
        _ => HOLE.to_string(),
    }
}

/// `%.2f` and `{:.2f}` become holes.
fn placeholders(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' => {
                while chars.next_if(|c| *c != '}').is_some() {}
                chars.next();
                out.push(HOLE);
            }
            '%' => {
                while chars
                    .next_if(|c| !c.is_ascii_alphabetic() && *c != '%' && *c != ' ')
                    .is_some()
                {}
                chars.next();
                out.push(HOLE);
            }
            c => out.push(c),
        }
    }
    out
}

/// `__name__ == "__main__"`.
pub(super) fn is_main_test(test: &Expr) -> bool {
    match test {
        Expr::Compare(compare) => {
            matches!(compare.left.as_ref(), Expr::Name(name) if name.id.as_str() == "__name__")
        }
        _ => false,
    }
}

/// `a.b.c` of a function that is called.
fn path_of(func: &Expr) -> (String, String) {
    match func {
        Expr::Name(name) => (String::new(), name.id.to_string()),
        Expr::Attribute(attribute) => {
            let base = match attribute.value.as_ref() {
                Expr::Name(name) => name.id.to_string(),
                Expr::Attribute(inner) => inner.attr.to_string(),
                Expr::Call(call) => path_of(&call.func).1,
                _ => String::new(),
            };
            (base, attribute.attr.to_string())
        }
        _ => (String::new(), String::new()),
    }
}

/// Whether the call shows its arguments in the log.
pub(super) fn prints(call: &ExprCall) -> bool {
    let (base, name) = path_of(&call.func);
    let lower = base.to_lowercase();
    match name.as_str() {
        "print" | "pprint" | "rprint" | "print0" | "print_rank_0" | "print_rank_last" => {
            // `print(…, file=f)` goes to a file unless that is a standard stream.
            call.arguments.keywords.iter().all(|keyword| {
                keyword.arg.as_ref().is_none_or(|arg| arg.as_str() != "file")
                    || matches!(&keyword.value, Expr::Attribute(a)
                        if matches!(a.attr.as_str(), "stdout" | "stderr"))
            })
        }
        "write" | "writelines" => matches!(lower.as_str(), "stdout" | "stderr" | "tqdm" | "buffer"),
        "echo" | "secho" => true,
        "info" | "warning" | "error" | "debug" | "critical" | "log" | "success" | "exception" => {
            lower.contains("log") || lower.contains("console") || lower == "accelerator"
        }
        _ => false,
    }
}

/// Which names of a module may hold a metric line.
#[derive(Debug)]
pub(super) struct Flow {
    /// Variables, attributes and functions (by what they return).
    tainted: HashMap<String, String>,
    /// Texts of variables that are assigned one literal.
    constants: HashMap<String, String>,
}

impl Flow {
    pub(super) fn new(body: &[Stmt]) -> Self {
        let mut edges = Edges::default();
        body.iter().for_each(|stmt| edges.visit_stmt(stmt));
        let mut flow = Flow { tainted: HashMap::new(), constants: edges.constants };
        // Names go from one to another in few steps.
        for _ in 0..4 {
            let before = flow.tainted.len();
            for (name, texts, from) in &edges.assigned {
                let text =
                    texts.iter().chain(from.iter().filter_map(|n| flow.tainted.get(n))).next();
                if let Some(text) = text.cloned() {
                    flow.tainted.entry(name.clone()).or_insert(text);
                }
            }
            if flow.tainted.len() == before {
                break;
            }
        }
        flow
    }

    /// The texts that a call which prints may show.
    pub(super) fn texts(&self, call: &ExprCall) -> Vec<String> {
        let mut found = Mentioned::default();
        call.arguments.args.iter().for_each(|arg| found.visit_expr(arg));
        let mut texts = found.texts;
        texts.extend(found.names.iter().filter_map(|name| self.tainted.get(name).cloned()));
        // `print("performance:", value, "tok/s")`.
        if call.arguments.args.len() > 1 {
            let joined: Vec<String> = call.arguments.args.iter().map(literal).collect();
            let joined = joined.join(" ");
            if has_needle(&joined) {
                texts = vec![joined];
            }
        }
        texts
    }

    /// The words of the program that a call starts; no words if they are not known.
    pub(super) fn command(&self, call: &ExprCall) -> Option<Vec<String>> {
        let (base, name) = path_of(&call.func);
        let starts = match base.as_str() {
            "subprocess" | "sp" => matches!(
                name.as_str(),
                "run" | "call" | "check_call" | "check_output" | "Popen" | "getoutput"
            ),
            "os" => matches!(name.as_str(), "system" | "popen" | "execvp" | "execv"),
            "runpy" => name == "run_path",
            _ => false,
        };
        if !starts {
            return None;
        }
        let first = call.arguments.args.iter().find(|_| !name.starts_with("exec"));
        let words = match (first, name.as_str()) {
            (Some(Expr::StringLiteral(path)), "run_path") => {
                vec!["python3".to_owned(), path.value.to_str().to_owned()]
            }
            (Some(expr), _) => self.words(expr),
            (None, _) => Vec::new(),
        };
        Some(words)
    }

    fn words(&self, expr: &Expr) -> Vec<String> {
        match expr {
            Expr::List(list) => list.elts.iter().map(|e| self.word(e)).collect(),
            Expr::Tuple(tuple) => tuple.elts.iter().map(|e| self.word(e)).collect(),
            Expr::Name(name) => self.constants.get(name.id.as_str()).cloned().into_iter().collect(),
            Expr::Call(call) if path_of(&call.func).1 == "split" => {
                self.words(call.arguments.args.first().unwrap_or(expr_of(&call.func)))
            }
            expr => {
                let text = literal(expr);
                if text.starts_with(HOLE) { Vec::new() } else { vec![text] }
            }
        }
    }

    fn word(&self, expr: &Expr) -> String {
        match expr {
            Expr::Name(name) => self.constants.get(name.id.as_str()).cloned(),
            Expr::Attribute(a) if a.attr.as_str() == "executable" => Some("python3".to_owned()),
            _ => None,
        }
        .unwrap_or_else(|| literal(expr))
    }
}

fn expr_of(func: &Expr) -> &Expr {
    match func {
        Expr::Attribute(attribute) => &attribute.value,
        other => other,
    }
}

/// Who is given what.
#[derive(Default)]
struct Edges {
    /// A name, the metric lines it is given, and the names it is given.
    assigned: Vec<(String, Vec<String>, HashSet<String>)>,
    constants: HashMap<String, String>,
    functions: Vec<String>,
}

impl Edges {
    fn assign(&mut self, target: &Expr, value: &Expr) {
        let name = match target {
            Expr::Name(name) => name.id.to_string(),
            Expr::Attribute(attribute) => attribute.attr.to_string(),
            Expr::Subscript(subscript) => return self.assign(&subscript.value, value),
            Expr::Tuple(tuple) => {
                return tuple.elts.iter().for_each(|target| self.assign(target, value));
            }
            _ => return,
        };
        if let Expr::StringLiteral(text) = value {
            self.constants.insert(name.clone(), text.value.to_str().to_owned());
        } else {
            self.constants.remove(&name);
        }
        self.give(name, value);
    }

    fn give(&mut self, name: String, value: &Expr) {
        let mut found = Mentioned::default();
        found.visit_expr(value);
        self.assigned.push((name, found.texts, found.names));
    }
}

impl<'a> Visitor<'a> for Edges {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Assign(assign) => {
                assign.targets.iter().for_each(|target| self.assign(target, &assign.value));
            }
            Stmt::AugAssign(assign) => self.assign(&assign.target, &assign.value),
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.assign(&assign.target, value);
                }
            }
            Stmt::For(each) => self.assign(&each.target, &each.iter),
            Stmt::Return(back) => {
                if let (Some(value), Some(name)) = (&back.value, self.functions.last().cloned()) {
                    self.give(name, value);
                }
            }
            Stmt::FunctionDef(function) => {
                self.functions.push(function.name.to_string());
                walk_stmt(self, stmt);
                self.functions.pop();
                return;
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        // `lines.append(text)`.
        if let Expr::Call(call) = expr
            && let Expr::Attribute(method) = call.func.as_ref()
            && matches!(method.attr.as_str(), "append" | "extend" | "insert" | "write" | "add")
            && let Expr::Name(list) = method.value.as_ref()
        {
            for arg in &call.arguments.args {
                self.give(list.id.to_string(), arg);
            }
        }
        walk_expr(self, expr);
    }
}

/// The metric lines and the names inside an expression that become part of its value.
#[derive(Default)]
struct Mentioned {
    texts: Vec<String>,
    names: HashSet<String>,
}

impl<'a> Visitor<'a> for Mentioned {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            // Comparing with a text, or searching for it, does not yield it.
            Expr::Compare(_) => return,
            Expr::Call(call) => {
                let (base, name) = path_of(&call.func);
                let searches = base == "re"
                    || matches!(
                        name.as_str(),
                        "search"
                            | "match"
                            | "fullmatch"
                            | "findall"
                            | "finditer"
                            | "compile"
                            | "startswith"
                            | "endswith"
                            | "find"
                            | "rfind"
                            | "index"
                            | "count"
                            | "removeprefix"
                            | "strip"
                            | "lstrip"
                            | "split"
                            | "partition"
                    );
                if searches {
                    if let Expr::Attribute(a) = call.func.as_ref()
                        && matches!(name.as_str(), "strip" | "lstrip" | "split")
                    {
                        self.visit_expr(&a.value);
                    }
                    return;
                }
            }
            Expr::Name(name) => {
                self.names.insert(name.id.to_string());
            }
            Expr::Attribute(attribute) => {
                self.names.insert(attribute.attr.to_string());
            }
            Expr::StringLiteral(_) | Expr::FString(_) | Expr::BinOp(_) => {
                let text = literal(expr);
                if has_needle(&text) {
                    self.texts.push(text);
                    return;
                }
            }
            _ => {}
        }
        if let Expr::Call(call) = expr
            && let Expr::Attribute(a) = call.func.as_ref()
            && a.attr.as_str() == "format"
        {
            let text = literal(expr);
            if has_needle(&text) {
                self.texts.push(text);
                return;
            }
        }
        walk_expr(self, expr);
    }
}
