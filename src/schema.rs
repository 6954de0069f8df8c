//! JSON Schemas of the formats on disk, generated from the types.
//!
//! They are checked in below `docs/schema/`; a test says when they are stale.

use schemars::{Schema, schema_for};
use serde_json::json;

/// A format that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `models.json`.
    Catalog,
    /// `mad.toml`.
    Config,
    /// `baselines/<machine class>/<model>.json`.
    Baseline,
    /// `measurement.json`.
    Measurement,
    /// `verdict.json`.
    Verdict,
    /// `cases/<case>.json`.
    Case,
    /// `mad machine`.
    Machine,
    /// `build_manifest.json`.
    Manifest,
    /// `mad report --format json`.
    Report,
    /// `mad history --json`.
    History,
    /// `mad history --tuning --json`.
    TuningHistory,
    /// `mad report --format json` of a search.
    TuningReport,
    /// `slurm-<n>/note.json`.
    SlurmJob,
    /// `sweep.json`.
    Sweep,
    /// `mad sweep --json`.
    SweepReport,
    /// `mad diagnose --json`.
    Diagnosis,
    /// `comparison.json`, and `mad compare --json`.
    Comparison,
    /// `tuning.json`, and `mad tune-search --json`.
    Tuning,
}

impl Document {
    /// Every format.
    pub const ALL: [Document; 18] = [
        Document::Catalog,
        Document::Config,
        Document::Baseline,
        Document::Measurement,
        Document::Verdict,
        Document::Case,
        Document::Machine,
        Document::Manifest,
        Document::Report,
        Document::History,
        Document::TuningHistory,
        Document::TuningReport,
        Document::SlurmJob,
        Document::Sweep,
        Document::SweepReport,
        Document::Diagnosis,
        Document::Comparison,
        Document::Tuning,
    ];

    /// Its word on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Document::Catalog => "catalog",
            Document::Config => "config",
            Document::Baseline => "baseline",
            Document::Measurement => "measurement",
            Document::Verdict => "verdict",
            Document::Case => "case",
            Document::Machine => "machine",
            Document::Manifest => "manifest",
            Document::Report => "report",
            Document::History => "history",
            Document::TuningHistory => "tuning-history",
            Document::TuningReport => "tuning-report",
            Document::SlurmJob => "slurm-job",
            Document::Sweep => "sweep",
            Document::SweepReport => "sweep-report",
            Document::Diagnosis => "diagnosis",
            Document::Comparison => "comparison",
            Document::Tuning => "tuning",
        }
    }
}

/// The schema of `document`, pretty, with a final newline.
pub fn text(document: Document) -> String {
    let schema = match document {
        Document::Catalog => catalog(),
        Document::Config => schema_for!(crate::catalog::Config),
        Document::Baseline => schema_for!(crate::baseline::Baseline),
        Document::Measurement => schema_for!(crate::record::Measurement),
        Document::Verdict => schema_for!(crate::run::VerdictRecord),
        Document::Case => schema_for!(crate::record::CaseRecord),
        Document::Machine => schema_for!(crate::machine::Machine),
        Document::Manifest => schema_for!(crate::manifest::Manifest),
        Document::Report => schema_for!(crate::report::Report),
        Document::History => schema_for!(crate::history::HistoryReport),
        Document::TuningHistory => schema_for!(crate::history::TuningHistory),
        Document::TuningReport => schema_for!(crate::tune::TuningReport),
        Document::SlurmJob => schema_for!(crate::engine::slurm::JobNote),
        Document::Sweep => schema_for!(crate::sweep::SweepRecord),
        Document::SweepReport => schema_for!(crate::sweep::Synthesis),
        Document::Diagnosis => schema_for!(crate::profile::Diagnosis),
        Document::Comparison => schema_for!(crate::compare::Comparison),
        Document::Tuning => schema_for!(crate::tune::Tuning),
    };
    format!("{:#}\n", schema.to_value())
}

/// A catalog file is an array of entries.
fn catalog() -> Schema {
    let mut schema = schema_for!(Vec<crate::catalog::Entry>);
    schema.insert("title".into(), json!("mad-harness catalog"));
    schema
}
