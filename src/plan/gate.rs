//! The gate: can this entry run on this machine, and if not, why?

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use super::Planner;
use crate::catalog::{Count, Model, split_commas};
use crate::engine::container::Containers;
use crate::machine::{Gpu, Vendor};
use crate::options::EngineKind;
use crate::validate;

/// Why an entry does not run here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skip {
    /// One sentence a person can act on.
    pub reason: String,
    /// What the host lacks.
    pub lacks: Lack,
    /// The command for a host that could run it.
    pub command: String,
}

/// What a host lacks that cannot run an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// GPUs, or the right ones (`--require-gpu` makes it a failure).
    Hardware,
    /// A container engine that answers (`--require-containers` makes it a failure).
    Containers,
    /// Something else.
    Other,
}

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; on a host that could: {}", self.reason, self.command)
    }
}

impl Planner<'_> {
    /// The reason to skip the entry, if there is one. Hardware comes first: it is
    /// what a person can do least about.
    pub fn gate(&self, model: &Model) -> Option<Skip> {
        let hardware = self
            .gate_gpus(model)
            .or_else(|| self.gate_cores(model))
            .or_else(|| self.gate_arch(model))
            .or_else(|| self.gate_images(model));
        let (reason, lacks) = match hardware {
            Some(reason) => (reason, Lack::Hardware),
            None => match self.gate_engine(model) {
                Some(reason) if self.engine(model) == EngineKind::Container => {
                    (reason, Lack::Containers)
                }
                reason => {
                    let other = reason
                        .or_else(|| self.gate_tools(model))
                        .or_else(|| self.gate_credential(model))
                        .or_else(|| self.gate_described(model))
                        .or_else(|| self.gate_secrets(model));
                    (other?, Lack::Other)
                }
            },
        };
        Some(Skip { reason, lacks, command: self.command_for(model) })
    }

    /// The flag that makes this skip a failure, if it was given.
    pub fn demanded(&self, skip: &Skip) -> Option<&'static str> {
        match skip.lacks {
            Lack::Hardware if self.options.require_gpu => Some("--require-gpu"),
            Lack::Containers if self.options.require_containers => Some("--require-containers"),
            _ => None,
        }
    }

    /// Whether the gate closes for want of GPUs alone: cheap, for lists.
    pub fn lacks_gpus(&self, model: &Model) -> bool {
        match self.wanted_gpus(model) {
            _ if self.runs_elsewhere(model) => false,
            Count::Exactly(n) => (self.machine.gpus.len() as u64) < u64::from(n),
            Count::All => self.machine.gpus.is_empty(),
        }
    }

    fn gate_gpus(&self, model: &Model) -> Option<String> {
        let wanted = match self.wanted_gpus(model) {
            Count::Exactly(0) => return None,
            _ if self.runs_elsewhere(model) => return None,
            wanted => wanted,
        };
        let vendors = self.vendors(model);
        let has = self.usable_gpus(&vendors).len();
        let (enough, amount) = match wanted {
            Count::Exactly(n) => (has as u64 >= u64::from(n), n.to_string()),
            Count::All => (has > 0, "at least 1".to_owned()),
        };
        if enough {
            return None;
        }
        let names: Vec<String> = vendors.iter().map(ToString::to_string).collect();
        let kind = match names.len() {
            0 => String::new(),
            _ => format!("{} ", names.join(" or ")),
        };
        let s = if wanted == Count::Exactly(1) || wanted == Count::All { "" } else { "s" };
        let others = self.machine.gpus.len() - has;
        let have = match (has, self.machine.gpus.first()) {
            (0, Some(gpu)) if others > 0 => format!("0 (its {others} are {})", gpu.vendor),
            _ => has.to_string(),
        };
        Some(format!("needs {amount} {kind}GPU{s}, {} has {have}", self.host()))
    }

    /// More cores than there are.
    fn gate_cores(&self, model: &Model) -> Option<String> {
        let entry = model.entry().bench.as_ref().and_then(|bench| bench.cpus);
        let wanted = self.options.cpus_per_cell.or(entry)?;
        let has = self.machine.cpu.available;
        (wanted > has && !self.machine.simulated && !self.runs_elsewhere(model))
            .then(|| format!("needs {wanted} cores of its own, {} has {has}", self.host()))
    }

    pub(super) fn host(&self) -> String {
        match &self.options.machine {
            Some(file) => format!("the host in {}", file.display()),
            None => "this host".to_owned(),
        }
    }

    /// GPUs of one of `vendors`, as indices into the machine's; any GPU if there
    /// are no vendors.
    pub(super) fn usable_gpus(&self, vendors: &BTreeSet<Vendor>) -> Vec<usize> {
        let listed = self.context.gpus();
        let gpus = self.machine.gpus.iter().enumerate();
        gpus.filter(|(_, g)| vendors.is_empty() || vendors.contains(&g.vendor))
            .filter(|(_, g)| listed.as_ref().is_none_or(|list| list.contains(&g.index)))
            .map(|(i, _)| i)
            .collect()
    }

    /// Vendors the entry has an image for; none if it does not say.
    pub(super) fn vendors(&self, model: &Model) -> BTreeSet<Vendor> {
        if let Some(vendor) = self.context.text("gpu_vendor").and_then(|v| word(&v)) {
            return BTreeSet::from([vendor]);
        }
        if !matches!(self.engine(model), EngineKind::Container | EngineKind::Madengine) {
            return BTreeSet::new();
        }
        if let Some(images) = model.images() {
            let all = images.iter().map(|image| word(&image.gpu_vendor)).collect::<Option<_>>();
            // One that is for any vendor makes them all do.
            return all.unwrap_or_default();
        }
        let Some(prefix) = model.dockerfile() else { return BTreeSet::new() };
        validate::dockerfiles(&self.catalog.root, prefix)
            .into_iter()
            .filter_map(|(_, header)| header.ok()?.get("gpu_vendor")?.as_str().and_then(word))
            .collect()
    }

    fn gate_arch(&self, model: &Model) -> Option<String> {
        if self.options.disable_skip_gpu_arch
            || self.wanted_gpus(model) == Count::Exactly(0)
            || self.runs_elsewhere(model)
        {
            return None;
        }
        let skipped = model.entry().skip_gpu_arch.as_deref()?;
        let gpu = self.machine.gpus.first()?;
        let hit = split_commas(skipped).find(|arch| is_of(gpu, arch))?;
        Some(format!("must not run on {hit} (skip_gpu_arch); --disable-skip-gpu-arch overrides"))
    }

    fn gate_engine(&self, model: &Model) -> Option<String> {
        match self.engine(model) {
            EngineKind::Host | EngineKind::Auto => {
                if self.options.skip_model_run {
                    return Some("--skip-model-run leaves nothing to do on the host".to_owned());
                }
                let unusable = self.context.unusable_on_host();
                let keys = unusable.join("`, `");
                (!unusable.is_empty())
                    .then(|| format!("the host engine cannot honour `{keys}` of the context"))
            }
            EngineKind::Container => {
                // What this host has says nothing about one that is described.
                if self.options.machine.is_some() {
                    return None;
                }
                let unanswered =
                    Containers::here(self.options.images.container_engine).as_ref().err()?;
                let image = model.dockerfile().map(Path::display);
                let image = image.map(|p| format!(" ({p}.*)")).unwrap_or_default();
                Some(format!(
                    "needs a container engine{image}, and none answers: {unanswered}; \
                     `--engine host` runs the script on the host itself"
                ))
            }
            EngineKind::Slurm => self.gate_slurm(),
            EngineKind::Madengine => self.gate_madengine(model),
        }
    }

    /// A host that is described in a file is planned for, never measured on; unless it is
    /// only pretended to be one.
    fn gate_described(&self, model: &Model) -> Option<String> {
        let file = self.options.machine.as_ref().filter(|_| !self.options.plan)?;
        if self.machine.simulated {
            let on_host = self.engine(model) == EngineKind::Host;
            return (!on_host).then(|| {
                format!(
                    "the pretended GPUs of {} are for scripts on this host; `--engine host` runs it so",
                    file.display()
                )
            });
        }
        Some(format!("would run on the host in {}, which is not this one", file.display()))
    }

    /// `tools` of the context would change what is executed.
    fn gate_tools(&self, model: &Model) -> Option<String> {
        let unused = self.engine(model) == EngineKind::Container
            && self
                .context
                .0
                .get("tools")
                .is_some_and(|t| t.as_array().is_none_or(|a| !a.is_empty()));
        unused.then(|| "the container engine cannot honour `tools` of the context".to_owned())
    }

    /// A login that the entry names and `credential.json` lacks.
    fn gate_credential(&self, model: &Model) -> Option<String> {
        let name = model.cred()?;
        self.credentials.of_entry(name).err().map(|e| e.to_string())
    }

    /// A secret that the script uses, that is not set, and without which it does not get by: it
    /// nowhere asks whether it is there (`${NAME:-}`), and has no other value for it.
    fn gate_secrets(&self, model: &Model) -> Option<String> {
        static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"(?m)^[^#\n]*?\$(?:(MAD_SECRETS\w+)|\{(MAD_SECRETS\w+)\})").ok()
        });
        let (dir, file) = super::job::script_file(&self.catalog.root, model.script()?);
        let text = std::fs::read_to_string(dir.join(file)).ok()?;
        let asks = |name: &str| {
            ["-", "+"].iter().any(|operator| {
                text.contains(&format!("${{{name}{operator}"))
                    || text.contains(&format!("${{{name}:{operator}"))
            })
        };
        let known: BTreeSet<String> =
            self.context.items("docker_env_vars").into_iter().map(|(name, _)| name).collect();
        let missing: BTreeSet<&str> = SECRET
            .as_ref()?
            .captures_iter(&text)
            .filter_map(|c| Some(c.get(1).or(c.get(2))?.as_str()))
            .filter(|name| std::env::var_os(name).is_none() && !known.contains(*name))
            .filter(|name| !asks(name))
            .collect();
        if missing.is_empty() {
            return None;
        }
        let names: Vec<&str> = missing.into_iter().collect();
        Some(format!("needs the secret {}, which is not set", names.join(", ")))
    }
}

/// A vendor by the word that headers, contexts and manifests have for it.
fn word(text: &str) -> Option<Vendor> {
    match text.to_uppercase().as_str() {
        "AMD" => Some(Vendor::Amd),
        "NVIDIA" => Some(Vendor::Nvidia),
        _ => None,
    }
}

/// Whether `arch` means this GPU. NVIDIA's are also named by product, `NVIDIA H100 PCIe`
/// or `H100`.
pub(super) fn is_of(gpu: &Gpu, arch: &str) -> bool {
    let product = gpu.product.strip_prefix("NVIDIA ").unwrap_or(&gpu.product);
    let product = product.split(['-', ' ']).next().unwrap_or_default();
    arch == gpu.arch || arch == product || arch == gpu.product
}
