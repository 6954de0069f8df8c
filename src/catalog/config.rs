//! `mad.toml`: defaults for a whole catalog.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::Lever;
use crate::diagnostic::{Diagnostic, Place};
use crate::history::SharedHistory;
use crate::regress::WINDOW;
use crate::run::Reach;

/// Name of the file, beside `models.json`.
pub const CONFIG_FILE: &str = "mad.toml";
/// Whether programs that list entries run, whatever the file says: who checks a change
/// that he does not trust must not ask a file that the change may have written.
pub const PYTHON_VARIABLE: &str = "MAD_CATALOG_PYTHON";
/// Directory of the baseline files, whatever the file says.
pub const BASELINE_VARIABLE: &str = "MAD_BASELINE_DIR";

/// Defaults for every entry of the catalog; an entry's own values win.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How entries are run, measured and judged when they do not say it themselves.
    pub defaults: Defaults,
    /// Where accepted numbers live.
    pub baseline: BaselineConfig,
    /// How entries are found.
    pub catalog: CatalogConfig,
    /// How sure a red run must be.
    pub gate: GateConfig,
    /// Options of Slurm jobs: what `slurm` of the context has, for every entry.
    pub slurm: serde_json::Map<String, serde_json::Value>,
    /// Where past runs are kept.
    pub history: HistoryConfig,
    /// What may be tried to make entries faster, beside what the program knows.
    pub levers: Vec<Lever>,
}

/// The `[history]` table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryConfig {
    /// `postgres://…`: the database that a team's machines share; without a password.
    pub url: Option<String>,
}

/// The `[gate]` table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// Share of whole runs of unchanged code that may end red (default 0.01).
    pub false_alarms: Option<f64>,
    /// Checks (metrics of all entries) of a whole run (default 300).
    pub checks: Option<u32>,
    /// Entry that says whether the machine is as it was; else one with the tag `canary`.
    pub canary: Option<String>,
    /// When the canary has shifted: judge what is left after its shift, instead of nothing.
    pub normalise: bool,
}

/// The `[defaults]` table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// `auto`, `host`, `container`, `slurm` or `madengine`.
    pub engine: Option<String>,
    /// Executions per Measurement.
    pub samples: Option<u32>,
    /// Executions thrown away first.
    pub warmup: Option<u32>,
    /// Relative change that is still "same".
    pub tolerance: Option<f64>,
    /// Seconds after which an execution is ended; 0 is never.
    pub timeout: Option<f64>,
    /// Whether an Execution has the CPU for itself.
    pub exclusive: Option<bool>,
}

/// The `[baseline]` table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineConfig {
    /// Directory of the baseline files, relative to the catalog root.
    pub dir: PathBuf,
    /// Runs that must agree before numbers are first accepted.
    pub agree: usize,
    /// Accepted runs of the current level that a judgement looks back on at most.
    pub window: usize,
    /// How far from the conditions of a run accepted numbers may be to judge it by.
    pub fallback: Reach,
}

impl Default for BaselineConfig {
    fn default() -> Self {
        BaselineConfig {
            dir: "baselines".into(),
            agree: 3,
            window: WINDOW,
            fallback: Reach::default(),
        }
    }
}

/// The `[catalog]` table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// Whether `scripts/<dir>/get_models_json.py` is run, which alone knows its entries.
    pub python: bool,
    /// Seconds after which such a program is ended; 0 is never.
    pub python_timeout: f64,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        CatalogConfig { python: true, python_timeout: 60.0 }
    }
}

impl Config {
    /// `root/mad.toml`, where an absent file is all defaults, and what the environment says
    /// over it.
    pub(super) fn load(root: &Path, problems: &mut Vec<Diagnostic>) -> Config {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut config = Config::read(root, problems);
        if let Some(dir) = variable(BASELINE_VARIABLE) {
            config.baseline.dir = crate::engine::absolute(Path::new(&dir));
        }
        if let Some(word) = variable(PYTHON_VARIABLE) {
            let word = word.to_string_lossy().trim().to_lowercase();
            let allowed = ["1", "true", "yes", "on"].contains(&word.as_str());
            // It can forbid what the file allows, not allow what the file forbids.
            config.catalog.python &= allowed;
            if !allowed && !["0", "false", "no", "off"].contains(&word.as_str()) {
                let message = format!("{PYTHON_VARIABLE}={word}: expected 1 or 0");
                problems.push(Diagnostic::error("MAD003", Place::file(CONFIG_FILE), message));
            }
        }
        config
    }

    fn read(root: &Path, problems: &mut Vec<Diagnostic>) -> Config {
        let text = match std::fs::read_to_string(root.join(CONFIG_FILE)) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Config::default(),
            Err(e) => {
                let message = format!("cannot read {CONFIG_FILE}: {e}");
                problems.push(Diagnostic::error("MAD001", Place::file(CONFIG_FILE), message));
                return Config::unknown();
            }
        };
        match toml::from_str::<Config>(&text) {
            Ok(config) => {
                config.check(&text, problems);
                config
            }
            Err(e) => {
                let span = e.span().unwrap_or(0..0);
                let place = Place::span(CONFIG_FILE, &text, span);
                problems.push(Diagnostic::error("MAD001", place, e.message().to_owned()));
                Config::unknown()
            }
        }
    }

    /// What holds when the file cannot be read: it may forbid programs.
    fn unknown() -> Config {
        let catalog = CatalogConfig { python: false, ..CatalogConfig::default() };
        Config { catalog, ..Config::default() }
    }

    fn check(&self, text: &str, problems: &mut Vec<Diagnostic>) {
        let d = &self.defaults;
        let gate = &self.gate;
        let mut complain = |key: &str, what: &str| {
            // Not within another key, as `timeout` is within `python_timeout`.
            let word = |(at, _): &(usize, &str)| {
                !text[..*at].ends_with(|c: char| c == '_' || c.is_alphanumeric())
            };
            let start = text.match_indices(key).find(word).map_or(0, |(at, _)| at);
            let place = Place::span(CONFIG_FILE, text, start..start + key.len());
            problems.push(Diagnostic::error("MAD003", place, format!("`{key}` must be {what}")));
        };
        let levers: Vec<String> =
            self.levers.iter().flat_map(crate::profile::levers::problems).collect();
        if d.samples == Some(0) {
            complain("samples", "1 or more");
        }
        if d.tolerance.is_some_and(|t| !(0.0..1.0).contains(&t)) {
            complain("tolerance", "from 0 to below 1 (0.05 is 5 %)");
        }
        let is_limit = |t: f64| t.is_finite() && t >= 0.0;
        if gate.false_alarms.is_some_and(|f| !(f > 0.0 && f <= 0.5)) {
            complain("false_alarms", "above 0, at most 0.5 (0.01 is one run in 100)");
        }
        if self.baseline.agree == 0 {
            complain("agree", "1 or more");
        }
        if !(2..=100).contains(&self.baseline.window) {
            complain("window", "from 2 to 100");
        }
        if gate.checks == Some(0) {
            complain("checks", "1 or more");
        }
        if d.timeout.is_some_and(|t| !is_limit(t)) {
            complain("timeout", "0 (never) or a number of seconds");
        }
        if !is_limit(self.catalog.python_timeout) {
            complain("python_timeout", "0 (never) or a number of seconds");
        }
        if let Some(url) = &self.history.url {
            // Without the line, which may hold the password.
            let mut complain = |message: String| {
                problems.push(Diagnostic::error("MAD003", Place::file(CONFIG_FILE), message));
            };
            if SharedHistory::has_password(url) {
                complain(
                    "`[history] url` has a password in it, for everybody to read; it belongs in \
                     PGPASSWORD or ~/.pgpass"
                        .to_owned(),
                );
            } else if let Err(e) = SharedHistory::parse(url) {
                complain(format!("`[history] url`: {e}"));
            }
        }
        for message in levers {
            let start = text.find("levers").unwrap_or(0);
            let place = Place::span(CONFIG_FILE, text, start..start + "levers".len());
            problems.push(Diagnostic::error("MAD003", place, message));
        }
    }
}
