//! Stub while the real one is being written.
#![allow(missing_docs, unused)]
pub mod python;
use crate::catalog::{Catalog, Model};
use crate::diagnostic::{Diagnostic, Severity};
use std::path::{Path, PathBuf};
#[derive(Debug)]
pub struct Validator<'a>(&'a Catalog);
impl<'a> Validator<'a> {
    pub fn new(catalog: &'a Catalog) -> Self {
        Self(catalog)
    }
    pub fn model(&self, m: &Model) -> Vec<Diagnostic> {
        self.0.problems_of(&m.name).cloned().collect()
    }
    pub fn all(&self, m: &[Model]) -> Vec<Diagnostic> {
        self.0.problems.clone()
    }
}
pub struct Rule {
    pub id: &'static str,
    pub title: &'static str,
    pub severity: Severity,
    pub explanation: &'static str,
}
pub const RULES: &[Rule] = &[];
pub fn rule(id: &str) -> Option<&'static Rule> {
    None
}
pub fn render_text(d: &[Diagnostic], c: &Catalog, color: bool) -> String {
    d.iter().map(|d| format!("{d}\n")).collect()
}
pub fn render_json(d: &[Diagnostic], n: usize) -> serde_json::Value {
    serde_json::json!({ "diagnostics": d })
}
pub fn render_github(d: &[Diagnostic]) -> String {
    String::new()
}
pub type Context = std::collections::BTreeMap<String, serde_json::Value>;
pub fn dockerfiles(root: &Path, prefix: &Path) -> Vec<(PathBuf, Result<Context, String>)> {
    Vec::new()
}
