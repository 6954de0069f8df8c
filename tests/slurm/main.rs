//! Entries as jobs of a real Slurm cluster, which `ci/slurm.sh` starts.
//!
//! Without Slurm and root these tests are ignored, with the reason; with
//! `MAD_TESTS_REQUIRE_SLURM=1` they fail.

mod arrays;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod containers;
mod ends;
mod jobs;
mod lifetime;
mod nodes;
mod trouble;

use std::process::ExitCode;
use std::sync::Mutex;

use cluster::{Cluster, lacks};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

type Test = fn(&Cluster);

macro_rules! tests {
    ($($module:ident: $($test:ident)*;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($test)), $module::$test as Test)),*),*]
    };
}

/// Each has the cluster for itself: what one does to it, the next does not see.
const TESTS: &[(&str, Test)] = tests! {
    jobs: an_entry_is_a_job
        what_a_user_wrote_is_data
        secrets_stay_out
        every_selected_entry_is_deployed
        all_executions_are_one_job
        options_arrive
        the_plan_is_the_command
        auto_chooses_slurm
        a_script_that_manages_the_nodes_itself;
    nodes: numbers_of_nodes_become_one
        the_rule_of_a_metric
        a_node_that_fails_fails_all
        a_file_of_results_per_node
        launchers;
    ends: a_script_that_fails
        a_script_that_takes_too_long
        an_option_that_the_cluster_refuses
        values_that_are_none
        a_job_that_somebody_cancels
        a_node_that_fails
        a_limit_of_the_cluster
        a_job_that_never_starts
        a_job_that_is_requeued
        a_directory_that_the_nodes_do_not_share
        a_module_that_is_not_there;
    lifetime: an_interrupt_cancels
        a_killed_run_is_collected
        a_job_that_was_not_noted
        jobs_are_left_and_collected
        clean_asks_first;
    trouble: the_controller_goes_and_comes_back
        the_controller_is_away_at_first
        without_accounting_and_squeue
        without_slurm;
    arrays: alike_jobs_are_an_array
        cells_of_a_sweep_are_an_array
        one_task_is_cancelled
        tasks_that_were_not_noted
        tasks_are_ended
        arrays_have_limits;
    containers: podman_on_the_nodes;
};

fn main() -> ExitCode {
    if let Some(code) = mad_harness::engine::supervise::intercept() {
        return code;
    }
    let args = Arguments::from_args();
    let required =
        std::env::var("MAD_TESTS_REQUIRE_SLURM").is_ok_and(|v| !v.is_empty() && v != "0");
    let missing = lacks();
    let ignored = missing.is_some() && !required;
    static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);
    let trial = |&(name, test): &(&str, Test)| {
        let missing = missing.clone();
        let run = move || {
            if let Some(why) = missing {
                return match required {
                    true => Err(Failed::from(format!("MAD_TESTS_REQUIRE_SLURM: {why}"))),
                    false => Ok(Completion::ignored_with(why)),
                };
            }
            // A test that failed says nothing about the cluster.
            let mut cluster = CLUSTER.lock().unwrap_or_else(|e| e.into_inner());
            let cluster = cluster.get_or_insert_with(Cluster::start);
            cluster.make_idle();
            test(cluster);
            Ok(Completion::Completed)
        };
        Trial::ignorable_test(name, run).with_ignored_flag(ignored)
    };
    let conclusion = libtest_mimic::run(&args, TESTS.iter().map(trial).collect());
    CLUSTER.lock().unwrap_or_else(|e| e.into_inner()).take();
    conclusion.exit_code()
}
