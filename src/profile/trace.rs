//! What readers of traces put together, activity by activity.

use std::collections::{BTreeMap, HashMap};

use super::intervals::{Intervals, Union};
use super::kind::Kind;
use super::rules::SHORT_NS;

/// Distinct names that are kept; what has further ones is put together by kind. Real
/// traces have a few thousand, so this only bounds the memory that a strange one takes.
const NAMES_MAX: usize = 100_000;

/// A GPU of one group of files: files of several ranks all have a GPU 0.
pub(super) type Device = (u32, i64);

/// The sum of what was read so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    names: HashMap<Box<str>, usize>,
    kernels: Vec<Kernel>,
    devices: BTreeMap<Device, Timeline>,
    group: u32,
}

/// All activities of one name.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) calls: u64,
    pub(super) total_ns: u64,
    /// Time in calls shorter than [`SHORT_NS`].
    pub(super) short_ns: u64,
}

#[derive(Debug, Default)]
struct Timeline {
    all: Intervals,
    /// Without collectives: the rest of `all` is communication that nothing hides.
    work: Intervals,
}

/// How busy one GPU was.
#[derive(Clone, Debug)]
pub(super) struct DeviceUse {
    pub(super) device: Device,
    pub(super) all: Union,
    /// Time in which nothing but collectives ran.
    pub(super) exposed_ns: u64,
}

impl Trace {
    /// The devices of what follows are those of this group of files.
    pub(super) fn of_group(&mut self, group: u32) {
        self.group = group;
    }

    /// Something ran on a GPU from `start` to `end`, in nanoseconds. Without `kind` the
    /// name says what it is.
    pub(super) fn activity(
        &mut self,
        device: i64,
        name: &str,
        kind: Option<Kind>,
        start: u64,
        end: u64,
    ) {
        let duration = end.saturating_sub(start);
        let kernel = self.kernel(name, kind);
        kernel.calls += 1;
        kernel.total_ns = kernel.total_ns.saturating_add(duration);
        if duration < SHORT_NS {
            kernel.short_ns += duration;
        }
        let kind = kernel.kind;
        let timeline = self.devices.entry((self.group, device)).or_default();
        timeline.all.add(start, end);
        if kind != Kind::Collective {
            timeline.work.add(start, end);
        }
    }

    /// `calls` calls took `total_ns` together; when, is not known.
    pub(super) fn summed(&mut self, name: &str, kind: Option<Kind>, calls: u64, total_ns: u64) {
        let kernel = self.kernel(name, kind);
        kernel.calls += calls;
        kernel.total_ns = kernel.total_ns.saturating_add(total_ns);
        if total_ns < SHORT_NS.saturating_mul(calls) {
            kernel.short_ns += total_ns;
        }
    }

    fn kernel(&mut self, name: &str, kind: Option<Kind>) -> &mut Kernel {
        let index = match self.names.get(name) {
            Some(index) => *index,
            None => {
                let kind = kind.unwrap_or_else(|| Kind::of(name));
                let full = self.names.len() >= NAMES_MAX;
                let name =
                    if full { format!("(more {} kernels)", kind.word()) } else { name.into() };
                let next = self.kernels.len();
                let index = *self.names.entry(name.clone().into()).or_insert(next);
                if index == next {
                    let name = name.into();
                    self.kernels.push(Kernel { name, kind, calls: 0, total_ns: 0, short_ns: 0 });
                }
                index
            }
        };
        &mut self.kernels[index]
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> u64 {
        self.kernels.iter().map(|k| k.calls).sum()
    }

    /// All names, the longest-running first, and all devices.
    pub(super) fn finish(mut self) -> (Vec<Kernel>, Vec<DeviceUse>) {
        self.names = HashMap::new();
        self.kernels.sort_by(|a, b| b.total_ns.cmp(&a.total_ns).then_with(|| a.name.cmp(&b.name)));
        let devices = self.devices.into_iter().map(|(device, timeline)| {
            let all = timeline.all.union();
            let exposed_ns = all.busy - timeline.work.union().busy;
            DeviceUse { device, all, exposed_ns }
        });
        (self.kernels, devices.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectives_that_work_hides_are_not_exposed() {
        let mut trace = Trace::default();
        trace.activity(0, "gemm", None, 0, 100_000);
        trace.activity(0, "ncclDevKernel_AllReduce", None, 50_000, 150_000);
        trace.activity(1, "gemm", None, 0, 10_000);
        let (kernels, devices) = trace.finish();
        assert_eq!(kernels[0].name.as_ref(), "gemm");
        assert_eq!((kernels[0].calls, kernels[0].total_ns), (2, 110_000));
        assert_eq!(devices[0].all.busy, 150_000);
        assert_eq!(devices[0].exposed_ns, 50_000);
        assert_eq!(devices[1].exposed_ns, 0);
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let mut trace = Trace::default();
        for i in 0..NAMES_MAX + 1000 {
            trace.summed(&format!("gemm_{i}"), None, 1, 10);
        }
        assert_eq!(trace.calls() as usize, NAMES_MAX + 1000);
        let (kernels, _) = trace.finish();
        assert!(kernels.len() <= NAMES_MAX + Kind::ALL.len());
        assert_eq!(kernels[0].name.as_ref(), "(more gemm kernels)");
    }
}
