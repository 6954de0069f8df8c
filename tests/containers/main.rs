//! Entries in containers of the real Docker and the real Podman.
//!
//! Where an engine does not answer its tests are ignored, with the reason; with
//! `MAD_REQUIRE_CONTAINERS=1` they fail. The image is made of Debian's `bash-static` and
//! `busybox-static`, so that nothing is fetched from anywhere.

mod add_model;
mod build;
mod clean;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod daemon;
mod engine;
mod images;
mod lifetime;
mod manifest;
mod profile;
mod registry;
mod scripts;
mod secrets;
mod tune;

use std::process::ExitCode;
use std::sync::OnceLock;

use engine::{Engine, lacks_root};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use registry::lacks_registry;

type Test = fn(&Engine);
/// What tests lack besides an engine, if they lack it.
type Need = fn() -> Option<&'static str>;

macro_rules! tests {
    ($($module:ident: $($test:ident)*;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($test)), $module::$test as Test)),*),*]
    };
}

/// What every engine must do.
const COMMON: &[(&str, Test)] = tests! {
    images: an_image_is_built_once
        several_images_are_several_measurements
        build_arguments_arrive_as_they_are
        a_build_that_fails_leaves_its_log
        an_image_that_exists_is_not_built
        an_image_that_cannot_run_a_script
        an_image_that_somebody_else_renames
        the_test_target_runs_containers;
    add_model: every_stack_runs_at_once;
    build: images_are_built_and_written_down
        an_image_for_each_architecture;
    manifest: it_runs_without_the_catalog
        the_very_image_that_is_meant;
    clean: a_container_that_was_kept;
    scripts: the_places_a_script_expects
        the_checkout_is_as_it_was
        what_comes_out_belongs_to_the_user
        words_and_values_arrive_as_they_are
        directories_of_the_host
        a_catalog_in_an_odd_place
        processors
        shared_memory
        options_of_the_entry
        scripts_before_and_after
        a_container_that_is_kept
        several_results
        what_a_script_prints_is_kept;
    secrets: secrets_of_a_script
        a_secret_as_a_build_argument
        a_secret_mounted_into_a_build;
    lifetime: a_script_that_takes_too_long
        a_script_has_time_to_say_goodbye
        a_container_that_is_just_being_made
        a_signal_during_a_build
        a_killed_harness
        the_next_run_removes_what_both_left
        a_container_that_somebody_ends
        too_little_memory
        processes_of_others_are_let_alone;
};

/// What is tried on Docker alone: the same code runs for Podman.
const DOCKER: &[(&str, Test)] = tests! {
    images: what_was_run_in_is_recorded
        the_header_chooses_by_vendor_and_system
        one_image_of_two_that_cannot_be_built
        headers_that_say_nothing_are_refused
        clean_builds_from_scratch
        a_dockerfile_with_a_mistake
        an_engine_that_stumbles
        the_build_context_of_an_entry
        an_image_that_cannot_be_had
        the_record_is_as_its_schema_says;
    build: what_is_there_is_not_built
        a_build_that_fails
        names_that_clash
        an_image_that_is_given
        secrets_stay_out_of_the_manifest
        an_interrupted_build;
    manifest: nothing_is_built
        the_same_entry_either_way
        the_context_is_restored
        an_image_that_is_not_here
        the_test_target_runs_it;
    compare: two_images;
    clean: a_container_whose_run_goes_on;
    scripts: the_environment_is_what_is_documented
        tools_are_not_passed_over
        a_user_of_the_entrys_own
        after_a_failure_nothing_follows
        a_command_before_the_script
        the_duration_is_the_models
        everything_but_the_model
        results_that_lead_elsewhere
        a_script_that_fails;
    secrets: secrets_of_the_context
        a_build_that_fails_tells_no_secret;
    lifetime: daemons_end_with_the_script
        a_signal_ends_the_run
        a_signal_ends_the_test_target
        a_second_signal_ends_it_at_once
        a_killed_supervisor
        two_runs_of_one_entry_at_once;
    daemon: a_daemon_that_is_not_there;
    profile: an_entry_is_profiled_once;
    tune: a_lever_reaches_the_container;
};

/// What needs root: daemons of a test's own, and other users.
const ROOT: &[(&str, Test)] = tests! {
    scripts: as_a_user_of_the_docker_group;
    daemon: a_daemon_that_stops_meanwhile
        a_daemon_without_room;
    clean: everything_that_is_left_over;
};

/// What needs a registry.
const REGISTRY: &[(&str, Test)] = tests! {
    registry: images_are_pulled;
    manifest: an_image_from_a_registry;
};

/// What became of the engines that a test asked for.
static DOCKER_ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
static PODMAN_ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();

fn nothing() -> Option<&'static str> {
    None
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    if args.test_threads.is_none() {
        // They wait for the engine most of the time.
        args.test_threads = std::thread::available_parallelism().ok().map(|n| 2 * n.get());
    }
    let required = std::env::var("MAD_REQUIRE_CONTAINERS").is_ok_and(|v| !v.is_empty() && v != "0");
    // What a list says is ignored must be known before it runs.
    let listed = args.list || std::env::var_os("NEXTEST").is_some();
    let sets = [
        ("docker", &DOCKER_ENGINE, COMMON, nothing as Need),
        ("docker", &DOCKER_ENGINE, DOCKER, nothing),
        ("docker", &DOCKER_ENGINE, ROOT, lacks_root),
        ("docker", &DOCKER_ENGINE, REGISTRY, lacks_registry),
        ("podman", &PODMAN_ENGINE, COMMON, nothing),
    ];
    let mut trials = Vec::new();
    for (program, engine, tests, lacks) in sets {
        let engine = move || engine.get_or_init(|| Engine::reach(program)).as_ref();
        let reached = move || match (lacks(), engine()) {
            (Some(why), _) => Err(why.to_owned()),
            (None, Ok(engine)) => Ok(engine),
            (None, Err(why)) => Err(why.replace('\n', " ")),
        };
        let ignored = listed && !required && reached().is_err();
        for &(name, test) in tests {
            let run = move || match reached() {
                Ok(engine) => {
                    test(engine);
                    Ok(Completion::Completed)
                }
                Err(why) if required => Err(Failed::from(format!("MAD_REQUIRE_CONTAINERS: {why}"))),
                Err(why) => Ok(Completion::ignored_with(why)),
            };
            let trial = Trial::ignorable_test(format!("{program}::{name}"), run);
            trials.push(trial.with_ignored_flag(ignored));
        }
    }
    let conclusion = libtest_mimic::run(&args, trials);
    for engine in [&DOCKER_ENGINE, &PODMAN_ENGINE] {
        if let Some(Ok(engine)) = engine.get() {
            engine.clean();
        }
    }
    conclusion.exit_code()
}
