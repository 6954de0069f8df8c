//! The container that a Slurm job runs in on each node.

use std::path::PathBuf;

use crate::engine::absolute;
use crate::plan::docker_options::DockerOptions;
use crate::plan::{Job, Planner};

/// What runs containers on the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeProgram {
    /// `docker`.
    Docker,
    /// `podman`.
    Podman,
    /// `apptainer`.
    Apptainer,
    /// `singularity`, as apptainer was called.
    Singularity,
    /// `enroot`.
    Enroot,
    /// `srun --container-image`, of Slurm's plugin pyxis.
    Pyxis,
}

/// The container of a Slurm job.
#[derive(Clone, Debug)]
pub struct NodeContainer {
    /// What runs it.
    pub program: NodeProgram,
    /// Its image, as the program finds it from a node.
    pub image: String,
    /// Paths in the container and on the nodes.
    pub mounts: Vec<(String, PathBuf)>,
    /// Words of `additional_docker_run_options`, for Docker and Podman.
    pub options: Vec<String>,
    /// Vendor of its GPUs, `AMD` or `NVIDIA`; `NONE` without.
    pub vendor: String,
}

impl NodeProgram {
    fn parse(text: &str) -> Option<NodeProgram> {
        Some(match text {
            "docker" => NodeProgram::Docker,
            "podman" => NodeProgram::Podman,
            "apptainer" => NodeProgram::Apptainer,
            "singularity" => NodeProgram::Singularity,
            "enroot" => NodeProgram::Enroot,
            "pyxis" => NodeProgram::Pyxis,
            _ => return None,
        })
    }

    /// The program on the nodes.
    pub fn name(self) -> &'static str {
        match self {
            NodeProgram::Docker => "docker",
            NodeProgram::Podman => "podman",
            NodeProgram::Apptainer => "apptainer",
            NodeProgram::Singularity => "singularity",
            NodeProgram::Enroot => "enroot",
            NodeProgram::Pyxis => "srun",
        }
    }
}

impl Planner<'_> {
    /// The container of the Job on each node; `None` if its script runs on the node itself, as it
    /// does without a Dockerfile and an image.
    ///
    /// # Errors
    /// When it needs an image and the nodes could get none.
    pub(super) fn node_container(
        &self,
        job: &Job,
        program: &Option<String>,
    ) -> Result<Option<NodeContainer>, String> {
        let model = &job.model;
        let program = match program.as_deref() {
            Some("none") => return Ok(None),
            Some(word) => Some(NodeProgram::parse(word).ok_or_else(|| {
                format!(
                    "`slurm.container` is {word:?}; known are docker, podman, apptainer, \
                     singularity, enroot, pyxis and none"
                )
            })?),
            None => None,
        };
        let pushed = || model.images()?.iter().find_map(|image| image.pullable());
        let image = match self.given_image(model)? {
            Some(image) => Some(image),
            None => pushed().map(str::to_owned),
        };
        let needed = model.dockerfile().is_some() || model.images().is_some() || program.is_some();
        let Some(image) = image else {
            return match needed {
                false => Ok(None),
                true => Err("the nodes of a cluster need an image that they can get: name one \
                             in a registry (--use-image, or MAD_CONTAINER_IMAGE in the context), \
                             or run the script on the node itself (`slurm.container`: \"none\")"
                    .to_owned()),
            };
        };
        if image.starts_with('-') || image.contains(char::is_whitespace) {
            return Err(format!("{image:?} is no name of an image"));
        }
        let text = model.entry().additional_docker_run_options.as_deref().unwrap_or_default();
        let mounts = self.context.items("docker_mounts").into_iter();
        Ok(Some(NodeContainer {
            program: program.unwrap_or(NodeProgram::Docker),
            image,
            mounts: mounts.map(|(inside, host)| (inside, absolute(host.as_ref()))).collect(),
            options: DockerOptions::parse(text).words,
            vendor: match self.wanted_gpus(model) {
                crate::catalog::Count::Exactly(0) => "NONE".to_owned(),
                _ => self.image_vendor(model),
            },
        }))
    }
}
