//! Tests, by what they look at, and the hosts they look at.

mod cache;
mod cpu;
mod description;
mod fingerprint;
mod kfd;
mod visible;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Machine, MachineError};

pub(super) fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/machines").join(name)
}

pub(super) fn fixture(name: &str) -> Result<Machine, MachineError> {
    Machine::from_file(&fixture_path(name))
}

/// A root directory with the files a probe reads.
pub(super) struct Host {
    pub(super) root: TempDir,
}

impl Host {
    pub(super) fn new() -> Self {
        let host = Self { root: tempfile::tempdir().unwrap() };
        host.write("proc/sys/kernel/hostname", "node\n");
        host.write("proc/sys/kernel/osrelease", "6.8.0-60-generic\n");
        host.write("proc/sys/kernel/random/boot_id", "boot-1\n");
        host.write("proc/meminfo", "MemTotal:       65843640 kB\nMemFree: 1 kB\n");
        host.write("etc/os-release", "NAME=x\nPRETTY_NAME=\"Ubuntu 24.04.2 LTS\"\n");
        host.write(
            "proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9654 96-Core Processor\n\
             cpu MHz\t\t: 3700.123\nphysical id\t: 0\ncore id\t\t: 0\n\n",
        );
        host
    }

    /// Two CPU nodes and eight MI300X.
    pub(super) fn mi300x_node() -> Self {
        let host = Self::new();
        host.cpu_node(0);
        host.cpu_node(1);
        // More than ten nodes in all: their order is numeric, not alphabetic.
        for (at, bus) in (3u32..).zip([0x0c, 0x22, 0x38, 0x5c, 0x9f, 0xaf, 0xbf, 0xdf]) {
            host.gpu(&FakeGpu::mi300x(at, bus, 104 + 8 * at));
        }
        host.write("sys/module/amdgpu/version", "6.12.12\n");
        host.write("opt/rocm/.info/version", "6.4.1-83\n");
        host
    }

    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn node(&self, node: u32, properties: &str) {
        self.write(&format!("sys/class/kfd/kfd/topology/nodes/{node}/properties"), properties);
    }

    pub(super) fn cpu_node(&self, node: u32) {
        self.node(
            node,
            "cpu_cores_count 96\nsimd_count 0\nvendor_id 0\ngfx_target_version 0\ndrm_render_minor 0\n",
        );
        self.bank(node, 0, 811_298_539_520);
    }

    pub(super) fn bank(&self, node: u32, heap: u32, bytes: u64) {
        self.write(
            &format!("sys/class/kfd/kfd/topology/nodes/{node}/mem_banks/0/properties"),
            &format!("heap_type {heap}\nsize_in_bytes {bytes}\nflags 0\nwidth 8192\n"),
        );
    }

    /// A GPU node with its render device and PCI directory.
    pub(super) fn gpu(&self, gpu: &FakeGpu) {
        self.node(
            gpu.node,
            &format!(
                "cpu_cores_count 0\nsimd_count 1216\ngfx_target_version {}\nvendor_id 4098\n\
                 device_id {}\nlocation_id {}\ndomain 0\ndrm_render_minor {}\n\
                 unique_id {}\nmax_engine_clk_fcompute 2100\n",
                gpu.gfx, gpu.device, gpu.location, gpu.render, gpu.unique
            ),
        );
        self.bank(gpu.node, 1, gpu.bytes);
        self.write(&format!("dev/dri/renderD{}", gpu.render), "");
        let bus = gpu.location >> 8 & 0xff;
        self.write(&format!("sys/bus/pci/devices/0000:{bus:02x}:00.0/numa_node"), "1\n");
    }
}

pub(super) struct FakeGpu {
    pub(super) node: u32,
    pub(super) gfx: u32,
    pub(super) device: u32,
    pub(super) location: u32,
    pub(super) render: u32,
    pub(super) unique: u64,
    pub(super) bytes: u64,
}

impl FakeGpu {
    pub(super) fn mi300x(node: u32, bus: u32, render: u32) -> Self {
        Self {
            node,
            gfx: 90402,
            device: 0x74a1,
            location: bus << 8,
            render,
            unique: 0x8a1f_2c0e_5b7d_4900 + u64::from(node),
            bytes: 206_141_652_992,
        }
    }
}
