//! Tools that are attached to an execution: madengine's registry, and how it is applied.

mod gpus;
mod sampler;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use serde::Deserialize;

pub use gpus::GpuSample;
pub(super) use sampler::SCHEMA as SAMPLES_SCHEMA;
pub use sampler::{Sample, Sampler, Samples};

use crate::catalog::{Count, Model};
use crate::diagnostic::did_you_mean;
use crate::machine::{Machine, Vendor};
use crate::options::EngineKind;
use crate::plan::{Hook, Job};

/// The tools that are part of the program.
const SHIPPED: &str = include_str!("tools.json");

/// Where a catalog has tools of its own, as in madengine.
pub const TOOLS_FILE: &str = "scripts/common/tools.json";

/// A tool, as madengine's `tools.json` has it; the last four keys are ours.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// Shell text that the model's command is put behind.
    pub cmd: String,
    /// Variables that it needs.
    pub env_vars: BTreeMap<String, String>,
    /// Scripts before the model's.
    pub pre_scripts: Vec<Script>,
    /// Scripts after the model's.
    pub post_scripts: Vec<Script>,
    /// The program that must be there.
    pub program: Option<String>,
    /// What it is.
    pub about: String,
    /// Whether [`Sampler`] runs beside the model.
    pub sampler: bool,
    /// Whether it writes something that can be diagnosed.
    #[serde(default = "yes")]
    pub diagnosed: bool,
}

fn yes() -> bool {
    true
}

/// A script of a [`Tool`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Script {
    /// The file, relative to the catalog.
    pub path: String,
    /// Its arguments, as a shell splits them.
    #[serde(default)]
    pub args: String,
}

/// The tools that are known.
#[derive(Clone, Debug, Deserialize)]
pub struct Registry {
    tools: IndexMap<String, Tool>,
}

impl Registry {
    /// The shipped tools, and over them those of the catalog below `root`.
    ///
    /// # Errors
    /// When the catalog's file cannot be read.
    pub fn load(root: &Path) -> Result<Registry> {
        let mut registry: Registry = serde_json::from_str(SHIPPED).context("the shipped tools")?;
        let path = root.join(TOOLS_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let own: Registry =
                    serde_json::from_str(&text).with_context(|| path.display().to_string())?;
                registry.tools.extend(own.tools);
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
        Ok(registry)
    }

    /// Names and tools, in the order they are listed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tool)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool))
    }

    /// The tool of this name.
    ///
    /// # Errors
    /// When there is none; the message has the nearest name.
    pub fn get(&self, name: &str) -> Result<&Tool> {
        if let Some(tool) = self.tools.get(name) {
            return Ok(tool);
        }
        match did_you_mean(name, self.tools.keys().map(String::as_str)) {
            Some(near) => bail!("there is no tool `{name}`; did you mean `{near}`?"),
            None => bail!("there is no tool `{name}`; `mad profile --list` lists them"),
        }
    }
}

/// The tool for an entry where nobody names one: what needs nothing for an entry on the CPU,
/// for GPUs their vendor's profiler.
pub fn default_tool(model: &Model, machine: &Machine) -> &'static str {
    match (model.n_gpus(), machine.gpus.first().map(|gpu| gpu.vendor)) {
        (Count::Exactly(0), _) | (_, None) => "builtin",
        (_, Some(Vendor::Amd)) => "rocprofv3_compute",
        (_, Some(Vendor::Nvidia)) => "nsys",
    }
}

/// Attaches tools to a Job, nested as madengine nests them: the last one is outermost, its
/// scripts before the model's run first and those after it run last.
///
/// # Errors
/// When the host engine cannot do what a tool needs, or its program is not installed.
pub fn attach(job: &mut Job, tools: &[(&str, &Tool)], root: &Path) -> Result<()> {
    let mut wrap = String::new();
    let mut commands = Vec::new();
    let (mut pre, mut post) = (Vec::new(), Vec::new());
    for (name, tool) in tools {
        let on_host = !matches!(job.engine, EngineKind::Container);
        if on_host && !(tool.pre_scripts.is_empty() && tool.post_scripts.is_empty()) {
            bail!(
                "the tool `{name}` has scripts before or after the model's, which run in a \
                   container only: --engine container"
            );
        }
        if !on_host && tool.sampler {
            bail!(
                "the tool `{name}` looks at processes of this host, not of a container: \
                   --engine host, or another tool"
            );
        }
        if let Some(program) = tool.program.as_ref().filter(|p| on_host && !installed(p)) {
            bail!(
                "the tool `{name}` needs `{program}`, which is not on the PATH: install it, or \
                   use another tool (`mad profile --list`)"
            );
        }
        job.env.extend(tool.env_vars.clone());
        let cmd = tool.cmd.trim();
        if !cmd.is_empty() && !commands.contains(&cmd) {
            commands.push(cmd);
            wrap = format!("{cmd} {wrap}");
        }
        let hooks = |scripts: &[Script]| -> Result<Vec<Hook>> {
            let hook = |script: &Script| {
                let args = shell_words::split(&script.args)
                    .with_context(|| format!("the tool `{name}`, {}", script.path))?;
                Ok(Hook { script: root.join(&script.path), args })
            };
            scripts.iter().map(hook).collect()
        };
        pre.splice(0..0, hooks(&tool.pre_scripts)?);
        post.extend(hooks(&tool.post_scripts)?);
    }
    let wrap = wrap.trim_end();
    match &mut job.container {
        Some(spec) => {
            spec.pre_scripts.splice(0..0, pre);
            spec.post_scripts.extend(post);
            let inner = spec.encapsulate.take().unwrap_or_default();
            let whole = format!("{wrap} {inner}").trim().to_owned();
            spec.encapsulate = Some(whole).filter(|text| !text.is_empty());
        }
        // The text is the tool's own; the model's command stays a list of words.
        None if !wrap.is_empty() => {
            let shell =
                ["bash".to_owned(), "-c".to_owned(), format!("{wrap} \"$@\""), "bash".to_owned()];
            job.command.splice(0..0, shell);
        }
        None => {}
    }
    Ok(())
}

/// Whether a program of this name is on the `PATH`.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// madengine's names.
    const NAMES: [&str; 27] = [
        "rpd",
        "rocprof",
        "rocprof_hip_only",
        "rocprof_sys",
        "rocprofv3",
        "rocprofv3_compute",
        "rocprofv3_memory",
        "rocprofv3_communication",
        "rocprofv3_full",
        "rocprofv3_lightweight",
        "rocprofv3_agent",
        "rocprofv3_agent_counter",
        "rocprofv3_perfetto",
        "rocprofv3_api_overhead",
        "rocprofv3_pc_sampling",
        "rocm_trace_lite",
        "rocm_trace_lite_default",
        "rocblas_trace",
        "hipblaslt_trace",
        "miopen_trace",
        "tensile_trace",
        "rccl_trace",
        "gpu_info_power_profiler",
        "gpu_info_vram_profiler",
        "therock_check",
        "test_tools_A",
        "test_tools_B",
    ];

    #[test]
    fn every_name_of_madengine_is_known() {
        let registry = Registry::load(Path::new("/nonexistent")).expect("the shipped tools");
        for name in NAMES {
            let tool = registry.get(name).expect("known");
            assert!(!tool.about.is_empty(), "{name}");
            let does = !tool.cmd.is_empty() || !tool.env_vars.is_empty() || tool.sampler;
            assert!(does, "{name} does nothing");
        }
        let error = registry.get("rocprofv3_compote").expect_err("unknown").to_string();
        assert!(error.contains("did you mean `rocprofv3_compute`?"), "{error}");
    }
}
