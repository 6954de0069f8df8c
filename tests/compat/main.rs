//! The world of madengine: its own fixtures, mirrored by a catalog of ours, and the forms of
//! output that it knows, row by row. What differs on purpose is in docs/compat.md.
//!
//! Where no container engine answers, the tests of containers are ignored, with the reason;
//! with `MAD_REQUIRE_CONTAINERS=1` they fail.

mod catalog;
#[path = "../common/mod.rs"]
mod common;
mod containers;
mod differences;
#[path = "../containers/engine.rs"]
#[expect(dead_code, reason = "tests/containers uses the rest")]
mod engine;
mod entries;
mod host;
mod outcome;
mod page;
mod table;
mod tables;

use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use engine::Engine;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Name, the differences that it shows, and what it does.
type Test<F> = (&'static str, &'static [&'static str], F);

const HOST: &[Test<fn()>] = &[
    ("tables::lines", &[], tables::lines),
    ("tables::results", &[], tables::results),
    ("tables::tags", &[], tables::tags),
    ("entries::on_the_host", &[], entries::on_the_host),
    ("host::time_limits", &["explicit-timeout"], host::time_limits),
    ("host::a_script_that_takes_too_long", &["output-kept"], host::a_script_that_takes_too_long),
    ("host::contexts", &[], host::contexts),
    ("host::live_output", &[], host::live_output),
    ("host::output", &[], host::output),
    ("host::python", &[], host::python),
    ("host::a_program_that_raises", &["own-process"], host::a_program_that_raises),
    ("host::a_repository", &[], host::a_repository),
    ("host::architectures_to_skip", &[], host::architectures_to_skip),
    ("host::skipped_entries", &["skipped-row"], host::skipped_entries),
    ("host::launchers", &["cpu-runner"], host::launchers),
    ("host::configurations", &["configs"], host::configurations),
    ("host::rows_stay_as_they_are", &["append-only"], host::rows_stay_as_they_are),
    ("host::changes_and_regressions", &["baselines"], host::changes_and_regressions),
    ("host::secrets", &["secrets"], host::secrets),
    ("host::two_runs_at_once", &["own-directory"], host::two_runs_at_once),
    ("host::workers", &["workers"], host::workers),
    ("host::catalog_files", &["catalog-files"], host::catalog_files),
    ("host::exit_statuses", &["exit-status"], host::exit_statuses),
    ("page::differences", &[], || page::differences(&shown())),
    ("page::matrix", &[], || page::matrix(&names())),
];

const CONTAINERS: &[Test<fn(&Engine)>] = &[
    ("entries::in_containers", &[], entries::in_containers),
    ("containers::vendor_and_system", &[], containers::vendor_and_system),
    ("containers::several_images", &["no-image"], containers::several_images),
    ("containers::a_build_that_fails", &["exit-status"], containers::a_build_that_fails),
    ("containers::directories_of_the_host", &[], containers::directories_of_the_host),
    ("containers::processors", &[], containers::processors),
    ("containers::scripts_around", &[], containers::scripts_around),
    (
        "containers::everything_but_the_model",
        &["skipped-row"],
        containers::everything_but_the_model,
    ),
    ("containers::a_container_that_is_kept", &[], containers::a_container_that_is_kept),
    ("containers::base_image", &[], containers::base_image),
    ("containers::an_image_that_exists", &["whole-entry"], containers::an_image_that_exists),
    (
        "containers::the_catalog_is_left_alone",
        &["own-directory"],
        containers::the_catalog_is_left_alone,
    ),
];

/// What `tests/slurm` shows, on a cluster.
const SLURM: &[&str] = &[
    "slurm-every",
    "slurm-recorded",
    "slurm-nodes",
    "slurm-data",
    "slurm-nothing-assumed",
    "slurm-outlives",
];

/// The differences that the tests show.
fn shown() -> Vec<&'static str> {
    let host = HOST.iter().map(|(_, shows, _)| shows);
    let here = host.chain(CONTAINERS.iter().map(|(_, shows, _)| shows)).copied().flatten();
    here.chain(SLURM).copied().collect()
}

fn names() -> Vec<&'static str> {
    let host = HOST.iter().map(|(name, ..)| *name);
    host.chain(CONTAINERS.iter().map(|(name, ..)| *name)).collect()
}

/// The first engine that answers; madengine has Docker alone.
static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();

fn engine() -> &'static Result<Engine, String> {
    ENGINE.get_or_init(|| {
        Engine::reach("docker").or_else(|docker| {
            Engine::reach("podman").map_err(|podman| format!("{docker}; {podman}"))
        })
    })
}

fn main() -> ExitCode {
    // For ci/compare-madengine.sh.
    if let Some(dir) = std::env::var_os("COMPAT_CATALOG") {
        differences::write_catalog(Path::new(&dir));
        return ExitCode::SUCCESS;
    }
    let args = Arguments::from_args();
    let required = std::env::var("MAD_REQUIRE_CONTAINERS").is_ok_and(|v| !v.is_empty() && v != "0");
    // What is ignored in a list must have been known before.
    let known = args.list || std::env::var_os("NEXTEST").is_some();
    let ignored = known && !required && engine().is_err();
    let host = HOST.iter().map(|(name, _, test)| {
        Trial::test(*name, move || {
            test();
            Ok(())
        })
    });
    let containers = CONTAINERS.iter().map(|(name, _, test)| {
        let run = move || match engine() {
            Ok(engine) => {
                test(engine);
                Ok(Completion::Completed)
            }
            Err(why) if required => Err(Failed::from(format!("MAD_REQUIRE_CONTAINERS: {why}"))),
            Err(why) => Ok(Completion::ignored_with(why.replace('\n', " "))),
        };
        Trial::ignorable_test(*name, run).with_ignored_flag(ignored)
    });
    let conclusion = libtest_mimic::run(&args, host.chain(containers).collect());
    if let Some(Ok(engine)) = ENGINE.get() {
        engine.clean();
    }
    conclusion.exit_code()
}
