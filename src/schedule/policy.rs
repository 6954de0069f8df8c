//! What may start next: the first that waits, and others where they do not delay it.
//!
//! This is EASY backfilling (Lifka, 1995) with a promise: estimates may be wrong, and then
//! those that go ahead would delay the first one again and again. So the time at which it
//! could first have started is kept, and once that has passed nobody goes ahead any more.

use super::{CpuUse, Footprint, Task};
use crate::machine::lease::PATIENCE;

/// Clocks and sums of seconds are not exact.
const EPSILON_S: f64 = 1e-9;

/// Which parts of the machine are in use by this Run.
#[derive(Clone, Debug)]
pub struct Occupancy {
    gpus: Vec<bool>,
    cores_free: usize,
    cores: usize,
    /// Tasks that use the CPU.
    here: usize,
    exclusive: bool,
    elsewhere_free: usize,
}

impl Occupancy {
    /// A machine of which nothing is in use.
    pub fn new(gpus: usize, cores: usize, elsewhere: usize) -> Occupancy {
        Occupancy {
            gpus: vec![false; gpus],
            cores_free: cores,
            cores,
            here: 0,
            exclusive: false,
            elsewhere_free: elsewhere,
        }
    }

    /// Whether the GPU is free.
    pub(super) fn is_free(&self, gpu: usize) -> bool {
        self.gpus.get(gpu) == Some(&false)
    }

    /// Whether there is room for it.
    pub(super) fn fits(&self, wanted: &Footprint) -> bool {
        if wanted.elsewhere {
            return self.elsewhere_free > 0;
        }
        let cpu = match wanted.cpu {
            CpuUse::None => true,
            CpuUse::Shared => !self.exclusive,
            // More than there are is an error that leasing tells.
            CpuUse::Cores(n) => !self.exclusive && self.cores_free >= (n as usize).min(self.cores),
            CpuUse::Exclusive => self.here == 0,
        };
        cpu && self.free_of(wanted) >= wanted.n_gpus
    }

    fn free_of(&self, wanted: &Footprint) -> usize {
        wanted.gpus.iter().filter(|&&i| self.is_free(i)).count()
    }

    /// Puts it there, on these GPUs.
    pub(super) fn take(&mut self, what: &Footprint, gpus: &[usize]) {
        if what.elsewhere {
            self.elsewhere_free = self.elsewhere_free.saturating_sub(1);
            return;
        }
        gpus.iter().for_each(|&i| self.gpus[i] = true);
        self.here += usize::from(what.cpu != CpuUse::None);
        self.exclusive |= what.cpu == CpuUse::Exclusive;
        if let CpuUse::Cores(n) = what.cpu {
            self.cores_free = self.cores_free.saturating_sub(n as usize);
        }
    }

    /// Takes it away again.
    pub(super) fn free(&mut self, what: &Footprint, gpus: &[usize]) {
        if what.elsewhere {
            self.elsewhere_free += 1;
            return;
        }
        gpus.iter().for_each(|&i| self.gpus[i] = false);
        self.here -= usize::from(what.cpu != CpuUse::None);
        self.exclusive &= what.cpu != CpuUse::Exclusive;
        if let CpuUse::Cores(n) = what.cpu {
            self.cores_free = (self.cores_free + n as usize).min(self.cores);
        }
    }
}

/// What may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The one at this position of those that wait.
    Start(usize),
    /// Nothing, until something ends.
    Wait,
}

/// Remembers who is first, and what was promised to it. Of Tasks that need the same, and there may
/// be thousands, one is looked at.
#[derive(Debug)]
pub(super) struct Policy {
    promise: Option<(usize, f64)>,
    /// What Tasks need, each once.
    kinds: Vec<Footprint>,
    /// Which of them a Task needs.
    kind: Vec<usize>,
}

impl Policy {
    /// For these Tasks.
    pub(super) fn new(tasks: &[Task]) -> Policy {
        let mut kinds: Vec<Footprint> = Vec::new();
        let kind = tasks.iter().map(|Task { footprint, .. }| {
            kinds.iter().position(|known| known == footprint).unwrap_or_else(|| {
                kinds.push(footprint.clone());
                kinds.len() - 1
            })
        });
        Policy { promise: None, kind: kind.collect(), kinds }
    }

    /// Who waits first and cannot start, and the time (seconds) from which nobody goes ahead.
    pub(super) fn promise(&self) -> Option<(usize, f64)> {
        self.promise
    }

    /// What may start at `now` of those in `pending`, given who is `running` until when and
    /// on which GPUs. Footprints in `refused` are held back by somebody else.
    pub(super) fn next(
        &mut self,
        tasks: &[Task],
        pending: &[usize],
        busy: &Occupancy,
        running: &[(f64, usize, &[usize])],
        refused: &[Footprint],
        now: f64,
    ) -> Next {
        let fits = |wanted: &Footprint| busy.fits(wanted) && !refused.contains(wanted);
        let able: Vec<bool> = self.kinds.iter().map(fits).collect();
        // Most often, at a Task's end, there is room for nobody else.
        let full = !able.contains(&true);
        let can = |task: usize| able[self.kind[task]];
        // Those on other machines have a line of their own.
        let away = |&at: &usize| self.kinds[self.kind[pending[at]]].elsewhere;
        if self.kinds.iter().any(|kind| kind.elsewhere)
            && let Some(at) = (0..pending.len()).find(away)
            && can(pending[at])
        {
            return Next::Start(at);
        }
        let mut here = (0..pending.len()).filter(|at| !away(at));
        let Some(first) = here.next() else {
            self.promise = None;
            return Next::Wait;
        };
        let head = pending[first];
        if can(head) {
            self.promise = None;
            return Next::Start(first);
        }
        let reservation = reservation(&tasks[head].footprint, tasks, busy, running, now);
        let promised = match self.promise {
            Some((task, promised)) if task == head => promised,
            _ => {
                let shadow = reservation.as_ref().map_or(f64::INFINITY, |(at, _)| *at);
                // Of other processes nobody knows when they end.
                let by = match refused.contains(&tasks[head].footprint) {
                    true => now + PATIENCE.as_secs_f64(),
                    false => shadow,
                };
                self.promise = Some((head, by));
                by
            }
        };
        if full || now > promised + EPSILON_S {
            return Next::Wait;
        }
        let Some((at, then)) = &reservation else {
            // What it waits for is not ours.
            return here.find(|&at| can(pending[at])).map_or(Next::Wait, Next::Start);
        };
        let leaves_room = |kind: &Footprint| {
            let mut then = then.clone();
            let free = kind.gpus.iter().filter(|&&i| then.is_free(i));
            let taken: Vec<usize> = free.take(kind.n_gpus).copied().collect();
            let enough = taken.len() == kind.n_gpus;
            then.take(kind, &taken);
            enough && then.fits(&tasks[head].footprint)
        };
        let beside: Vec<bool> = self.kinds.iter().map(leaves_room).collect();
        // Nor is it ours if there is room for it now.
        let delays = |task: usize| {
            let late = now + tasks[task].estimate_s > *at + EPSILON_S;
            *at > now && late && !beside[self.kind[task]]
        };
        let next = here.find(|&at| can(pending[at]) && !delays(pending[at]));
        next.map_or(Next::Wait, Next::Start)
    }
}

/// When there will be room for `wanted`, and how the machine will look then.
fn reservation(
    wanted: &Footprint,
    tasks: &[Task],
    busy: &Occupancy,
    running: &[(f64, usize, &[usize])],
    now: f64,
) -> Option<(f64, Occupancy)> {
    let mut then = busy.clone();
    if then.fits(wanted) {
        return Some((now, then));
    }
    let mut ends: Vec<&(f64, usize, &[usize])> = running.iter().collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (end, task, gpus) in ends {
        then.free(&tasks[*task].footprint, gpus);
        if then.fits(wanted) {
            return Some((end.max(now), then));
        }
    }
    None
}
