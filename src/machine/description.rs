//! The description of a machine, as JSON of schema `mad-machine/1`.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lease::Resource;

/// Value of [`Machine::schema`] in descriptions that this version writes.
pub const SCHEMA: &str = "mad-machine/1";

const SCHEMA_NAME: &str = "mad-machine";
const SCHEMA_VERSION: u32 = 1;

/// What a host has that matters to a measurement. Serialised as schema `mad-machine/1`.
///
/// Two descriptions are equal when everything but the boot id is: a reboot does not make
/// another machine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Host name as the kernel knows it.
    pub hostname: String,
    /// Distribution, `PRETTY_NAME` of os-release. In a container, the container's.
    pub os: String,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// The processors.
    pub cpu: Cpu,
    /// Memory of the host in bytes (`MemTotal`), whatever a cgroup leaves of it.
    pub memory_bytes: u64,
    /// The GPUs this process can use, in the order in which the GPU runtime counts them.
    pub gpus: Vec<Gpu>,
    /// How many GPUs the driver shows beyond [`Machine::gpus`]: no device node in this
    /// container, or excluded by a `*_VISIBLE_DEVICES` variable.
    #[serde(default)]
    pub hidden_gpus: u32,
    /// The GPU driver, absent without GPUs.
    #[serde(default)]
    pub driver: Option<Driver>,
    /// Whether it is only pretended: scripts run on this host, on GPUs that are not there.
    /// Numbers of such a machine are never compared with those of a real one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    /// Identifies the boot, `/proc/sys/kernel/random/boot_id`.
    #[serde(default)]
    pub boot_id: Option<String>,
}

impl PartialEq for Machine {
    fn eq(&self, other: &Self) -> bool {
        // Taken apart by name so that a new field cannot be forgotten here.
        let Self {
            schema,
            hostname,
            os,
            kernel,
            cpu,
            memory_bytes,
            gpus,
            hidden_gpus,
            driver,
            simulated,
            boot_id: _,
        } = self;
        *schema == other.schema
            && *hostname == other.hostname
            && *os == other.os
            && *kernel == other.kernel
            && *cpu == other.cpu
            && *memory_bytes == other.memory_bytes
            && *gpus == other.gpus
            && *hidden_gpus == other.hidden_gpus
            && *driver == other.driver
            && *simulated == other.simulated
    }
}

/// The processors of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// Model name without clock readings, e.g. `AMD EPYC 9654 96-Core Processor`.
    pub model: String,
    /// Vendor id, e.g. `AuthenticAMD`.
    pub vendor: String,
    /// Physical packages.
    pub sockets: u32,
    /// Physical cores of all packages.
    pub cores: u32,
    /// Logical processors that are online.
    pub threads: u32,
    /// Logical processors this process may use: `threads` less what the affinity mask and
    /// the cgroup quota (rounded down, at least 1) take away.
    pub available: u32,
    /// NUMA nodes that are online.
    pub numa_nodes: u32,
}

/// Who makes a GPU; spelled as in MAD contexts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Vendor {
    /// AMD, programmed through ROCm.
    #[serde(rename = "AMD")]
    Amd,
    /// NVIDIA, programmed through CUDA.
    #[serde(rename = "NVIDIA")]
    Nvidia,
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Amd => "AMD",
            Self::Nvidia => "NVIDIA",
        })
    }
}

/// One GPU as a runtime counts them: a die of an MI250, a partition of an MI300X in a
/// partitioned mode, otherwise a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gpu {
    /// Position among all GPUs of this vendor that the driver shows, before
    /// `*_VISIBLE_DEVICES`: KFD order on AMD (what `ROCR_VISIBLE_DEVICES` counts), PCI
    /// order on NVIDIA (what `CUDA_VISIBLE_DEVICES` counts under
    /// `CUDA_DEVICE_ORDER=PCI_BUS_ID`).
    pub index: u32,
    /// Who makes it.
    pub vendor: Vendor,
    /// Product name, e.g. `AMD Instinct MI300X`; a partitioned one names its mode
    /// (`AMD Instinct MI300X CPX/NPS4`).
    pub product: String,
    /// Instruction set: `gfx942`, `sm_90`.
    pub arch: String,
    /// Device memory in bytes.
    pub memory_bytes: u64,
    /// PCI address, `0000:0c:00.0`. Partitions of one card share it.
    #[serde(default)]
    pub pci: Option<String>,
    /// Unique id in the form the runtimes take in `*_VISIBLE_DEVICES`.
    #[serde(default)]
    pub uuid: Option<String>,
    /// The NUMA node it is attached to.
    #[serde(default)]
    pub numa_node: Option<u32>,
    /// N of `/dev/dri/renderD<N>`; AMD only, and different for each partition.
    #[serde(default)]
    pub render_node: Option<u32>,
}

impl Gpu {
    /// What to lease in order to use this GPU.
    ///
    /// Named by PCI address (plus render node, which tells partitions apart) because
    /// containers and users agree on it whatever each of them sees; by unique id or
    /// position where there is none.
    pub fn resource(&self) -> Resource {
        let name = match (&self.pci, self.render_node, &self.uuid) {
            (Some(pci), Some(render), _) => format!("{pci}-renderD{render}"),
            (Some(pci), None, _) => pci.clone(),
            (None, _, Some(uuid)) => uuid.clone(),
            (None, _, None) => format!("{}-index-{}", self.vendor, self.index),
        };
        Resource::Gpu(name)
    }
}

/// The driver behind the GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Driver {
    /// Kernel module: `amdgpu` or `nvidia`.
    pub name: String,
    /// Version of the kernel module; the kernel release for the amdgpu that came with it.
    pub version: String,
    /// What runs on top: `ROCm 6.4.1` as installed under `/opt/rocm`, or the newest CUDA
    /// the NVIDIA driver supports, `CUDA 12.8`.
    #[serde(default)]
    pub runtime: Option<String>,
}

/// Why a machine description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The file cannot be read.
    #[error("cannot read the machine description {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not JSON, or a value is missing or of the wrong type.
    #[error(
        "{}:{}:{}: not a machine description: {}; write one with `mad machine` on the host it describes",
        path.display(), source.line(), source.column(), without_position(source)
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// JSON of another kind.
    #[error(
        "{}: schema is \"{found}\", expected \"{SCHEMA}\"; write a machine description with `mad machine` on the host it describes",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its `schema`.
        found: String,
    },
    /// Written by a newer version of this program.
    #[error(
        "{}: schema \"{found}\" is newer than \"{SCHEMA}\", the newest this version reads; update mad, or write the description again with this version's `mad machine`",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its `schema`.
        found: String,
    },
}

/// What is wrong, without the line and column that serde_json appends: they stand in
/// front, where editors look for them.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).map_or_else(|| message.clone(), str::to_owned)
}

impl Machine {
    /// Reads the description of another host, JSON as `mad machine` prints it.
    ///
    /// Unknown fields are passed over, so that a field added within `mad-machine/1` does
    /// not lock out older versions.
    ///
    /// # Errors
    ///
    /// Unreadable file, invalid JSON, missing or ill-typed fields (with line and column),
    /// another schema or a newer version of this one.
    pub fn from_file(path: &Path) -> Result<Self, MachineError> {
        /// Read first: whatever else differs follows from the schema.
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let invalid = |source| MachineError::Invalid { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path)
            .map_err(|source| MachineError::Read { path: path.to_owned(), source })?;
        let Head { schema } = serde_json::from_str(&text).map_err(invalid)?;
        let version = schema
            .strip_prefix(SCHEMA_NAME)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|version| version.parse::<u32>().ok());
        match version {
            Some(SCHEMA_VERSION) => serde_json::from_str(&text).map_err(invalid),
            Some(newer) if newer > SCHEMA_VERSION => {
                Err(MachineError::Newer { path: path.to_owned(), found: schema })
            }
            _ => Err(MachineError::Schema { path: path.to_owned(), found: schema }),
        }
    }

    /// The machine that is described in `file`, or without one the host this process runs on.
    ///
    /// # Errors
    ///
    /// As [`Machine::from_file`].
    pub fn described_or_here(file: Option<&Path>, cache: &Path) -> Result<Self, MachineError> {
        file.map_or_else(|| Ok(Self::cached(cache)), Self::from_file)
    }

    /// What to lease in order to use the GPU of this index; on a pretended machine something
    /// that no real one has.
    pub fn gpu_resource(&self, index: usize) -> Resource {
        match self.gpus[index].resource() {
            Resource::Gpu(name) if self.simulated => {
                Resource::Gpu(format!("simulated-{}-{name}", self.hostname))
            }
            resource => resource,
        }
    }

    /// The GPUs of one vendor, or all of them.
    pub fn gpus_of(&self, vendor: Option<Vendor>) -> impl Iterator<Item = &Gpu> {
        self.gpus.iter().filter(move |gpu| vendor.is_none_or(|vendor| gpu.vendor == vendor))
    }
}
