//! Many Jobs at once where they cannot disturb each other.
//!
//! A [`Task`] is something to run, with what it needs of the machine ([`Footprint`]) and how
//! long it is likely to take. [`Scheduler::run`] starts each in a thread once what it needs
//! is leased, and hands it over as a [`Grant`]. One at a time is the special case
//! ([`Limits::serial`]).
//!
//! * `policy`: what may start next. The first Task that waits has a reservation: others go
//!   ahead of it only where they do not delay it, and nobody does once the time has passed
//!   that was promised to it. So it waits for what runs then, and for no more.
//! * `order`: in which order they wait: the one of several that a simulation of the same
//!   policy ([`predict`]) finds to be done first.
//! * `near`: which of the free GPUs.
//!
//! The leases ([`crate::machine::lease`]) hold across processes, and so does the promise.

mod near;
mod order;
mod policy;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

pub use order::{Prediction, Span, best_order, predict};
pub use policy::Occupancy;
use policy::{Next, Policy};

use crate::engine::Cancel;
use crate::machine::lease::PATIENCE;
use crate::machine::{
    Attempt, Choice, Granted, Lease, LeaseRequest, Leases, Machine, Resource, Share, Ticket,
    usable_cores,
};
use crate::progress::Progress;

/// How often those are asked again who have what is waited for, where they are other
/// processes; and whether somebody cancelled.
const POLL: Duration = Duration::from_millis(50);

/// How the processors are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CpuUse {
    /// Hardly: it waits for another machine, or does nothing.
    #[default]
    None,
    /// Together with others.
    Shared,
    /// So many cores for itself, the rest is for others.
    Cores(u32),
    /// By nobody else.
    Exclusive,
}

/// What a Task needs of the machine; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// How many GPUs.
    pub n_gpus: usize,
    /// Which ones it may have, indices into the machine's.
    pub gpus: Vec<usize>,
    /// The processors.
    pub cpu: CpuUse,
    /// Whether it runs on other machines (a Slurm cluster, Kubernetes): it needs none of
    /// this one, but many of them are a burden to whoever manages those.
    pub elsewhere: bool,
    /// What nobody else may have meanwhile, apart from that.
    pub also: Vec<Resource>,
}

impl Footprint {
    /// What to lease: as many as are needed of these `gpus` of the machine and of these
    /// `cores`, the best first.
    pub fn request(
        &self,
        machine: &Machine,
        gpus: &[usize],
        cores: &[u32],
        owner: String,
    ) -> LeaseRequest {
        let share = match self.cpu {
            CpuUse::None => None,
            CpuUse::Shared | CpuUse::Cores(_) => Some(Share::Shared),
            CpuUse::Exclusive => Some(Share::Exclusive),
        };
        let cpu = share.map(|share| (Resource::Cpu, share));
        let also = self.also.iter().map(|resource| (resource.clone(), Share::Exclusive));
        let gpus = gpus.iter().map(|&i| machine.gpu_resource(i)).collect();
        let mut choices = vec![Choice { candidates: gpus, count: self.n_gpus }];
        if let CpuUse::Cores(n) = self.cpu {
            let candidates = cores.iter().map(|&n| Resource::Core(n)).collect();
            choices.push(Choice { candidates, count: n as usize });
        }
        LeaseRequest { resources: cpu.into_iter().chain(also).collect(), choices, owner }
    }

    /// Whether there is nothing to lease.
    pub fn is_free(&self) -> bool {
        self.n_gpus == 0 && self.cpu == CpuUse::None && self.also.is_empty()
    }
}

/// Something to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Who it is, for people who wait for it.
    pub label: String,
    /// What it needs.
    pub footprint: Footprint,
    /// Seconds it is likely to take.
    pub estimate_s: f64,
}

/// How much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One Task at a time, in the order they were given.
    pub serial: bool,
    /// Tasks on other machines at once.
    pub elsewhere: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { serial: false, elsewhere: 64 }
    }
}

/// What a Task was given; free again on drop.
#[derive(Debug, Default)]
pub struct Grant {
    /// GPUs, indices into the machine's, ascending.
    pub gpus: Vec<usize>,
    /// Cores of its own, as the kernel numbers them; none where it shares them.
    pub cores: Vec<u32>,
    /// Held for its locks.
    _lease: Option<Lease>,
}

impl Grant {
    /// What was leased of these `gpus` and `cores`.
    pub fn new((lease, chosen): Granted, gpus: &[usize], cores: &[u32]) -> Grant {
        let mut had: Vec<usize> = chosen[0].iter().map(|&i| gpus[i]).collect();
        had.sort_unstable();
        let cores = chosen.get(1).into_iter().flatten().map(|&i| cores[i]).collect();
        Grant { gpus: had, cores, _lease: Some(lease) }
    }
}

/// Runs Tasks on one machine.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler<'a> {
    /// The machine they run on.
    pub machine: &'a Machine,
    /// Its leases.
    pub leases: &'a Leases,
    /// Lets nothing start any more.
    pub cancel: &'a Cancel,
    /// How much at once.
    pub limits: Limits,
    /// The Run, for those who wait for it.
    pub owner: &'a str,
    /// Hears of it when everything waits for others.
    pub progress: &'a Progress,
}

/// One Task that runs.
struct Running {
    task: usize,
    gpus: Vec<usize>,
    /// When it is likely to end, seconds from the start of the schedule.
    ends: f64,
}

/// Says that a Task ended, also when its thread panicked.
struct Done {
    to: Sender<(usize, ControlFlow<()>)>,
    task: usize,
    flow: ControlFlow<()>,
}

impl Drop for Done {
    fn drop(&mut self) {
        // Nobody listens any more: then nobody waits for it either.
        let _ = self.to.send((self.task, self.flow));
    }
}

impl Scheduler<'_> {
    fn capacity(&self, cores: &[u32]) -> Occupancy {
        Occupancy::new(self.machine.gpus.len(), cores.len(), self.limits.elsewhere)
    }

    /// Seconds that the Tasks are likely to take.
    pub fn makespan_s(&self, tasks: &[Task]) -> f64 {
        if self.limits.serial {
            return tasks.iter().map(|task| task.estimate_s).sum();
        }
        let capacity = self.capacity(&usable_cores());
        predict(tasks, &best_order(tasks, &capacity), &capacity).makespan_s
    }

    /// Runs the Tasks, each once, by `work`, in threads. When `work` breaks, or on
    /// cancellation, nothing more is started. Returns the Tasks that were not.
    ///
    /// # Errors
    /// When leases cannot be had at all. What runs then is waited for.
    pub fn run(
        &self,
        tasks: &[Task],
        work: &(dyn Fn(usize, Grant) -> ControlFlow<()> + Sync),
    ) -> Result<Vec<usize>> {
        let cores = usable_cores();
        let capacity = self.capacity(&cores);
        let order = match self.limits.serial {
            true => (0..tasks.len()).collect(),
            false => best_order(tasks, &capacity),
        };
        std::thread::scope(|scope| {
            let (to, from) = channel();
            let start = |task: usize, grant: Grant| {
                let to = to.clone();
                scope.spawn(move || {
                    let mut done = Done { to, task, flow: ControlFlow::Break(()) };
                    done.flow = work(task, grant);
                });
            };
            Loop { scheduler: self, tasks, cores: &cores, from, started: Instant::now() }
                .run(capacity, order, &start)
        })
    }
}

/// The state of [`Scheduler::run`].
struct Loop<'a> {
    scheduler: &'a Scheduler<'a>,
    tasks: &'a [Task],
    cores: &'a [u32],
    from: Receiver<(usize, ControlFlow<()>)>,
    started: Instant,
}

impl Loop<'_> {
    fn run(
        &self,
        mut busy: Occupancy,
        mut pending: Vec<usize>,
        start: &dyn Fn(usize, Grant),
    ) -> Result<Vec<usize>> {
        let mut policy = Policy::new(self.tasks);
        let mut running: Vec<Running> = Vec::new();
        let mut queued: Option<(usize, Ticket)> = None;
        let mut trouble = None;
        let mut stopped = false;
        loop {
            stopped |= self.scheduler.cancel.is_cancelled();
            let mut refused = Vec::new();
            while !stopped && trouble.is_none() {
                let now = self.started.elapsed().as_secs_f64();
                if self.scheduler.limits.serial && !running.is_empty() {
                    break;
                }
                let ends: Vec<(f64, usize, &[usize])> =
                    running.iter().map(|r| (r.ends, r.task, r.gpus.as_slice())).collect();
                let next = policy.next(self.tasks, &pending, &busy, &ends, &refused, now);
                // Of who waits longest, other processes know.
                if let Some((head, promised)) = policy.promise()
                    && queued.as_ref().is_none_or(|(task, _)| *task != head)
                {
                    queued = self.queue(head, promised).map(|ticket| (head, ticket)).ok();
                }
                let Next::Start(at) = next else { break };
                let task = pending[at];
                match self.grant(task, &busy, queued.as_ref().map(|(_, ticket)| ticket)) {
                    Ok(Attempt::Held(grant)) => {
                        pending.remove(at);
                        queued = queued.filter(|(head, _)| *head != task);
                        busy.take(&self.tasks[task].footprint, &grant.gpus);
                        let ends = now + self.tasks[task].estimate_s;
                        running.push(Running { task, gpus: grant.gpus.clone(), ends });
                        self.scheduler.progress.waits_no_more();
                        start(task, grant);
                    }
                    Ok(Attempt::Busy(who)) => {
                        tracing::debug!("{} waits for {who}", self.tasks[task].label);
                        if running.is_empty() {
                            self.scheduler.progress.waits(&self.tasks[task].label, &who);
                        }
                        refused.push(self.tasks[task].footprint.clone());
                        if self.scheduler.limits.serial {
                            break;
                        }
                    }
                    Err(e) => trouble = Some(e),
                }
            }
            let over = pending.is_empty() || stopped || trouble.is_some();
            if running.is_empty() && over {
                break;
            }
            let ended = match self.from.recv_timeout(POLL) {
                Ok(ended) => Some(ended),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            for (task, flow) in ended.into_iter().chain(self.from.try_iter()) {
                stopped |= flow.is_break();
                if let Some(at) = running.iter().position(|r| r.task == task) {
                    let ended = running.swap_remove(at);
                    busy.free(&self.tasks[task].footprint, &ended.gpus);
                }
            }
        }
        match trouble {
            Some(e) => Err(e),
            None => Ok(pending),
        }
    }

    /// The GPUs that a Task may have, the best first.
    fn gpus(&self, footprint: &Footprint, busy: &Occupancy) -> Vec<usize> {
        near::order(self.scheduler.machine, &footprint.gpus, footprint.n_gpus, busy)
    }

    fn request(&self, task: usize, gpus: &[usize]) -> LeaseRequest {
        let Task { label, footprint, .. } = &self.tasks[task];
        let owner = format!("{} {label}", self.scheduler.owner);
        footprint.request(self.scheduler.machine, gpus, self.cores, owner)
    }

    /// Leases what a Task needs, if it is free. Who goes ahead of our own first one was
    /// found not to delay it.
    fn grant(&self, task: usize, busy: &Occupancy, own: Option<&Ticket>) -> Result<Attempt<Grant>> {
        let footprint = &self.tasks[task].footprint;
        if footprint.is_free() {
            return Ok(Attempt::Held(Grant::default()));
        }
        let gpus = self.gpus(footprint, busy);
        let request = self.request(task, &gpus);
        Ok(match self.scheduler.leases.try_acquire(&request, own)? {
            Attempt::Held(granted) => Attempt::Held(Grant::new(granted, &gpus, self.cores)),
            Attempt::Busy(who) => Attempt::Busy(who),
        })
    }

    fn queue(&self, head: usize, promised: f64) -> Result<Ticket> {
        let request = self.request(head, &self.tasks[head].footprint.gpus);
        let left = promised - self.started.elapsed().as_secs_f64();
        let left = Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(PATIENCE);
        Ok(self.scheduler.leases.queue(&request, SystemTime::now() + left)?)
    }
}
