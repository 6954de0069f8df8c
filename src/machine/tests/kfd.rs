use proptest::prelude::*;

use super::{FakeGpu, Host};
use crate::machine::amd::{gfx_name, parse_properties};
use crate::machine::probe::probe_at;
use crate::machine::visible::Visibility;
use crate::machine::{Machine, Vendor};

fn probe(host: &Host) -> Machine {
    probe_at(host.path(), &Visibility::default())
}

#[test]
fn mi300x_node() {
    let host = Host::mi300x_node();
    let machine = probe(&host);
    assert_eq!(machine.gpus.len(), 8);
    assert_eq!(machine.hidden_gpus, 0);
    let first = &machine.gpus[0];
    assert_eq!(first.vendor, Vendor::Amd);
    assert_eq!(first.product, "AMD Instinct MI300X");
    assert_eq!(first.arch, "gfx942");
    assert_eq!(first.memory_bytes, 206_141_652_992);
    assert_eq!(first.pci.as_deref(), Some("0000:0c:00.0"));
    assert_eq!(first.uuid.as_deref(), Some("GPU-8a1f2c0e5b7d4903"));
    assert_eq!(first.numa_node, Some(1));
    assert_eq!(first.render_node, Some(128));
    let order: Vec<_> = machine.gpus.iter().map(|gpu| gpu.render_node).collect();
    assert!(order.is_sorted(), "{order:?}");
    let indices: Vec<_> = machine.gpus.iter().map(|gpu| gpu.index).collect();
    assert_eq!(indices, (0..8).collect::<Vec<_>>());
    let driver = machine.driver.unwrap();
    assert_eq!((&*driver.name, &*driver.version), ("amdgpu", "6.12.12"));
    assert_eq!(driver.runtime.as_deref(), Some("ROCm 6.4.1"));
}

#[test]
fn mi250_counts_dies() {
    let host = Host::new();
    host.cpu_node(0);
    for (node, bus) in [(1, 0x32), (2, 0x35)] {
        host.gpu(&FakeGpu {
            node,
            gfx: 90010,
            device: 0x740c,
            location: bus << 8,
            render: 127 + node,
            unique: 0,
            bytes: 68_702_699_520,
        });
    }
    let machine = probe(&host);
    let shown: Vec<_> = machine
        .gpus
        .iter()
        .map(|gpu| (&*gpu.arch, gpu.pci.as_deref(), gpu.uuid.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [("gfx90a", Some("0000:32:00.0"), None), ("gfx90a", Some("0000:35:00.0"), None)]
    );
    // The in-tree module has no version of its own.
    assert_eq!(machine.driver.unwrap().version, "6.8.0-60-generic");
}

#[test]
fn partitions_are_another_product_and_have_leases_of_their_own() {
    let host = Host::new();
    host.write("sys/bus/pci/devices/0000:0c:00.0/current_compute_partition", "CPX\n");
    host.write("sys/bus/pci/devices/0000:0c:00.0/current_memory_partition", "NPS4\n");
    for node in 0..2 {
        let mut gpu = FakeGpu::mi300x(node, 0x0c, 128 + node);
        gpu.location |= node << 28;
        host.gpu(&gpu);
    }
    let machine = probe(&host);
    let [a, b] = &machine.gpus[..] else { panic!("{machine:?}") };
    assert_eq!(a.product, "AMD Instinct MI300X CPX/NPS4");
    assert_eq!(a.pci, b.pci);
    assert_ne!(a.resource(), b.resource());
}

#[test]
fn apu_and_unknown_products() {
    let host = Host::new();
    // CPU and GPU in one node; memory is the host's, so none of its own.
    host.node(
        0,
        "cpu_cores_count 16\nsimd_count 8\ngfx_target_version 110003\nvendor_id 4098\n\
         device_id 5567\nlocation_id 768\ndrm_render_minor 128\n",
    );
    host.bank(0, 0, 1 << 35);
    host.write("dev/dri/renderD128", "");
    host.write("sys/bus/pci/devices/0000:03:00.0/revision", "0xc1\n");
    host.write("sys/bus/pci/devices/0000:03:00.0/product_name", "\n");
    host.write("sys/bus/pci/devices/0000:03:00.0/numa_node", "-1\n");
    let machine = probe(&host);
    let [gpu] = &machine.gpus[..] else { panic!("{machine:?}") };
    assert_eq!(gpu.arch, "gfx1103");
    assert_eq!(gpu.product, "AMD GPU 0x15bf rev 0xc1");
    assert_eq!((gpu.memory_bytes, gpu.numa_node), (0, None));
}

#[test]
fn gpus_without_device_node_are_hidden() {
    let host = Host::new();
    host.gpu(&FakeGpu::mi300x(1, 0x0c, 128));
    host.gpu(&FakeGpu::mi300x(2, 0x22, 136));
    std::fs::remove_file(host.path().join("dev/dri/renderD128")).unwrap();
    let machine = probe(&host);
    assert_eq!(machine.gpus.len(), 1);
    assert_eq!(machine.gpus[0].index, 0);
    assert_eq!(machine.gpus[0].render_node, Some(136));
    assert_eq!(machine.hidden_gpus, 1);
}

#[test]
fn malformed_nodes_are_passed_over() {
    let host = Host::new();
    host.node(0, "");
    host.node(1, "simd_count many\n");
    host.node(2, "simd_count 1216\ngfx_target_version 99999999999999999999\n");
    host.node(3, "simd_count 1216\ngfx_target_version 90402\n");
    host.node(4, "simd_count 1216\nvendor_id 4318\n");
    host.write("sys/class/kfd/kfd/topology/nodes/5/gpu_id", "7\n");
    host.write("sys/class/kfd/kfd/topology/nodes/six/properties", "simd_count 1\n");
    host.gpu(&FakeGpu::mi300x(7, 0x0c, 128));
    let machine = probe(&host);
    assert_eq!(machine.gpus.len(), 1);
    assert_eq!(machine.hidden_gpus, 0);
}

#[test]
fn gfx_names() {
    for (version, name) in [
        (80003, "gfx803"),
        (90006, "gfx906"),
        (90008, "gfx908"),
        (90010, "gfx90a"),
        (90402, "gfx942"),
        (90500, "gfx950"),
        (100300, "gfx1030"),
        (110000, "gfx1100"),
        (120001, "gfx1201"),
    ] {
        assert_eq!(gfx_name(version).as_deref(), Some(name));
    }
    assert_eq!(gfx_name(0), None);
    assert_eq!(gfx_name(u64::MAX), None);
}

proptest! {
    #[test]
    fn any_properties_text(text in any::<String>()) {
        parse_properties(&text);
    }

    #[test]
    fn properties_are_found(name in "[a-z_]{1,20}", value in any::<u64>(), noise in "[ -~]{0,30}") {
        let text = format!("{noise}\n{name} {value}\n");
        let properties = parse_properties(&text);
        prop_assert_eq!(properties.get(&*name), Some(&value));
    }

    #[test]
    fn gfx_names_are_distinct(
        a in (1u64..100, 0u64..16, 0u64..16), b in (1u64..100, 0u64..16, 0u64..16)
    ) {
        let name = |(major, minor, step)| gfx_name(major * 10_000 + minor * 100 + step);
        prop_assert!(name(a).is_some());
        prop_assert_eq!(a == b, name(a) == name(b));
    }

    #[test]
    fn any_gfx_version(version in any::<u64>()) {
        let name = gfx_name(version);
        prop_assert!(name.is_none_or(|name| name.starts_with("gfx") && name.len() <= 7));
    }

    #[test]
    fn a_probe_survives_any_node(text in any::<String>()) {
        let host = Host::new();
        host.node(0, &text);
        prop_assert_eq!(probe(&host).gpus.len(), 0);
    }
}
