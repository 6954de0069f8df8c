//! AMD GPUs, from the KFD topology in sysfs: what ROCm itself enumerates, in its order.
//!
//! Each `/sys/class/kfd/kfd/topology/nodes/<N>/properties` holds lines `name value` with
//! unsigned numbers (kernel: `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`). A node with
//! `simd_count` above 0 is a GPU. Under a device cgroup that denies the GPU, the kernel
//! refuses to read its node; a container may also lack the node's render device. Such
//! GPUs are counted as hidden.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::description::{Driver, Gpu, Vendor};
use super::probe::Found;

/// Where the nodes are, relative to the root of the file system.
pub(super) const KFD_TOPOLOGY: &str = "sys/class/kfd/kfd/topology";

const VENDOR_ID: u64 = 0x1002;

/// `HSA_HEAPTYPE_FRAME_BUFFER_PUBLIC` and `_PRIVATE`: device memory that the CPU can and
/// cannot reach.
const DEVICE_HEAPS: [u64; 2] = [1, 2];

/// Names by PCI device id, as libdrm's amdgpu.ids has them. Built in, because sysfs often
/// has no product name, and because a class of machines must not depend on whether a
/// container has libdrm installed. Ids shared by several products are left out.
const PRODUCTS: [(u64, &str); 19] = [
    (0x738c, "AMD Instinct MI100"),
    (0x738e, "AMD Instinct MI100"),
    (0x7408, "AMD Instinct MI250X"),
    (0x740c, "AMD Instinct MI250X / MI250"),
    (0x740f, "AMD Instinct MI210"),
    (0x7410, "AMD Instinct MI210 VF"),
    (0x74a0, "AMD Instinct MI300A"),
    (0x74a1, "AMD Instinct MI300X"),
    (0x74a2, "AMD Instinct MI308X"),
    (0x74a5, "AMD Instinct MI325X"),
    (0x74a8, "AMD Instinct MI308X HF"),
    (0x74a9, "AMD Instinct MI300X HF"),
    (0x74b5, "AMD Instinct MI300X VF"),
    (0x74b6, "AMD Instinct MI308X"),
    (0x74bd, "AMD Instinct MI300X HF"),
    (0x75a0, "AMD Instinct MI350X"),
    (0x75a3, "AMD Instinct MI355X"),
    (0x75b0, "AMD Instinct MI350X VF"),
    (0x75b3, "AMD Instinct MI355X VF"),
];

/// The GPUs of the host whose file system is at `root`.
pub(super) fn find(root: &Path, kernel: &str) -> Found {
    let mut found = Found::default();
    for node in nodes(root) {
        let dir = root.join(KFD_TOPOLOGY).join("nodes").join(node.to_string());
        match gpu(root, &dir, found.gpus.len()) {
            Node::Gpu(gpu) => found.gpus.push(gpu),
            Node::NotGpu => {}
            Node::Hidden(why) => {
                tracing::debug!(node, why, "AMD GPU is not usable here");
                found.hidden += 1;
            }
            Node::Malformed(why) => {
                tracing::warn!(
                    path = %dir.display(), why,
                    "AMD GPU is not counted: the driver describes it incompletely"
                );
            }
        }
    }
    if !found.gpus.is_empty() {
        found.driver = Some(driver(root, kernel));
    }
    found
}

/// Node numbers in numeric order, which is the order of HIP's indices.
fn nodes(root: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(root.join(KFD_TOPOLOGY).join("nodes")) else {
        return Vec::new();
    };
    let mut nodes: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    nodes.sort_unstable();
    nodes
}

enum Node {
    Gpu(Gpu),
    NotGpu,
    Hidden(&'static str),
    Malformed(&'static str),
}

fn gpu(root: &Path, dir: &Path, index: usize) -> Node {
    let text = match fs::read_to_string(dir.join("properties")) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Node::Hidden("the device cgroup denies it");
        }
        Err(_) => return Node::Malformed("its properties cannot be read"),
    };
    let properties = parse_properties(&text);
    let get = |name: &str| properties.get(name).copied();
    match get("simd_count") {
        Some(0) => return Node::NotGpu,
        Some(_) => {}
        None => return Node::Malformed("simd_count is missing"),
    }
    if get("vendor_id").is_some_and(|id| id != VENDOR_ID) {
        return Node::NotGpu;
    }
    let Some(arch) = get("gfx_target_version").and_then(gfx_name) else {
        return Node::Malformed("gfx_target_version is missing or no version");
    };
    let Some(render_node) = get("drm_render_minor").and_then(|minor| u32::try_from(minor).ok())
    else {
        return Node::Malformed("drm_render_minor is missing");
    };
    if render_node == 0 || !root.join(format!("dev/dri/renderD{render_node}")).exists() {
        return Node::Hidden("its /dev/dri/renderD* does not exist");
    }
    let pci = get("location_id").map(|location| pci_address(get("domain").unwrap_or(0), location));
    let pci_dir = pci.as_ref().map(|pci| root.join("sys/bus/pci/devices").join(pci));
    let attribute = |name: &str| {
        let text = fs::read_to_string(pci_dir.as_ref()?.join(name)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    Node::Gpu(Gpu {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        vendor: Vendor::Amd,
        product: product(get("device_id").unwrap_or(0), attribute),
        arch,
        memory_bytes: memory_bytes(dir),
        uuid: get("unique_id").filter(|id| *id != 0).map(|id| format!("GPU-{id:016x}")),
        // -1 on hosts without NUMA.
        numa_node: attribute("numa_node").and_then(|node| node.parse().ok()),
        pci,
        render_node: Some(render_node),
    })
}

/// `name value` lines; what is not a name and an unsigned number is passed over, as new
/// kernels add lines.
pub(super) fn parse_properties(text: &str) -> HashMap<&str, u64> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.trim().split_once(char::is_whitespace)?;
            Some((name, value.trim().parse().ok()?))
        })
        .collect()
}

/// `gfx942` of `90402`: two decimal digits each of minor and stepping, which the name
/// writes as one hexadecimal digit each.
pub(super) fn gfx_name(version: u64) -> Option<String> {
    let (major, minor, stepping) = (version / 10_000, version / 100 % 100, version % 100);
    let plausible = (1..100).contains(&major) && minor < 16 && stepping < 16;
    plausible.then(|| format!("gfx{major}{minor:x}{stepping:x}"))
}

/// `0000:0c:00.0`. Bits 0–15 are bus, device and function; a partitioned card keeps its
/// partition number above them.
fn pci_address(domain: u64, location: u64) -> String {
    let (bus, device, function) = (location >> 8 & 0xff, location >> 3 & 0x1f, location & 7);
    format!("{domain:04x}:{bus:02x}:{device:02x}.{function}")
}

fn memory_bytes(node: &Path) -> u64 {
    let Ok(banks) = fs::read_dir(node.join("mem_banks")) else {
        return 0;
    };
    banks
        .flatten()
        .filter_map(|bank| {
            let text = fs::read_to_string(bank.path().join("properties")).ok()?;
            let properties = parse_properties(&text);
            let heap = properties.get("heap_type")?;
            DEVICE_HEAPS.contains(heap).then_some(())?;
            properties.get("size_in_bytes").copied()
        })
        .fold(0, u64::saturating_add)
}

/// The product name, with the mode of a partitioned card: a partition has a fraction of
/// the compute units, so its numbers are those of another product.
fn product(device_id: u64, attribute: impl Fn(&str) -> Option<String>) -> String {
    let mut name = PRODUCTS
        .iter()
        .find(|(id, _)| *id == device_id)
        .map(|(_, name)| (*name).to_owned())
        .or_else(|| attribute("product_name"))
        .unwrap_or_else(|| {
            // One id can stand for several products that differ in revision only.
            let revision = attribute("revision").map(|revision| format!(" rev {revision}"));
            format!("AMD GPU {device_id:#06x}{}", revision.unwrap_or_default())
        });
    let compute = attribute("current_compute_partition").filter(|mode| mode != "SPX");
    let memory = attribute("current_memory_partition").filter(|mode| mode != "NPS1");
    let modes: Vec<String> = compute.into_iter().chain(memory).collect();
    if !modes.is_empty() {
        name = format!("{name} {}", modes.join("/"));
    }
    name
}

fn driver(root: &Path, kernel: &str) -> Driver {
    let read = |path: &str| {
        let text = fs::read_to_string(root.join(path)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    Driver {
        name: "amdgpu".to_owned(),
        version: read("sys/module/amdgpu/version").unwrap_or_else(|| kernel.to_owned()),
        // `6.4.1-83`: release and build number.
        runtime: read("opt/rocm/.info/version").map(|version| {
            let release = version.split('-').next().unwrap_or(&version);
            format!("ROCm {release}")
        }),
    }
}
