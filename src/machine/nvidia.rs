//! NVIDIA GPUs, from NVML, the library behind `nvidia-smi`, loaded at run time.
//!
//! A GPU in MIG mode counts as the one card it is: its instances are not split up here.

use std::fs;
use std::path::Path;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::description::{Driver, Gpu, Vendor};
use super::probe::Found;

/// The GPUs of the host whose file system is at `root`. NVML is only loaded when the
/// driver is there, since looking for a library costs more than the rest of a probe.
pub(super) fn find(root: &Path) -> Found {
    let mut found = Found::default();
    if !has_driver(root) {
        return found;
    }
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(error) => {
            found.hidden = cards(root);
            // A container may be given the driver without the library on purpose; any
            // other failure is a fault of the host.
            if matches!(error, NvmlError::LibloadingError(_)) {
                tracing::debug!(%error, "NVIDIA GPUs are not counted: no NVML here");
            } else {
                tracing::warn!(%error, "NVIDIA GPUs are not counted: NVML does not start");
            }
            return found;
        }
    };
    for index in 0..nvml.device_count().unwrap_or(0) {
        match gpu(root, &nvml, index) {
            Ok(gpu) => found.gpus.push(gpu),
            Err(error) => {
                tracing::warn!(index, %error, "NVIDIA GPU is not counted: NVML fails on it");
                found.hidden += 1;
            }
        }
    }
    if !found.gpus.is_empty() {
        found.driver = Some(Driver {
            name: "nvidia".to_owned(),
            version: nvml.sys_driver_version().unwrap_or_else(|_| "unknown".to_owned()),
            runtime: nvml.sys_cuda_driver_version().ok().map(|version| {
                let (major, minor) =
                    (cuda_driver_version_major(version), cuda_driver_version_minor(version));
                format!("CUDA {major}.{minor}")
            }),
        });
    }
    found
}

fn has_driver(root: &Path) -> bool {
    root.join("dev/nvidiactl").exists() || root.join("proc/driver/nvidia").exists()
}

/// NVML of the host whose file system is at `root`, if it has the driver and the library.
pub(crate) fn library(root: &Path) -> Option<Nvml> {
    has_driver(root).then(|| Nvml::init().ok()).flatten()
}

/// How many cards the kernel module drives.
fn cards(root: &Path) -> u32 {
    let entries = fs::read_dir(root.join("proc/driver/nvidia/gpus"));
    entries.map_or(0, |entries| u32::try_from(entries.flatten().count()).unwrap_or(u32::MAX))
}

fn gpu(root: &Path, nvml: &Nvml, index: u32) -> Result<Gpu, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let capability = device.cuda_compute_capability()?;
    // NVML writes eight digits of domain and upper case, sysfs four and lower case.
    let pci = device
        .pci_info()
        .ok()
        .map(|pci| format!("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device));
    let numa_node = pci.as_ref().and_then(|pci| {
        let path = root.join("sys/bus/pci/devices").join(pci).join("numa_node");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    });
    Ok(Gpu {
        index,
        vendor: Vendor::Nvidia,
        product: device.name()?,
        arch: format!("sm_{}{}", capability.major, capability.minor),
        memory_bytes: device.memory_info()?.total,
        pci,
        uuid: device.uuid().ok(),
        numa_node,
        render_node: None,
    })
}
