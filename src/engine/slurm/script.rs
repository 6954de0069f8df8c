//! The scripts of a Slurm job. Whatever a user wrote stands in them as data, quoted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::container;
use super::dir::JobDir;
use crate::plan::{Job, SlurmSpec};

/// What Slurm starts on the first node: it makes ready what all nodes need, and runs the
/// Executions one after the other.
///
/// They are the numbers `first..=last`; one that fails is the last. Each is a step of its own where
/// there are several nodes or Executions, so that nothing of it outlives it. It starts few
/// programs: with short jobs these are what takes the time of the nodes.
pub(super) fn batch(job: &Job, spec: &SlurmSpec, dir: &JobDir, first: u32, last: u32) -> String {
    let mut text = String::from("#!/bin/bash\n");
    let _ = write!(
        text,
        "# {} as a Slurm job; written by mad.\n\
         umask 077\n\
         job={}\n\
         try=$job/try-${{SLURM_RESTART_COUNT:-0}}\n\
         id=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}\n\
         id=${{id:-$SLURM_JOB_ID}}\n\
         # That it is one of an array is nothing to the script.\n\
         unset \"${{!SLURM_ARRAY_@}}\"\n\
         [ -d \"$try/{first}\" ] || mkdir -p -- \"$try/{first}\" || exit 73\n\
         printf '%s %s\\n' \"$id\" \"${{SLURMD_NODENAME:-$HOSTNAME}}\" >\"$try/begin\" || exit 73\n",
        one_line(&job.id),
        quoted(&dir.path.to_string_lossy()),
    );
    if !spec.modules.is_empty() {
        text.push_str(
            "type module >/dev/null 2>&1 || . /etc/profile.d/modules.sh || . /etc/profile.d/lmod.sh\n",
        );
        for module in &spec.modules {
            let module = quoted(module);
            let _ = writeln!(
                text,
                "module load {module} || {{ echo \"mad: cannot load the module\" {module} >&2; exit 74; }}"
            );
        }
    }
    if spec.nodes == 1 {
        text.push_str("export MASTER_ADDR=${SLURMD_NODENAME:-$HOSTNAME}\nhosts=$MASTER_ADDR\n");
    } else {
        text.push_str(
            "hosts=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\")\n\
             export MASTER_ADDR=${hosts%%$'\\n'*}\n",
        );
    }
    match spec.master_port {
        Some(port) => writeln!(text, "export MASTER_PORT={port}"),
        // Below the ports that the system hands out by itself.
        None => writeln!(text, "export MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))"),
    }
    .unwrap_or_default();
    if spec.launcher == "deepspeed" {
        let slots = spec.processes_per_node;
        let _ = writeln!(
            text,
            "while read -r host; do echo \"$host slots={slots}\"; done <<<\"$hosts\" >\"$try/hostfile\""
        );
    }
    // srun does not take it over from the job.
    text.push_str(
        "[ -z \"${SLURM_CPUS_PER_TASK:-}\" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK\n",
    );
    let numbers: Vec<String> = (first..=last).map(|n| n.to_string()).collect();
    let numbers = numbers.join(" ");
    let _ = write!(
        text,
        "for execution in {numbers}; do\n    \
         [ -d \"$try/$execution\" ] || mkdir -- \"$try/$execution\"\n    \
         {}\n    \
         status=$?\n    \
         echo \"$status\" >\"$try/$execution/end\"\n    \
         [ \"$status\" -eq 0 ] || break\n\
         done\n\
         exit \"$status\"\n",
        step(spec, dir, first == last)
    );
    text
}

/// What Slurm starts for each task of the array whose directory is `home`.
pub(super) fn array(home: &Path) -> String {
    let home = quoted(&home.to_string_lossy());
    format!("#!/bin/bash\ncd -P -- {home}/\"$SLURM_ARRAY_TASK_ID\" && . ./job.sh\n")
}

/// The command of one Execution.
fn step(spec: &SlurmSpec, dir: &JobDir, single: bool) -> String {
    const TASK: &str = "\"$job/task.sh\" \"$try/$execution\"";
    let pyxis =
        spec.container.as_ref().map(|c| container::step_options(c, &dir.path)).unwrap_or_default();
    let nodes = if spec.self_managed { 1 } else { spec.nodes };
    if nodes == 1 && single && pyxis.is_empty() {
        return format!("( . {TASK} )");
    }
    let mut words: Vec<String> =
        ["srun", "--ntasks-per-node=1", "--kill-on-bad-exit=1"].map(str::to_owned).to_vec();
    words.push(format!("--nodes={nodes}"));
    words.push(format!("--ntasks={nodes}"));
    // The script has steps of its own to start.
    if spec.self_managed {
        words.push("--overlap".to_owned());
    }
    words.extend(pyxis);
    format!("{} /bin/bash {TASK}", words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "))
}

/// Whether the only Execution of the job has the work directory that was made for the job, and no
/// copy of it: nobody else runs there, and Slurm does not start the job anew.
fn runs_in_place(spec: &SlurmSpec, single: bool) -> bool {
    single && spec.nodes == 1 && !spec.requeues()
}

/// What runs on each node, for the `single` Execution of the job or for one of several.
pub(super) fn task(job: &Job, spec: &SlurmSpec, dir: &JobDir, single: bool) -> String {
    let nodes = spec.nodes;
    let work = match runs_in_place(spec, single) {
        // Whatever Slurm does, nothing is measured in what an earlier try has left.
        true => "[ \"${SLURM_RESTART_COUNT:-0}\" -eq 0 ] && work=$job/work",
        false => "work=$1/work-$mad_rank\ncp -a -- \"$job/work\" \"$work\"",
    };
    let mut text = String::from("#!/bin/bash\n");
    let _ = write!(
        text,
        "umask 077\n\
         job={}\n\
         mad_rank=${{SLURM_PROCID:-0}}\n\
         mad_node=$1/node-$mad_rank\n\
         exec >\"$mad_node.out\" 2>&1 </dev/null\n\
         {work} && cd \"$work\" || exit 75\n\
         export MAD_DEPLOYMENT_TYPE=slurm MAD_IN_SLURM_JOB=1 MAD_SLURM_JOB_ID=$SLURM_JOB_ID\n\
         export MAD_NODE_RANK=$mad_rank MAD_TOTAL_NODES={nodes} MAD_LAUNCHER_TYPE={}\n\
         export NNODES={nodes} NODE_RANK=$mad_rank RANK=$mad_rank WORLD_SIZE={nodes} LOCAL_RANK=0\n\
         export GPUS_PER_NODE={} NPROC_PER_NODE={}\n",
        quoted(&dir.path.to_string_lossy()),
        quoted(&spec.launcher),
        spec.gpus_per_node,
        spec.processes_per_node,
    );
    if let Some(interface) = &spec.interface {
        let name = quoted(interface);
        let _ = writeln!(text, "export NCCL_SOCKET_IFNAME={name} GLOO_SOCKET_IFNAME={name}");
    }
    let _ = writeln!(text, "export MAD_MULTI_NODE_RUNNER=\"{}\"", runner(spec));
    // After those above: what the user says wins. Variables that are needed below have names that
    // no user has.
    text.push_str(". \"$job/environment\"\n");
    let command = match &spec.container {
        Some(inner) => container::command(job, inner),
        None => job.command.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "),
    };
    let limit = match job.timeout_s {
        Some(s) => format!("timeout --kill-after={} {s} ", job.grace_s.max(0.001)),
        None => String::new(),
    };
    if let Some(inner) = &spec.container {
        text.push_str(&container::make_ready(inner));
    }
    // In the background: a shell that waits hears a signal at once.
    let _ = write!(
        text,
        "mad_started=${{EPOCHREALTIME:-$(date +%s.%N)}}\n\
         {limit}{command} &\n\
         wait $!\n\
         mad_status=$?\n\
         mad_ended=${{EPOCHREALTIME:-$(date +%s.%N)}}\n\
         echo \"$mad_status ${{mad_started/,/.}} ${{mad_ended/,/.}} ${{SLURMD_NODENAME:-$HOSTNAME}}\" >\"$mad_node.status\"\n\
         exit \"$mad_status\"\n"
    );
    text
}

/// What an entry's script puts before its program, as madengine does: it starts the processes of
/// one node. The variables in it are the node's.
fn runner(spec: &SlurmSpec) -> String {
    let (nodes, processes) = (spec.nodes, spec.processes_per_node);
    let meeting = "--node_rank=$NODE_RANK --master_addr=$MASTER_ADDR --master_port=$MASTER_PORT";
    match (spec.launcher.as_str(), nodes) {
        ("vllm" | "sglang" | "sglang-disagg" | "primus" | "slurm-multi", _) => String::new(),
        ("deepspeed", 1) => format!("deepspeed --num_gpus={processes}"),
        ("deepspeed", _) => {
            // Started on each node by srun, not by ssh.
            format!("deepspeed --hostfile=${{1%/*}}/hostfile --no_ssh {meeting}")
        }
        (_, 1) => format!("torchrun --standalone --nproc_per_node={processes}"),
        _ => format!("torchrun --nnodes={nodes} --nproc_per_node={processes} {meeting}"),
    }
}

/// The environment that the user, the entry and the catalog set, as shell text.
pub(super) fn environment(env: &BTreeMap<String, String>) -> String {
    let lines = env.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
    lines.collect()
}

/// `text` as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A comment cannot end before its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
