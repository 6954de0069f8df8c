//! `mad profile`: one execution with a tool attached, and what it shows.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::{Exit, Global, print, print_json, select};
use crate::engine::Cancel;
use crate::options::RunOptions;
use crate::profile;
use crate::profile::tool::{Registry, Tool, default_tool};
use crate::results::Table;
use crate::run::Session;

/// Run an entry once with a profiler attached, and say what holds it back.
#[derive(Args, Debug)]
#[command(after_help = "\
The number of a profiled execution never counts: it is no measurement, no baseline, no history
and no row of perf.csv. Tools nest: the last one is outermost.

Exit status:
  0 ok · 1 the tool wrote nothing that can be diagnosed, or it is damaged ·
  2 no such entry · 3 the execution failed · 4 no such tool, or it cannot be attached

Examples:
  mad profile rust_gemm                       samples CPU and memory; needs nothing
  mad profile pyt_vllm_qwen3-8b --tool rocprofv3_compute
  mad profile --list                          the tools there are")]
pub(super) struct Profile {
    /// The entry
    #[arg(value_name = "MODEL", required_unless_present_any = ["list", "tags"])]
    model: Option<String>,
    /// What is attached; several, comma-separated [default: by the entry's GPUs]
    #[arg(long = "tool", value_name = "T", value_delimiter = ',')]
    tools: Vec<String>,
    /// List the tools
    #[arg(long)]
    list: bool,
    /// Kernels in the text
    #[arg(long, value_name = "N", default_value = "10")]
    top: usize,
    #[command(flatten)]
    options: RunOptions,
}

impl Profile {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let registry = Registry::load(&global.root)?;
        if self.list {
            return list(&registry, global);
        }
        let planner = match super::planner(global, &self.options)? {
            Ok(planner) => planner,
            Err(exit) => return Ok(exit),
        };
        let catalog = planner.catalog;
        let words: Vec<String> = self.model.iter().cloned().collect();
        let models = select(catalog, &words, &self.options.tags)?;
        let [model] = &models[..] else {
            let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).take(3).collect();
            bail!("{} entries are meant ({}…): name one", models.len(), names.join(", "));
        };
        let chosen = match &self.tools[..] {
            [] => vec![default_tool(model, planner.machine)],
            tools => tools.iter().map(|name| name.trim()).collect(),
        };
        let tools: Result<Vec<(&str, &Tool)>> =
            chosen.into_iter().map(|name| Ok((name, registry.get(name)?))).collect();
        let tools = tools?;
        if self.options.plan {
            return super::plan::print_plan(global, &planner, &models);
        }
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let session =
            Session::open(planner, cancel, super::progress(global, self.options.live_output))?;
        let profiled = session.profile(model, &tools)?;
        let failed = profiled.measurement.failure.is_some();
        let diagnosis = profiled.diagnosis(&tools, catalog, model).unwrap_or_else(|e| {
            eprintln!("error: the tool wrote nothing that can be diagnosed: {e:#}");
            None
        });
        if global.json {
            print_json(&json!({
                "schema": "mad-profile/1",
                "run": session.dir().id,
                "model": model.id(),
                "tools": tools.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                "traces": profiled.traces,
                "failure": profiled.measurement.failure,
                "diagnosis": diagnosis,
            }))?;
        } else {
            if let Some(diagnosis) = &diagnosis {
                print(&profile::text(diagnosis, self.top))?;
            }
            print(&format!(
                "\ntraces: {}\nthe numbers of a profiled execution do not count\n",
                profiled.traces.display()
            ))?;
        }
        let mut exit = Exit::Ok;
        if let Some(failure) = &profiled.measurement.failure {
            eprintln!("error: the profiled execution failed: {failure}");
            exit = Exit::RunFailed;
        }
        let meant = tools.iter().any(|(_, tool)| tool.diagnosed);
        match &diagnosis {
            Some(diagnosis) => exit = exit.max(super::diagnose::exit_of(diagnosis)),
            None if meant && !failed => exit = exit.max(Exit::Findings),
            None => {}
        }
        Ok(exit)
    }
}

fn list(registry: &Registry, global: &Global) -> Result<Exit> {
    if global.json {
        let tools = registry.iter().map(|(name, tool)| {
            json!({ "name": name, "about": tool.about, "cmd": tool.cmd, "program": tool.program,
                    "env_vars": tool.env_vars, "diagnosed": tool.diagnosed })
        });
        print_json(&tools.collect())?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["tool", "needs", "diagnosed", "what it is"]);
    for (name, tool) in registry.iter() {
        let diagnosed = if tool.diagnosed { "yes" } else { "no" };
        table.row([
            name.to_owned(),
            tool.program.clone().unwrap_or_default(),
            diagnosed.to_owned(),
            tool.about.clone(),
        ]);
    }
    print(&table.to_string())?;
    Ok(Exit::Ok)
}
