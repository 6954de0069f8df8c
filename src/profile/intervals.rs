//! The union of intervals of time, for traces that do not fit into memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Intervals that are kept as they come before they are sorted and packed.
const BUFFER: usize = 1 << 19;

/// A set of half-open intervals in nanoseconds. They may come in any order and overlap.
///
/// Full buffers are sorted, merged and packed into the differences between neighbours: a
/// kernel of a few microseconds takes about five bytes. So the busy time and the gaps of
/// tens of millions of kernels are exact, in tens of megabytes.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    buffer: Vec<(u64, u64)>,
    runs: Vec<Vec<u8>>,
}

/// What the union of intervals looks like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Union {
    /// First start; 0 if there is none.
    pub(super) start: u64,
    /// Last end.
    pub(super) end: u64,
    /// Length of the union.
    pub(super) busy: u64,
    /// Number of gaps.
    pub(super) gaps: u64,
    /// The longest gap.
    pub(super) longest: u64,
    /// Gaps by the power of two at or below their length; empty if there is none.
    pub(super) by_length: Vec<u64>,
}

impl Union {
    /// From the first start to the last end.
    pub(super) fn window(&self) -> u64 {
        self.end - self.start
    }
}

impl Intervals {
    /// Adds `start..end`; nothing if it is empty.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        if end <= start {
            return;
        }
        // Most come in order and touch or overlap the last one.
        if let Some(last) = self.buffer.last_mut()
            && start >= last.0
            && start <= last.1
        {
            last.1 = last.1.max(end);
            return;
        }
        self.buffer.push((start, end));
        if self.buffer.len() >= BUFFER {
            self.pack();
        }
    }

    fn pack(&mut self) {
        self.buffer.sort_unstable();
        let mut run = Vec::with_capacity(self.buffer.len() * 5);
        let mut at = 0;
        let mut write = |start: u64, end: u64| {
            varint(&mut run, start - at);
            varint(&mut run, end - start);
            at = end;
        };
        let mut open: Option<(u64, u64)> = None;
        for &(start, end) in &self.buffer {
            match &mut open {
                Some(open) if start <= open.1 => open.1 = open.1.max(end),
                _ => {
                    if let Some((start, end)) = open.replace((start, end)) {
                        write(start, end);
                    }
                }
            }
        }
        if let Some((start, end)) = open {
            write(start, end);
        }
        run.shrink_to_fit();
        self.runs.push(run);
        self.buffer.clear();
    }

    /// The union of all that was added.
    pub(super) fn union(mut self) -> Union {
        self.pack();
        self.buffer = Vec::new();
        let mut readers: Vec<Run<'_>> =
            self.runs.iter().map(|bytes| Run { bytes, at: 0 }).collect();
        let mut heads: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();
        for (i, reader) in readers.iter_mut().enumerate() {
            heads.extend(reader.next().map(|(start, end)| Reverse((start, end, i))));
        }
        let mut union = Union::default();
        let Some(&Reverse((first, ..))) = heads.peek() else { return union };
        (union.start, union.end) = (first, first);
        union.by_length = vec![0; 64];
        while let Some(Reverse((start, end, i))) = heads.pop() {
            heads.extend(readers[i].next().map(|(start, end)| Reverse((start, end, i))));
            if start > union.end {
                let gap = start - union.end;
                union.gaps += 1;
                union.longest = union.longest.max(gap);
                union.by_length[gap.ilog2() as usize] += 1;
            }
            let from = start.max(union.end);
            union.busy += end.saturating_sub(from);
            union.end = union.end.max(end);
        }
        union
    }
}

/// A packed run on the way back.
struct Run<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Iterator for Run<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let start = self.at + unvarint(&mut self.bytes)?;
        self.at = start + unvarint(&mut self.bytes)?;
        Some((start, self.at))
    }
}

/// Seven bits a byte, low ones first.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn unvarint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn union(of: &[(u64, u64)]) -> Union {
        let mut intervals = Intervals::default();
        of.iter().for_each(|&(start, end)| intervals.add(start, end));
        intervals.union()
    }

    #[test]
    fn overlaps_count_once_and_gaps_are_between() {
        let union = union(&[(100, 200), (150, 250), (300, 310), (20, 30), (305, 307), (7, 7)]);
        assert_eq!((union.start, union.end, union.busy), (20, 310, 170));
        assert_eq!((union.gaps, union.longest), (2, 70));
        assert_eq!(union.window(), 290);
        assert_eq!(super::Intervals::default().union(), Union::default());
    }

    proptest! {
        /// Packed in any number of runs, and in any order, it is what a bitmap says.
        #[test]
        fn any_order_any_packing(
            intervals in prop::collection::vec((0_u64..200, 0_u64..20), 0..60),
            pack_at in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut set = Intervals::default();
            let mut busy = [false; 256];
            for (&(start, length), pack) in intervals.iter().zip(&pack_at) {
                set.add(start, start + length);
                busy[start as usize..(start + length) as usize].fill(true);
                if *pack {
                    set.pack();
                }
            }
            let union = set.union();
            prop_assert_eq!(union.busy, busy.iter().filter(|b| **b).count() as u64);
            let first = busy.iter().position(|b| *b).unwrap_or(0);
            let last = busy.iter().rposition(|b| *b).map_or(0, |i| i + 1);
            prop_assert_eq!((union.start, union.end), (first as u64, last as u64));
            let gaps = busy[first..last].split(|b| *b).filter(|gap| !gap.is_empty()).count();
            prop_assert_eq!(union.gaps, gaps as u64);
        }

        #[test]
        fn numbers_read_back(values in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut bytes = Vec::new();
            values.iter().for_each(|v| varint(&mut bytes, *v));
            let mut rest = bytes.as_slice();
            for value in values {
                prop_assert_eq!(unvarint(&mut rest), Some(value));
            }
            prop_assert!(rest.is_empty());
        }
    }
}
