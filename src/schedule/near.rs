//! Which of the free GPUs: those of one NUMA node, and of the node that is fullest.

use std::collections::BTreeMap;

use super::policy::Occupancy;
use crate::machine::Machine;

/// The `candidates` in the order in which they should be taken for a Task of `n` GPUs: free
/// ones first, of these the smallest NUMA node that has room for it, so that larger gaps stay
/// for wider Tasks. Where no node has room, the fullest ones, so that it spreads least.
pub(super) fn order(
    machine: &Machine,
    candidates: &[usize],
    n: usize,
    busy: &Occupancy,
) -> Vec<usize> {
    let node = |gpu: usize| machine.gpus[gpu].numa_node;
    let mut free: BTreeMap<Option<u32>, usize> = BTreeMap::new();
    for &gpu in candidates.iter().filter(|&&gpu| busy.is_free(gpu)) {
        *free.entry(node(gpu)).or_default() += 1;
    }
    let mut sorted = candidates.to_vec();
    // Stable: within a node in the order of the candidates.
    sorted.sort_by_key(|&gpu| {
        let room = free.get(&node(gpu)).copied().unwrap_or(0);
        let size = if room >= n { room } else { usize::MAX - room };
        (!busy.is_free(gpu), room < n, size, node(gpu))
    });
    sorted
}
