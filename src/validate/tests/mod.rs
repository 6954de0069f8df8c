//! Small catalogs in temporary directories, and what is said about them.

mod contract;
mod hostile;
mod output;
mod rules;

use std::path::Path;

use super::Validator;
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;

/// A catalog on disk: file names and contents.
pub(super) struct Tree(tempfile::TempDir);

impl Tree {
    pub(super) fn new(files: &[(&str, &[u8])]) -> Tree {
        let tree = Tree(tempfile::tempdir().unwrap());
        for (name, content) in files {
            let path = tree.root().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        tree
    }

    /// One complete entry `m` with more keys (`"args": "x"`), and its files.
    pub(super) fn entry(keys: &str, files: &[(&str, &str)]) -> Tree {
        let comma = if keys.is_empty() { "" } else { ", " };
        let script = if keys.contains("\"scripts\"") { "" } else { "\"scripts\": \"s/run.sh\", " };
        let metadata = ["owner", "training_precision", "n_gpus"]
            .iter()
            .filter(|key| !keys.contains(&format!("\"{key}\"")))
            .map(|key| format!(", \"{key}\": \"1\""))
            .collect::<String>();
        let tags = if keys.contains("\"tags\"") { "" } else { ", \"tags\": [\"t\"]" };
        let json = format!("[{{{script}\"name\": \"m\"{comma}{keys}{metadata}{tags}}}]");
        let mut all: Vec<(&str, &[u8])> = vec![("models.json", json.as_bytes())];
        if !files.iter().any(|(name, _)| *name == "s/run.sh") && !script.is_empty() {
            all.push(("s/run.sh", b"echo \"performance: $x tok/s\"\n"));
        }
        all.extend(files.iter().map(|(name, text)| (*name, text.as_bytes())));
        Tree::new(&all)
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn check(&self) -> Vec<Diagnostic> {
        let catalog = Catalog::load(self.root());
        Validator::new(&catalog).all(&catalog.models)
    }

    /// The ids of the findings, sorted, each once.
    pub(super) fn ids(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = self.check().iter().map(|d| d.rule).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
