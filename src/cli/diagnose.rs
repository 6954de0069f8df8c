//! `mad diagnose`: what existing traces say.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::{Exit, Global, load, print};
use crate::catalog::CONFIG_FILE;
use crate::profile::levers::{Catalogs, DetectedStack, Stack, detect};
use crate::profile::{self, Diagnosis};
use crate::record::write_atomically;

/// Say what holds a workload back, from traces that exist. Runs nothing.
#[derive(Args, Debug)]
#[command(after_help = "\
Reads what rocprofv3 (CSV, rocpd), rocm_trace_lite, RPD, Nsight Systems (SQLite, `nsys stats`
CSV), Nsight Compute (CSV, text), PyTorch's profiler (chrome trace, gzip too) and Linux perf
(stat, report, script) wrote, logs of NCCL and RCCL, and what `mad profile` sampled. The content
says what a file is. Of a directory, the format that says most is read.

Exit status:
  0 ok · 1 a file is damaged, or there is no kernel in it · 4 nothing that can be diagnosed

Examples:
  mad diagnose rocprof_output/               a directory: says which files it took
  mad diagnose trace.json.gz --top 20
  mad diagnose trace.db --model pyt_vllm_qwen3-8b   with the levers of its stack and its own
  mad diagnose trace.db -o diagnosis.html    a page with a bar chart")]
pub(super) struct Diagnose {
    /// A file that a profiler wrote, or a directory with such files
    path: PathBuf,
    /// How it is written [default: what the ending of FILE says, otherwise text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write it to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The entry that was profiled: its stack and its own levers count
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The software it is built on, instead of what the entry says
    #[arg(long, value_enum)]
    stack: Option<Stack>,
    /// Kernels in the text
    #[arg(long, value_name = "N", default_value = "10")]
    top: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Html,
    Svg,
}

impl Format {
    fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "json" => Some(Format::Json),
            "html" | "htm" => Some(Format::Html),
            "svg" => Some(Format::Svg),
            _ => None,
        }
    }
}

impl Diagnose {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let diagnosis = self.with_levers(profile::diagnose(&self.path)?, global)?;
        let output = self.output.as_deref();
        let format = match self.format.or_else(|| output.and_then(Format::of)) {
            Some(format) => format,
            None if global.json && output.is_none() => Format::Json,
            None => Format::Text,
        };
        let json = || serde_json::to_string_pretty(&diagnosis).map(|json| json + "\n");
        let written = match format {
            Format::Text => profile::text(&diagnosis, self.top),
            Format::Json => json()?,
            Format::Html => profile::html(&diagnosis),
            Format::Svg => profile::svg(&diagnosis),
        };
        match output {
            Some(path) => write_atomically(path, written.as_bytes())?,
            None if global.json => {}
            None => print(&written)?,
        }
        match output {
            _ if global.json => print(&json()?)?,
            Some(path) if !global.quiet => {
                print(&format!("{}\nwritten to {}\n", diagnosis.headline(), path.display()))?;
            }
            _ => {}
        }
        Ok(exit_of(&diagnosis))
    }
}

impl Diagnose {
    fn with_levers(&self, diagnosis: Diagnosis, global: &Global) -> Result<Diagnosis> {
        // Traces are also diagnosed where there is no catalog.
        let needed = self.model.is_some() || global.root.join(CONFIG_FILE).exists();
        let catalog = needed.then(|| load(global));
        let model = match (&self.model, catalog) {
            (Some(name), Some(catalog)) => {
                let models = catalog.select(&[name])?;
                if let [first, second, ..] = &models[..] {
                    bail!(
                        "`{name}` is several entries ({}, {}…): name one",
                        first.name,
                        second.name
                    );
                }
                models.into_iter().next()
            }
            _ => None,
        };
        let stack = match (self.stack, catalog.zip(model.as_ref())) {
            (Some(stack), _) => DetectedStack { stack, because: "as --stack says".to_owned() },
            (None, Some((catalog, model))) => detect(catalog, model),
            (None, None) => DetectedStack {
                stack: Stack::Generic,
                because: "any; --model or --stack says more".to_owned(),
            },
        };
        let config = catalog.map(|c| &c.config);
        diagnosis.with_levers(stack, Catalogs { config, model: model.as_ref() })
    }
}

/// What is damaged, or says nothing, is no success.
pub(super) fn exit_of(diagnosis: &Diagnosis) -> Exit {
    for problem in &diagnosis.problems {
        eprintln!("error: {problem}");
    }
    let says_something = diagnosis.kernels.is_some()
        || diagnosis.communication.is_some()
        || diagnosis.host.is_some();
    if !says_something && diagnosis.problems.is_empty() {
        eprintln!("error: there is no kernel in {}", diagnosis.path.display());
    }
    if says_something && diagnosis.problems.is_empty() { Exit::Ok } else { Exit::Findings }
}
