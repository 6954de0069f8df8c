//! Redirections: what feeds a command, and where its output goes.

use brush_parser::ast;

use super::Tracer;
use super::command::STDIN;
use super::shell::{Env, Value};
use super::text::{HOLE, Item, has_needle, opaque_part};
use crate::diagnostic::Place;

impl Tracer<'_> {
    /// What a redirection feeds into a command.
    pub(super) fn redirect_in(
        &mut self,
        env: &mut Env,
        redirect: &ast::IoRedirect,
        place: &Place,
        stdin: &mut Vec<Item>,
    ) {
        match redirect {
            ast::IoRedirect::HereDocument(_, document) => {
                let text = match document.requires_expansion {
                    true => self.expand_document(env, &document.doc.value, place),
                    false => document.doc.value.clone(),
                };
                stdin.push(Item::new(text, place));
            }
            ast::IoRedirect::HereString(_, word) => {
                let texts = self.expand(env, word, place).texts;
                stdin.extend(texts.into_iter().map(|text| Item::new(text, place)));
            }
            ast::IoRedirect::File(_, ast::IoFileRedirectKind::Read, target) => match target {
                ast::IoFileRedirectTarget::Filename(word) => {
                    for name in self.expand(env, word, place).texts {
                        stdin.extend(self.file_content(env, &name, place));
                    }
                }
                ast::IoFileRedirectTarget::ProcessSubstitution(_, sub) => {
                    self.list(&mut env.clone(), &sub.list, stdin);
                }
                _ => {}
            },
            _ => {}
        }
    }

    pub(super) fn redirect_all(
        &mut self,
        env: &mut Env,
        redirects: Option<&ast::RedirectList>,
        mut out: Vec<Item>,
    ) -> Vec<Item> {
        let place = env.place(None);
        for redirect in redirects.iter().flat_map(|r| &r.0) {
            out = self.redirect_out(env, redirect, &place, out);
        }
        out
    }

    /// What is left of the output after a redirection.
    pub(super) fn redirect_out(
        &mut self,
        env: &mut Env,
        redirect: &ast::IoRedirect,
        place: &Place,
        out: Vec<Item>,
    ) -> Vec<Item> {
        use ast::{IoFileRedirectKind as K, IoFileRedirectTarget as T, IoRedirect as R};
        let word = match redirect {
            R::OutputAndError(word, _) => word,
            R::File(fd, K::Write | K::Append | K::Clobber, target) if fd.unwrap_or(1) == 1 => {
                match target {
                    T::Filename(word) => word,
                    T::ProcessSubstitution(_, sub) => {
                        let mut env = env.clone();
                        let mut shown = Vec::new();
                        env.vars.insert(STDIN.to_owned(), stdin_value(&out));
                        self.list(&mut env, &sub.list, &mut shown);
                        // `> >(tee log)` is by far the most frequent: it shows its input.
                        shown.extend(out);
                        return shown;
                    }
                    _ => return out,
                }
            }
            _ => return out,
        };
        let names = self.expand(env, word, place).texts;
        let Some(name) = names.first() else { return out };
        if matches!(name.as_str(), "/dev/stdout" | "/dev/stderr" | "/dev/tty") {
            return out;
        }
        for name in &names {
            self.mention(name);
        }
        if name != "/dev/null" {
            self.write(name, out);
        }
        Vec::new()
    }
}

/// What `read` may find in a variable when these are its input.
pub(super) fn stdin_value(stdin: &[Item]) -> Value {
    let interesting = |item: &&Item| has_needle(&item.text) || opaque_part(&item.text).is_some();
    let mut texts: Vec<String> =
        stdin.iter().filter(interesting).take(8).map(|item| item.text.clone()).collect();
    if texts.is_empty() {
        texts.push(HOLE.to_string());
    }
    Value::alternatives(texts)
}
