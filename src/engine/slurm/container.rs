//! The container of a Slurm job on each node, as shell text.

use std::path::Path;

use super::script::quoted;
use crate::plan::{Job, NodeContainer, NodeProgram};

/// Where the work directory is in the container; madengine's.
const WORK: &str = "/myworkspace/run_directory";

/// Options of the step, for pyxis: the whole task runs in the container then.
pub(super) fn step_options(container: &NodeContainer, job_dir: &Path) -> Vec<String> {
    if container.program != NodeProgram::Pyxis {
        return Vec::new();
    }
    let mut mounts: Vec<String> = container
        .mounts
        .iter()
        .map(|(inside, host)| format!("{}:{inside}", host.display()))
        .collect();
    // The task's files are where they are outside.
    mounts.push(format!("{0}:{0}", job_dir.display()));
    vec![
        format!("--container-image={}", container.image),
        format!("--container-mounts={}", mounts.join(",")),
    ]
}

/// What comes before the command of a container: an image in a form that a node can start.
pub(super) fn make_ready(container: &NodeContainer) -> String {
    let name = "mad_container=mad-$SLURM_JOB_ID-$mad_rank-${1##*/}\n";
    match container.program {
        NodeProgram::Docker | NodeProgram::Podman => {
            let program = container.program.name();
            // A container is no child of this shell: it is ended by its name, and at once.
            format!(
                "{name}ended() {{ {program} kill \"$mad_container\"; {program} rm -f \"$mad_container\"; }} >/dev/null 2>&1\n\
                 trap 'ended; exit 143' TERM INT\ntrap ended EXIT\n"
            )
        }
        NodeProgram::Enroot => {
            let image = quoted(&format!("docker://{}", enroot_name(&container.image)));
            format!(
                "{name}enroot import --output \"$1/$mad_rank.sqsh\" -- {image} && \
                 enroot create --name \"$mad_container\" -- \"$1/$mad_rank.sqsh\" || exit 76\n\
                 trap 'enroot remove --force -- \"$mad_container\"' EXIT\n"
            )
        }
        _ => String::new(),
    }
}

/// The command that runs the script in its container. Variables travel by name, and their values
/// in the environment.
pub(super) fn command(job: &Job, container: &NodeContainer) -> String {
    let script: Vec<String> = job.command.iter().map(|w| quoted(w)).collect();
    let script = script.join(" ");
    let names = job.env.keys().map(String::as_str).chain(NODE_VARIABLES);
    let gpus = container.vendor.as_str();
    let mounts = container.mounts.iter();
    let program = container.program.name();
    match container.program {
        NodeProgram::Docker | NodeProgram::Podman => {
            let env: String = names.map(|name| format!(" --env {name}")).collect();
            let mounts: String = mounts
                .map(|(to, from)| {
                    format!(" --volume {}", quoted(&format!("{}:{to}", from.display())))
                })
                .collect();
            let devices = match gpus {
                "AMD" => {
                    " --device /dev/kfd --device /dev/dri --group-add video \
                     --security-opt seccomp=unconfined"
                }
                "NVIDIA" => " --gpus all",
                _ => "",
            };
            let options: String =
                container.options.iter().map(|w| format!(" {}", quoted(w))).collect();
            let image = quoted(&container.image);
            format!(
                "{program} run --rm --name \"$mad_container\" --network host --ipc host{devices} \
                 --volume \"$PWD:{WORK}\" --workdir {WORK}{mounts}{env}{options} {image} {script}"
            )
        }
        NodeProgram::Apptainer | NodeProgram::Singularity => {
            let gpus = match gpus {
                "AMD" => " --rocm",
                "NVIDIA" => " --nv",
                _ => "",
            };
            let mounts: String = mounts
                .map(|(to, from)| {
                    format!(" --bind {}", quoted(&format!("{}:{to}", from.display())))
                })
                .collect();
            let image = match container.image.contains("://") || container.image.ends_with(".sif") {
                true => container.image.clone(),
                false => format!("docker://{}", container.image),
            };
            let image = quoted(&image);
            format!(
                "{program} exec{gpus} --writable-tmpfs --bind \"$PWD:{WORK}\" --pwd {WORK}{mounts} \
                 {image} {script}"
            )
        }
        NodeProgram::Enroot => {
            let env: String = names.map(|name| format!(" --env {name}")).collect();
            let mounts: String = mounts
                .map(|(to, from)| {
                    format!(" --mount {}", quoted(&format!("{}:{to}", from.display())))
                })
                .collect();
            format!(
                "enroot start --rw --mount \"$PWD:{WORK}\"{mounts}{env} \"$mad_container\" \
                 /bin/sh -c 'cd {WORK} && exec \"$@\"' sh {script}"
            )
        }
        // The task is in the container already.
        NodeProgram::Pyxis => script,
    }
}

/// What the job itself sets on each node.
const NODE_VARIABLES: [&str; 22] = [
    "MASTER_ADDR",
    "MASTER_PORT",
    "NNODES",
    "NODE_RANK",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "GPUS_PER_NODE",
    "NPROC_PER_NODE",
    "MAD_MULTI_NODE_RUNNER",
    "MAD_DEPLOYMENT_TYPE",
    "MAD_IN_SLURM_JOB",
    "MAD_SLURM_JOB_ID",
    "MAD_NODE_RANK",
    "MAD_TOTAL_NODES",
    "MAD_LAUNCHER_TYPE",
    "NCCL_SOCKET_IFNAME",
    "GLOO_SOCKET_IFNAME",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
    "SLURM_JOB_ID",
];

/// enroot has `#` between a registry and the rest.
fn enroot_name(image: &str) -> String {
    match image.split_once('/') {
        Some((registry, rest)) if registry.contains(['.', ':']) => format!("{registry}#{rest}"),
        _ => image.to_owned(),
    }
}
