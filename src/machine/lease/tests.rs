use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use Share::{Exclusive, Shared};

const CHILD_DIR: &str = "MAD_TEST_LEASE_DIR";

fn gpu(n: usize) -> Resource {
    Resource::Gpu(format!("0000:0{n}:00.0"))
}

fn setup() -> (TempDir, Leases) {
    let dir = tempfile::tempdir().unwrap();
    let leases = Leases::new(dir.path().join("leases"));
    (dir, leases)
}

fn request(resources: &[(Resource, Share)]) -> LeaseRequest {
    LeaseRequest {
        resources: resources.to_vec(),
        choices: Vec::new(),
        owner: "run-1 bench::dummy".to_owned(),
    }
}

fn any_of(candidates: &[Resource], count: usize, also: &[(Resource, Share)]) -> LeaseRequest {
    let choices = vec![Choice { candidates: candidates.to_vec(), count }];
    LeaseRequest { choices, ..request(also) }
}

fn take(leases: &Leases, resources: &[(Resource, Share)]) -> Lease {
    leases.acquire(&request(resources), &|| false, &mut |_| {}).unwrap().0
}

/// One attempt: cancelled as soon as it would wait.
fn try_take(leases: &Leases, resources: &[(Resource, Share)]) -> Result<Lease, LeaseError> {
    Ok(leases.acquire(&request(resources), &|| true, &mut |_| {})?.0)
}

#[test]
fn exclusive_holders_are_never_two() {
    let (_dir, leases) = setup();
    let inside = AtomicU32::new(0);
    thread::scope(|scope| {
        for at in 0..4 {
            let (leases, inside) = (&leases, &inside);
            scope.spawn(move || {
                for _ in 0..10 {
                    // Named in different orders: it is not the order of locking.
                    let mut parts = [(Resource::Cpu, Exclusive), (gpu(1), Exclusive)];
                    parts.rotate_left(at % 2);
                    let lease = take(leases, &parts);
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    drop(lease);
                }
            });
        }
    });
}

#[test]
fn shared_holders_coexist_and_exclude_exclusive_ones() {
    let (_dir, leases) = setup();
    let first = take(&leases, &[(Resource::Cpu, Shared)]);
    let second = take(&leases, &[(Resource::Cpu, Shared)]);
    assert!(try_take(&leases, &[(Resource::Cpu, Exclusive)]).is_err());
    drop(first);
    assert!(try_take(&leases, &[(Resource::Cpu, Exclusive)]).is_err());
    drop(second);
    let exclusive = try_take(&leases, &[(Resource::Cpu, Exclusive)]).unwrap();
    assert!(try_take(&leases, &[(Resource::Cpu, Shared)]).is_err());
    drop(exclusive);
}

#[test]
fn all_or_nothing() {
    let (_dir, leases) = setup();
    let held = take(&leases, &[(gpu(2), Exclusive)]);
    assert!(try_take(&leases, &[(gpu(1), Exclusive), (gpu(2), Exclusive)]).is_err());
    // The first one is free again.
    let _other = try_take(&leases, &[(gpu(1), Exclusive)]).unwrap();
    drop(held);
}

#[test]
fn a_part_named_twice_is_taken_once_with_the_stronger_share() {
    let (_dir, leases) = setup();
    let alike = Resource::Gpu("0000-01-00.0".to_owned());
    let lease = try_take(&leases, &[(gpu(1), Shared), (alike, Exclusive)]).unwrap();
    assert!(try_take(&leases, &[(gpu(1), Shared)]).is_err());
    drop(lease);
}

#[test]
fn nothing_wanted_is_held_at_once() {
    let (_dir, leases) = setup();
    let lease = try_take(&leases, &[]).unwrap();
    assert!(format!("{lease:?}").contains("Lease"));
}

#[test]
fn cancellation_says_who_holds_it() {
    let (_dir, leases) = setup();
    let _held = take(&leases, &[(gpu(1), Exclusive)]);
    let error = try_take(&leases, &[(gpu(1), Shared)]).unwrap_err();
    insta::with_settings!({filters => vec![
        (r"pid \d+", "pid N"), (r"\d{4}-\S+Z", "TIME"),
    ]}, {
        insta::assert_snapshot!(error, @"cancelled while waiting for GPU 0000:01:00.0, held by pid N (run-1 bench::dummy) since TIME");
    });
}

#[test]
fn waiting_is_told_once_and_ends_with_the_lease() {
    let (_dir, leases) = setup();
    let held = take(&leases, &[(Resource::Cpu, Exclusive)]);
    let told = AtomicBool::new(false);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut messages = Vec::new();
            let lease =
                leases.acquire(&request(&[(Resource::Cpu, Shared)]), &|| false, &mut |who| {
                    messages.push(who.to_owned());
                    told.store(true, Ordering::SeqCst);
                });
            (lease.is_ok(), messages)
        });
        while !told.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        drop(held);
        let (held, messages) = waiter.join().unwrap();
        assert!(held);
        assert_eq!(messages.len(), 1);
        assert!(messages[0].starts_with("the CPU, held by pid "), "{messages:?}");
    });
}

#[test]
fn any_free_ones_are_chosen() {
    let (_dir, leases) = setup();
    let all: Vec<Resource> = (0..4).map(gpu).collect();
    let any = |n, also: &[(Resource, Share)]| {
        let granted = leases.acquire(&any_of(&all, n, also), &|| true, &mut |_| {})?;
        Ok::<_, LeaseError>((granted.0, granted.1[0].clone()))
    };
    let _held = take(&leases, &[(gpu(1), Exclusive)]);
    let (first, chosen) = any(2, &[(Resource::Cpu, Shared)]).unwrap();
    assert_eq!(chosen, [0, 2]);
    assert!(try_take(&leases, &[(Resource::Cpu, Exclusive)]).is_err());

    let error = any(2, &[]).unwrap_err().to_string();
    assert!(error.contains("2 of 4 GPUs, 1 free: GPU 0000:00:00.0, held by"), "{error}");
    let (_last, chosen) = any(1, &[]).unwrap();
    assert_eq!(chosen, [3], "the one that the failed attempt let go");

    drop(first);
    let (none, chosen) = any(0, &[]).unwrap();
    assert_eq!(chosen, [0usize; 0]);
    drop(none);
    let (_again, chosen) = any(1, &[(gpu(0), Exclusive)]).unwrap();
    assert_eq!(chosen, [2], "not the one that is taken anyway");
}

#[test]
fn too_many_are_refused_instead_of_waited_for() {
    let (_dir, leases) = setup();
    let wanted = any_of(&[gpu(0), gpu(0)], 2, &[]);
    let error = leases.acquire(&wanted, &|| false, &mut |_| {}).unwrap_err();
    insta::assert_snapshot!(error, @"2 GPUs are wanted but only 1 can be chosen from");
}

#[test]
fn unusable_directories_and_files() {
    let (dir, _) = setup();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let link = dir.path().join("link");
    symlink(dir.path(), &link).unwrap();
    let message = |path: &Path| {
        let error = try_take(&Leases::new(path.to_owned()), &[(Resource::Cpu, Shared)]);
        error.unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR")
    };
    insta::assert_snapshot!(message(&file), @"cannot use DIR/file for lease files: not a directory; set MAD_LEASE_DIR to a directory that everybody who measures on this machine can write to");
    insta::assert_snapshot!(message(&file.join("sub")), @"cannot use DIR/file/sub for lease files: Not a directory (os error 20); set MAD_LEASE_DIR to a directory that everybody who measures on this machine can write to");
    insta::assert_snapshot!(message(&link), @"cannot use DIR/link for lease files: not a directory; set MAD_LEASE_DIR to a directory that everybody who measures on this machine can write to");

    // What somebody may have planted in a directory that all can write to.
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, dir.path().join("cpu.lock")).unwrap();
    insta::assert_snapshot!(message(dir.path()), @"cannot lock DIR/cpu.lock: Too many levels of symbolic links (os error 40); remove it if it is no plain file, or set MAD_LEASE_DIR to another directory for everybody who measures on this machine");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_file(dir.path().join("cpu.lock")).unwrap();
    fs::create_dir(dir.path().join("cpu.lock")).unwrap();
    assert!(message(dir.path()).starts_with("cannot lock DIR/cpu.lock"));
}

#[test]
fn everybody_can_use_what_is_made() {
    let (_dir, leases) = setup();
    let _held = take(&leases, &[(Resource::Cpu, Exclusive)]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&leases.dir), 0o1777);
    assert_eq!(mode(&leases.dir.join("cpu.lock")), 0o666);
}

#[test]
fn a_stale_note_does_not_matter() {
    let (_dir, leases) = setup();
    drop(take(&leases, &[(Resource::Cpu, Shared)]));
    let file = leases.dir.join("cpu.lock");
    fs::write(&file, "pid 4294967295 (run-0) since 2020-01-01T00:00:00Z\n").unwrap();
    let held = try_take(&leases, &[(Resource::Cpu, Exclusive)]).unwrap();
    fs::write(&file, "pid 4294967295 (run-0) since 2020-01-01T00:00:00Z\n").unwrap();
    let error = try_take(&leases, &[(Resource::Cpu, Exclusive)]).unwrap_err();
    insta::assert_snapshot!(error, @"cancelled while waiting for the CPU, held by another process (last note: pid 4294967295 (run-0) since 2020-01-01T00:00:00Z, not running here)");
    drop(held);
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn a_wide_request_whose_time_has_come_is_not_passed() {
    let (_dir, leases) = setup();
    let all: Vec<Resource> = (0..4).map(gpu).collect();
    let held = take(&leases, &[(gpu(1), Exclusive)]);
    let (wide, narrow) = (any_of(&all, 4, &[]), any_of(&all, 1, &[]));
    let busy = |request: &LeaseRequest, ticket: Option<&Ticket>| match leases
        .try_acquire(request, ticket)
        .unwrap()
    {
        Attempt::Held(granted) => panic!("granted {:?}", granted.1),
        Attempt::Busy(who) => who,
    };

    // Until then, others may go ahead.
    let later = SystemTime::now() + Duration::from_secs(3600);
    let patient = leases.queue(&wide, later).unwrap();
    drop(leases.try_acquire(&narrow, None).unwrap());
    drop(patient);

    let ticket = leases.queue(&wide, SystemTime::now()).unwrap();
    assert!(busy(&narrow, None).starts_with("the turn of "), "{}", busy(&narrow, None));
    let younger = leases.queue(&narrow, SystemTime::now()).unwrap();
    assert!(busy(&narrow, Some(&younger)).starts_with("the turn of "));
    // What the wide one has no use for is no matter.
    drop(take(&leases, &[(gpu(7), Exclusive), (Resource::Cpu, Shared)]));
    assert!(busy(&wide, Some(&ticket)).contains("3 free"));
    drop(held);
    let Attempt::Held(granted) = leases.try_acquire(&wide, Some(&ticket)).unwrap() else {
        panic!("everything is free");
    };
    assert_eq!(granted.1, [[0, 1, 2, 3]]);
    drop((granted, ticket, younger));
    let left = fs::read_dir(&leases.dir).unwrap().flatten();
    assert!(!left.into_iter().any(|e| e.file_name().to_string_lossy().starts_with("ticket")));
}

#[test]
fn a_ticket_of_the_dead_bars_nobody() {
    let (_dir, leases) = setup();
    let wanted = any_of(&[gpu(0)], 1, &[]);
    let ticket = leases.queue(&wanted, SystemTime::now()).unwrap();
    let name = fs::read_dir(&leases.dir).unwrap().flatten().map(|e| e.path()).next().unwrap();
    let text = fs::read(&name).unwrap();
    drop(ticket);
    // As kill -9 leaves it: there, and locked by nobody.
    fs::write(&name, text).unwrap();
    assert!(matches!(leases.try_acquire(&wanted, None).unwrap(), Attempt::Held(_)));
    assert!(!name.exists());
    // And what is no ticket at all is none.
    fs::write(&name, "half").unwrap();
    assert!(matches!(leases.try_acquire(&wanted, None).unwrap(), Attempt::Held(_)));
}

struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: the process that `sigkill_releases` kills.
#[test]
#[ignore = "run by sigkill_releases"]
fn child_that_holds() {
    let Some(dir) = env::var_os(CHILD_DIR) else {
        return;
    };
    let dir = PathBuf::from(dir);
    let _lease = take(&Leases::new(dir.clone()), &[(Resource::Cpu, Exclusive)]);
    fs::write(dir.join("ready"), "").unwrap();
    thread::sleep(Duration::from_secs(600));
}

#[test]
fn sigkill_releases() {
    let (_dir, leases) = setup();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--ignored"])
        .arg("machine::lease::tests::child_that_holds")
        .env(CHILD_DIR, &leases.dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = KillOnDrop(child);
    while !leases.dir.join("ready").exists() {
        assert_eq!(child.0.try_wait().unwrap(), None, "the child failed");
        thread::sleep(Duration::from_millis(5));
    }
    let error = try_take(&leases, &[(Resource::Cpu, Shared)]).unwrap_err();
    let pid = child.0.id();
    assert!(error.to_string().contains(&format!("pid {pid} ")), "{error}");
    drop(child);
    let _lease = try_take(&leases, &[(Resource::Cpu, Exclusive)]).unwrap();
}

proptest! {
    #[test]
    fn file_names_are_safe(name in any::<String>()) {
        let file = Resource::Gpu(name).file_name();
        prop_assert!(file.len() < 200 && !file.contains('/') && file.is_ascii());
        prop_assert!(file != "cpu.lock");
    }
}
