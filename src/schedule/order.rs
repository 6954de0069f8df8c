//! In which order Tasks wait, and when they will be done.

use super::Task;
use super::policy::{Next, Occupancy, Policy};

/// When a Task runs, and on which GPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The Task, as an index.
    pub task: usize,
    /// Seconds from the start of the schedule to its start.
    pub start_s: f64,
    /// Seconds from the start of the schedule to its end.
    pub end_s: f64,
    /// GPUs, indices into the machine's.
    pub gpus: Vec<usize>,
}

/// What a schedule is likely to look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// The Tasks in order of their starts.
    pub spans: Vec<Span>,
    /// Seconds from the first start to the last end.
    pub makespan_s: f64,
}

/// The order in which the Tasks are likely to be done first: by the longest, by the most
/// work (GPUs × seconds), or by the widest, whichever the prediction is best for.
pub fn best_order(tasks: &[Task], capacity: &Occupancy) -> Vec<usize> {
    type Key = fn(&Task) -> (f64, f64);
    let keys: [Key; 3] = [
        |t| (t.estimate_s, t.footprint.n_gpus as f64),
        |t| (t.estimate_s * t.footprint.n_gpus.max(1) as f64, t.estimate_s),
        |t| (t.footprint.n_gpus as f64, t.estimate_s),
    ];
    let all_alike = tasks.windows(2).all(|pair| keys[0](&pair[0]) == keys[0](&pair[1]));
    if all_alike {
        return (0..tasks.len()).collect();
    }
    let orders = keys.into_iter().map(|key| {
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        // Stable: those that are alike stay as they were given.
        order.sort_by(|&a, &b| {
            let (a, b) = (key(&tasks[a]), key(&tasks[b]));
            b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        order
    });
    // The first of those that are as good as each other.
    let rated = orders.map(|order| (predict(tasks, &order, capacity).makespan_s, order));
    rated.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, order)| order).unwrap_or_default()
}

/// Runs the policy on estimates alone, with Tasks waiting in this order.
pub fn predict(tasks: &[Task], order: &[usize], capacity: &Occupancy) -> Prediction {
    let mut busy = capacity.clone();
    let (mut pending, mut policy) = (order.to_vec(), Policy::new(tasks));
    let mut running: Vec<Span> = Vec::new();
    let mut done = Vec::with_capacity(order.len());
    let mut now = 0.0_f64;
    loop {
        loop {
            let ends: Vec<(f64, usize, &[usize])> =
                running.iter().map(|s| (s.end_s, s.task, s.gpus.as_slice())).collect();
            let Next::Start(at) = policy.next(tasks, &pending, &busy, &ends, &[], now) else {
                break;
            };
            let task = pending.remove(at);
            let wanted = &tasks[task].footprint;
            let free = wanted.gpus.iter().copied().filter(|&i| busy.is_free(i));
            let gpus: Vec<usize> = free.take(wanted.n_gpus).collect();
            busy.take(wanted, &gpus);
            running.push(Span { task, start_s: now, end_s: now + tasks[task].estimate_s, gpus });
        }
        let Some(next) = running.iter().map(|s| s.end_s).min_by(f64::total_cmp) else { break };
        now = now.max(next);
        let (ended, still): (Vec<Span>, Vec<Span>) =
            running.into_iter().partition(|span| span.end_s <= now);
        for span in &ended {
            busy.free(&tasks[span.task].footprint, &span.gpus);
        }
        running = still;
        done.extend(ended);
    }
    let makespan_s = done.iter().map(|s| s.end_s).fold(0.0, f64::max);
    done.sort_by(|a, b| a.start_s.total_cmp(&b.start_s).then(a.task.cmp(&b.task)));
    Prediction { spans: done, makespan_s }
}
