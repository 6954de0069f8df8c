//! Programs that commands start: other scripts, interpreters, wrappers, binaries.

use std::path::{Path, PathBuf};

use brush_parser::ast;

use super::command::key;
use super::shell::{Env, unknown_program};
use super::text::{HOLE, Item, OPAQUE, ROOT};
use super::word::base_name;
use super::{Tracer, source, tables};
use crate::diagnostic::Place;
use crate::validate::files::normalise;

impl Tracer<'_> {
    pub(super) fn function_body(
        &mut self,
        env: &mut Env,
        body: &ast::FunctionBody,
        stdin: &[Item],
    ) -> Vec<Item> {
        let out = self.compound(env, &body.0, stdin.to_vec());
        self.redirect_all(env, body.1.as_ref(), out)
    }

    /// A path relative to the root for what a script calls `name`; `None` when it
    /// cannot be below the root.
    pub(super) fn resolve_path(&self, env: &Env, name: &str) -> Option<PathBuf> {
        if let Some(rest) = name.strip_prefix(ROOT) {
            return match rest.contains([HOLE, OPAQUE]) {
                true => None,
                false => normalise(Path::new(rest.trim_start_matches('/'))),
            };
        }
        // `$SOMEWHERE/x.sh` is mostly the script's own directory.
        if let Some(at) = name.rfind([HOLE, OPAQUE]) {
            let rest = name[at..].trim_start_matches([HOLE, OPAQUE]).strip_prefix('/')?;
            return normalise(&env.script_dir().join(rest));
        }
        if name.starts_with('/') || name.starts_with('~') {
            return None;
        }
        normalise(&env.cwd.as_deref()?.join(name))
    }

    /// The same, falling back on the script's directory: a file that is not where the
    /// script looks may be where it stands.
    pub(super) fn resolve(&self, env: &Env, name: &str) -> Option<PathBuf> {
        let path = self.resolve_path(env, name);
        if path.as_ref().is_some_and(|p| self.files.is_file(p) || self.files.is_dir(p)) {
            return path;
        }
        if name.starts_with(['/', '~', ROOT]) {
            return path;
        }
        let beside = normalise(&env.script_dir().join(name)).filter(|p| self.files.is_file(p));
        beside.or(path)
    }

    /// A program that is not a builtin.
    pub(super) fn program_named(
        &mut self,
        env: &mut Env,
        words: &[String],
        stdin: &[Item],
        place: &Place,
    ) -> Vec<Item> {
        let (first, rest) = (&words[0], &words[1..]);
        let program = base_name(first);
        if tables::is_python(&program) {
            return self.python_command(env, first, rest, stdin, place);
        }
        if tables::is_shell(&program) {
            return self.shell_command(env, rest, stdin, place);
        }
        if let Some(out) = self.file(env, first, rest, place) {
            return out;
        }
        if tables::is_quiet(&program) && !first.contains('/') {
            return Vec::new();
        }
        let nested = self.nested(env, rest, stdin, place);
        let known = tables::is_wrapper(&program) || first.contains("MAD_MULTI_NODE_RUNNER");
        // A variable in front of a script is a runner of some kind.
        let runner = first.starts_with(HOLE);
        match nested {
            Some(out) if known || runner => out,
            // `env`, `exec`, `time` without a command.
            None if known && rest.iter().all(|w| w.starts_with('-') || w.contains('=')) => {
                Vec::new()
            }
            nested => {
                let what = match first.contains([HOLE, OPAQUE]) {
                    true => Item::opaque(
                        "a command comes from a variable this check cannot follow",
                        place,
                    ),
                    false => Item::new(unknown_program(&program), place),
                };
                let mut out = nested.unwrap_or_default();
                out.push(what);
                out
            }
        }
    }

    /// The program among the arguments of a wrapper, if one is recognised.
    fn nested(
        &mut self,
        env: &mut Env,
        words: &[String],
        stdin: &[Item],
        place: &Place,
    ) -> Option<Vec<Item>> {
        for (i, word) in words.iter().enumerate() {
            if word.starts_with('-') || word.is_empty() {
                continue;
            }
            let name = base_name(word);
            let known = tables::is_python(&name)
                || tables::is_shell(&name)
                || tables::is_wrapper(&name)
                || tables::is_filter(&name)
                || (tables::is_quiet(&name) && !word.contains('/') && i == 0)
                || matches!(name.as_str(), "echo" | "printf" | "awk" | "grep" | "sed")
                || env.function(word).is_some()
                || self.is_script(env, word);
            if known {
                return Some(self.run_nested(env, &words[i..], stdin, place));
            }
            if word.contains(' ') && !word.contains('=') {
                // `ssh host 'command'`.
                let out = self.shell_text(&mut env.clone(), word, place);
                return Some(out);
            }
        }
        None
    }

    fn run_nested(
        &mut self,
        env: &mut Env,
        words: &[String],
        stdin: &[Item],
        place: &Place,
    ) -> Vec<Item> {
        self.enter("", place, |tracer| match words[0].ends_with(".py") {
            true => tracer.file(env, &words[0], &words[1..], place).unwrap_or_default(),
            false => tracer.run(env, words, stdin, place),
        })
    }

    /// Whether `word` names a script, or a program that was compiled or written.
    fn is_script(&self, env: &Env, word: &str) -> bool {
        let name = base_name(word);
        if self.compiled.contains_key(&name) {
            return true;
        }
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending {
            "sh" | "py" | "bash" | "slurm" | "sbatch" => {
                self.written.contains_key(&name)
                    || self.resolve(env, word).is_some_and(|p| self.files.is_file(&p))
            }
            _ => {
                word.contains('/')
                    && self.resolve(env, word).is_some_and(|p| self.files.is_file(&p))
            }
        }
    }

    /// Runs a file by its name; `None` if it is none that can be seen.
    fn file(
        &mut self,
        env: &mut Env,
        name: &str,
        args: &[String],
        place: &Place,
    ) -> Option<Vec<Item>> {
        let base = base_name(name);
        if let Some(sources) = self.compiled.get(&base).cloned() {
            return Some(self.compiled_sources(&sources, place));
        }
        if !name.contains('/') && !base.contains('.') {
            return None;
        }
        let ending = base.rsplit_once('.').map_or("", |(_, ending)| ending);
        if let Some(items) = self.written.get(&base).cloned().filter(|items| !items.is_empty()) {
            return Some(self.enter(name, place, |tracer| {
                let mut out = Vec::new();
                for item in items {
                    out.extend(match ending {
                        "py" => tracer.python_text(env.script_dir(), &item.text, place),
                        _ => tracer.shell_text(&mut env.clone(), &item.text, place),
                    });
                }
                out
            }));
        }
        let path = self.resolve(env, name).filter(|path| self.files.is_file(path))?;
        Some(self.enter(&key(&path), place, |tracer| tracer.run_file(env, &path, args, place)))
    }

    fn run_file(&mut self, env: &Env, path: &Path, args: &[String], place: &Place) -> Vec<Item> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let shebang = match ending {
            "sh" | "bash" | "slurm" | "sbatch" | "py" => String::new(),
            _ => self
                .read(path)
                .and_then(|t| t.lines().next().map(str::to_owned))
                .unwrap_or_default(),
        };
        if ending == "py" || shebang.contains("python") {
            return self.python_file(path);
        }
        if matches!(ending, "sh" | "bash" | "slurm" | "sbatch") || shebang.contains("sh") {
            let mut inner = env.clone();
            inner.script = path.to_owned();
            inner.args = args.to_vec();
            inner.branches = 0;
            return self.shell_file(&mut inner, path);
        }
        let what = format!("`{}` is a program this check cannot look into", path.display());
        vec![Item::opaque(&what, place)]
    }

    fn compiled_sources(&mut self, sources: &[PathBuf], place: &Place) -> Vec<Item> {
        let mut out = Vec::new();
        for path in sources {
            match self.read(path) {
                Some(text) => {
                    for (literal, line) in source::strings(&text) {
                        self.mention(&literal);
                        let at = Place { line, ..Place::file(path) };
                        out.push(Item::new(literal, &at));
                    }
                }
                None => {
                    let what =
                        format!("`{}` is compiled and not part of the catalog", path.display());
                    out.push(Item::opaque(&what, place));
                }
            }
        }
        out
    }

    /// `bash [options] [-c text | file | <stdin]`.
    fn shell_command(
        &mut self,
        env: &mut Env,
        words: &[String],
        stdin: &[Item],
        place: &Place,
    ) -> Vec<Item> {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "-o" || word == "--rcfile" {
                words.next();
            } else if word.starts_with('-') && !word.starts_with("--") && word.contains('c') {
                let text = words.next().cloned().unwrap_or_default();
                let mut inner = env.clone();
                inner.args = words.skip(1).cloned().collect();
                return self.enter("", place, |tracer| tracer.shell_text(&mut inner, &text, place));
            } else if !word.starts_with('-') {
                let args: Vec<String> = words.cloned().collect();
                if let Some(path) = self.resolve(env, word).filter(|p| self.files.is_file(p)) {
                    let mut inner = env.clone();
                    inner.script.clone_from(&path);
                    inner.args = args;
                    inner.branches = 0;
                    return self
                        .enter(&key(&path), place, |tracer| tracer.shell_file(&mut inner, &path));
                }
                return self.file(env, word, &args, place).unwrap_or_else(|| {
                    vec![Item::opaque(&format!("`{word}` is not a file of the catalog"), place)]
                });
            }
        }
        self.enter("", place, |tracer| {
            let run = |item: &Item| tracer.shell_text(&mut env.clone(), &item.text, place);
            stdin.iter().flat_map(run).collect()
        })
    }

    /// `python3 [options] [-c code | -m module | file | - | <stdin]`.
    fn python_command(
        &mut self,
        env: &mut Env,
        first: &str,
        words: &[String],
        stdin: &[Item],
        place: &Place,
    ) -> Vec<Item> {
        let dir = env.cwd.clone().unwrap_or_else(|| env.script_dir().to_owned());
        let mut rest = words.iter().enumerate();
        while let Some((i, word)) = rest.next() {
            match word.as_str() {
                "-c" => {
                    let code = words.get(i + 1).cloned().unwrap_or_default();
                    return self.enter("", place, |tracer| tracer.python_text(&dir, &code, place));
                }
                "-m" => {
                    let module = words.get(i + 1).cloned().unwrap_or_default();
                    return self.python_module(
                        env,
                        &module,
                        &words[(i + 2).min(words.len())..],
                        place,
                    );
                }
                "-W" | "-X" => {
                    rest.next();
                }
                "-" => break,
                "-V" | "--version" => return Vec::new(),
                option if option.starts_with('-') => {}
                name => {
                    if let Some(path) = self.resolve(env, name).filter(|p| self.files.is_file(p)) {
                        return self.enter(&key(&path), place, |tracer| tracer.python_file(&path));
                    }
                    return self.file(env, name, &words[i + 1..], place).unwrap_or_else(|| {
                        vec![Item::opaque(&format!("`{name}` is not a file of the catalog"), place)]
                    });
                }
            }
        }
        if stdin.is_empty() {
            return vec![Item::opaque(
                &format!("`{first}` reads a program that is not known"),
                place,
            )];
        }
        self.enter("", place, |tracer| {
            stdin.iter().flat_map(|item| tracer.python_text(&dir, &item.text, place)).collect()
        })
    }

    fn python_module(
        &mut self,
        env: &mut Env,
        module: &str,
        args: &[String],
        place: &Place,
    ) -> Vec<Item> {
        let package = module.split('.').next().unwrap_or_default();
        if tables::is_quiet_module(package) {
            return Vec::new();
        }
        let path = module.replace('.', "/");
        for candidate in [format!("{path}.py"), format!("{path}/__main__.py")] {
            if let Some(path) = self.resolve(env, &candidate).filter(|p| self.files.is_file(p)) {
                return self.enter(&key(&path), place, |tracer| tracer.python_file(&path));
            }
        }
        // `-m torch.distributed.run x.py` starts a script.
        let script = args.iter().position(|w| w.ends_with(".py") && self.is_script(env, w));
        match script {
            Some(at) => self.run_nested(env, &args[at..], &[], place),
            None => {
                let what = format!("the Python module `{module}` is not part of the catalog");
                vec![Item::opaque(&what, place)]
            }
        }
    }
}
