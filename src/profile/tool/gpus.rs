//! How busy the GPUs of this host are, as their drivers say.

use std::fs;
use std::path::{Path, PathBuf};

use nvml_wrapper::Nvml;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::nvidia_library;

/// One GPU at one look. What its driver does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuSample {
    /// Share of the time it is busy, from 0 to 1, as its driver says.
    pub busy: Option<f64>,
    /// Watts.
    pub power_w: Option<f64>,
    /// Bytes of its memory that are used.
    pub memory_bytes: Option<u64>,
}

/// The GPUs of a host: AMD's, which sysfs has, then NVIDIA's, which NVML knows.
pub(super) struct Gpus {
    amd: Vec<PathBuf>,
    nvidia: Option<Nvml>,
}

impl Gpus {
    /// Those of the host whose file system is at `root`.
    pub(super) fn find(root: &Path) -> Gpus {
        let entries = fs::read_dir(root.join("sys/class/drm")).into_iter().flatten().flatten();
        // Beside `card0` there are `card0-DP-1` and `renderD128`, which lead to the same device.
        let number = |name: &str| name.strip_prefix("card")?.parse::<u32>().ok();
        let mut cards: Vec<(u32, PathBuf)> = entries
            .filter_map(|e| Some((number(e.file_name().to_str()?)?, e.path().join("device"))))
            .filter(|(_, device)| device.join("gpu_busy_percent").exists())
            .collect();
        cards.sort();
        let amd = cards.into_iter().map(|(_, device)| device).collect();
        Gpus { amd, nvidia: nvidia_library(root) }
    }

    /// What each of them does now.
    pub(super) fn look(&self) -> Vec<GpuSample> {
        let mut samples: Vec<GpuSample> = self.amd.iter().map(|device| amd(device)).collect();
        samples.extend(self.nvidia.iter().flat_map(nvidia));
        samples
    }
}

fn amd(device: &Path) -> GpuSample {
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<f64>().ok();
    let sensors = fs::read_dir(device.join("hwmon")).into_iter().flatten().flatten();
    let mut powers =
        sensors.flat_map(|s| ["power1_average", "power1_input"].map(|name| s.path().join(name)));
    GpuSample {
        busy: number(device.join("gpu_busy_percent")).map(|percent| percent / 100.0),
        power_w: powers.find_map(number).map(|microwatts| microwatts / 1e6),
        memory_bytes: number(device.join("mem_info_vram_used")).map(|bytes| bytes as u64),
    }
}

fn nvidia(library: &Nvml) -> Vec<GpuSample> {
    let devices = 0..library.device_count().unwrap_or(0);
    let sample = |index| {
        let Ok(device) = library.device_by_index(index) else { return GpuSample::default() };
        GpuSample {
            busy: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0),
            power_w: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
            memory_bytes: device.memory_info().ok().map(|memory| memory.used),
        }
    };
    devices.map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file below `root`, with the directories above it.
    fn file(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_sysfs_of_amd_is_read() {
        let host = tempfile::tempdir().unwrap();
        let root = host.path();
        let drm = "sys/class/drm";
        file(root, &format!("{drm}/card10/device/gpu_busy_percent"), "7\n");
        // An older driver has the average of the power, and one of another vendor nothing.
        file(root, &format!("{drm}/card2/device/gpu_busy_percent"), "93\n");
        file(root, &format!("{drm}/card2/device/mem_info_vram_used"), "1073741824\n");
        file(root, &format!("{drm}/card2/device/hwmon/hwmon4/power1_average"), "750000000\n");
        file(root, &format!("{drm}/card3/device/vendor"), "0x10de\n");
        for other in ["renderD130", "card2-DP-1"] {
            file(root, &format!("{drm}/{other}/device/gpu_busy_percent"), "93\n");
        }
        let full =
            GpuSample { busy: Some(0.93), power_w: Some(750.0), memory_bytes: Some(1 << 30) };
        let idle = GpuSample { busy: Some(0.07), ..GpuSample::default() };
        assert_eq!(Gpus::find(root).look(), [full, idle]);
        // What cannot be read any more is absent, and so is what is no number.
        file(root, &format!("{drm}/card2/device/gpu_busy_percent"), "?\n");
        fs::remove_file(root.join(drm).join("card2/device/mem_info_vram_used")).unwrap();
        file(root, &format!("{drm}/card10/device/hwmon/hwmon5/power1_input"), "12500000\n");
        let samples = Gpus::find(root).look();
        assert_eq!((samples[0].busy, samples[0].memory_bytes), (None, None));
        assert_eq!(samples[1].power_w, Some(12.5));
    }

    #[test]
    fn a_host_without_gpus_has_none() {
        let host = tempfile::tempdir().unwrap();
        assert_eq!(Gpus::find(host.path()).look(), []);
    }
}
