use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

fn machine(gpus: usize) -> Machine {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines/8x-mi300x.json");
    let mut machine = Machine::from_file(std::path::Path::new(path)).unwrap();
    machine.gpus.truncate(gpus);
    machine
}

fn task(n_gpus: usize, estimate_s: f64) -> Task {
    let footprint =
        Footprint { n_gpus, gpus: (0..8).collect(), cpu: CpuUse::Shared, ..Footprint::default() };
    Task { label: format!("{n_gpus} GPUs"), footprint, estimate_s }
}

fn cpu(cpu: CpuUse) -> Task {
    Task {
        label: "cpu".into(),
        footprint: Footprint { cpu, ..Footprint::default() },
        estimate_s: 1.0,
    }
}

/// How long the work would take on 8 GPUs that are never idle, or its longest part.
fn bound(tasks: &[Task]) -> f64 {
    let work: f64 = tasks.iter().map(|t| t.estimate_s * t.footprint.n_gpus as f64).sum();
    tasks.iter().map(|t| t.estimate_s).fold(work / 8.0, f64::max)
}

#[test]
fn who_waits_first_is_passed_only_by_those_that_do_not_delay_it() {
    // 6 GPUs until 10 s; then the wide one; of the narrow ones only the short may go ahead.
    let tasks = [task(6, 10.0), task(8, 1.0), task(2, 20.0), task(2, 5.0)];
    let capacity = Occupancy::new(8, 2, 1);
    let spans = predict(&tasks, &[0, 1, 2, 3], &capacity).spans;
    let start = |task: usize| spans.iter().find(|s| s.task == task).unwrap().start_s;
    assert_eq!([0, 1, 2, 3].map(start), [0.0, 10.0, 11.0, 0.0]);
}

#[test]
fn wrong_estimates_delay_nobody_for_ever() {
    // It was to end at 1 s and does not. What might go ahead claims to take no time.
    let tasks = [task(7, 1.0), task(8, 1.0), task(1, 0.0)];
    let mut busy = Occupancy::new(8, 2, 1);
    let gpus: Vec<usize> = (0..7).collect();
    busy.take(&tasks[0].footprint, &gpus);
    let running = [(1.0, 0, gpus.as_slice())];
    let mut policy = Policy::new(&tasks);
    let mut next = |now: f64| policy.next(&tasks, &[1, 2], &busy, &running, &[], now);
    assert_eq!(next(0.5), Next::Start(1));
    assert_eq!(next(1.5), Next::Wait);
    assert_eq!(next(1e6), Next::Wait);
}

#[test]
fn the_cpu_is_for_one_or_shared_or_partitioned() {
    let tasks = [
        cpu(CpuUse::Exclusive),
        cpu(CpuUse::Shared),
        cpu(CpuUse::Cores(2)),
        cpu(CpuUse::Cores(2)),
        cpu(CpuUse::Cores(1)),
        cpu(CpuUse::None),
    ];
    let spans = predict(&tasks, &[0, 1, 2, 3, 4, 5], &Occupancy::new(0, 4, 1)).spans;
    let start = |task: usize| spans.iter().find(|s| s.task == task).unwrap().start_s;
    assert_eq!([0, 1, 2, 3, 4, 5].map(start), [0.0, 1.0, 1.0, 1.0, 2.0, 0.0]);
}

#[test]
fn other_machines_have_a_line_of_their_own() {
    let mut away = cpu(CpuUse::None);
    away.footprint.elsewhere = true;
    let tasks = [away.clone(), away.clone(), away, cpu(CpuUse::Exclusive)];
    let spans = predict(&tasks, &[0, 1, 2, 3], &Occupancy::new(0, 1, 2)).spans;
    let starts: Vec<(usize, f64)> = spans.iter().map(|s| (s.task, s.start_s)).collect();
    assert_eq!(starts, [(0, 0.0), (1, 0.0), (3, 0.0), (2, 1.0)]);
}

#[test]
fn gpus_of_one_node_and_of_the_fullest() {
    let mut machine = machine(8);
    for (i, gpu) in machine.gpus.iter_mut().enumerate() {
        gpu.numa_node = Some(u32::from(i >= 4));
    }
    let all: Vec<usize> = (0..8).collect();
    let mut busy = Occupancy::new(8, 2, 1);
    assert_eq!(near::order(&machine, &all, 2, &busy)[..2], [0, 1]);
    busy.take(&task(2, 1.0).footprint, &[4, 5]);
    assert_eq!(near::order(&machine, &all, 2, &busy)[..2], [6, 7]);
    assert_eq!(near::order(&machine, &all, 4, &busy)[..4], [0, 1, 2, 3]);
    assert_eq!(near::order(&machine, &all, 5, &busy)[..5], [0, 1, 2, 3, 6]);
}

fn scheduler_with<R>(limits: Limits, gpus: usize, f: impl FnOnce(Scheduler<'_>) -> R) -> R {
    let dir = tempfile::tempdir().unwrap();
    let (machine, leases) = (machine(gpus), Leases::new(dir.path().join("leases")));
    let cancel = Cancel::default();
    f(Scheduler {
        machine: &machine,
        leases: &leases,
        cancel: &cancel,
        limits,
        owner: "run-1",
        progress: &Progress::silent(),
    })
}

#[test]
fn every_task_runs_once_and_no_gpu_is_had_twice() {
    let tasks: Vec<Task> = (0..40).map(|i| task([1, 2, 4, 8][i % 4], 1e-3)).collect();
    let used: Vec<AtomicUsize> = (0..8).map(|_| AtomicUsize::new(0)).collect();
    let ran = Mutex::new(Vec::new());
    scheduler_with(Limits::default(), 8, |scheduler| {
        let left = scheduler.run(&tasks, &|task, grant| {
            assert_eq!(grant.gpus.len(), tasks[task].footprint.n_gpus);
            for &gpu in &grant.gpus {
                assert_eq!(used[gpu].fetch_add(1, Ordering::SeqCst), 0);
            }
            std::thread::yield_now();
            for &gpu in &grant.gpus {
                used[gpu].fetch_sub(1, Ordering::SeqCst);
            }
            ran.lock().unwrap().push(task);
            ControlFlow::Continue(())
        });
        assert_eq!(left.unwrap(), [0usize; 0]);
    });
    let mut ran = ran.into_inner().unwrap();
    ran.sort_unstable();
    assert_eq!(ran, (0..40).collect::<Vec<usize>>());
}

#[test]
fn serial_is_one_after_the_other_as_given_and_a_break_ends_it() {
    let tasks: Vec<Task> = (0..5).map(|i| task(1 + i % 2, i as f64)).collect();
    let ran = Mutex::new(Vec::new());
    let left = scheduler_with(Limits { serial: true, ..Limits::default() }, 8, |scheduler| {
        scheduler.run(&tasks, &|task, _| {
            ran.lock().unwrap().push(task);
            if task == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    assert_eq!(ran.into_inner().unwrap(), [0, 1, 2]);
    assert_eq!(left.unwrap(), [3, 4]);
}

#[test]
fn what_can_never_be_had_is_an_error() {
    let error = scheduler_with(Limits::default(), 0, |scheduler| {
        let mut wide = task(0, 1.0);
        wide.footprint.gpus.clear();
        wide.footprint.cpu = CpuUse::Cores(100_000);
        scheduler.run(&[wide], &|_, _| ControlFlow::Continue(()))
    });
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("100000 cores are wanted but only "), "{error}");
}

proptest! {
    /// Graham's bound for lists does not hold with widths, but powers of two on a machine
    /// of a power of two pack well.
    #[test]
    fn powers_of_two_pack_well(
        sizes in prop::collection::vec((0usize..4, 0.05f64..2.0), 1..60),
    ) {
        let tasks: Vec<Task> = sizes.iter().map(|(w, s)| task(1 << w, *s)).collect();
        let capacity = Occupancy::new(8, 2, 1);
        let order = best_order(&tasks, &capacity);
        let prediction = predict(&tasks, &order, &capacity);
        prop_assert_eq!(prediction.spans.len(), tasks.len());
        prop_assert!(prediction.makespan_s <= 2.0 * bound(&tasks) + 1e-9);
        for (i, a) in prediction.spans.iter().enumerate() {
            for b in &prediction.spans[i + 1..] {
                let together = a.start_s < b.end_s && b.start_s < a.end_s;
                prop_assert!(!together || a.gpus.iter().all(|g| !b.gpus.contains(g)));
            }
        }
    }
}
