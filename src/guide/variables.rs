//! Variables of the environment that are the form of no option.

/// Who reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `mad` and the test target.
    Harness,
    /// The script of an entry: it is set for it.
    Script,
    /// Scripts that are shipped or scaffolded, if somebody sets it.
    Shipped,
}

/// Names of a variable, or of several that belong together, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Who reads them.
    pub reader: Reader,
    /// One or more, parted by a comma; `*` stands for any ending.
    pub names: &'static str,
    /// Markdown in which only backticks mean something.
    pub meaning: &'static str,
}

const fn variable(reader: Reader, names: &'static str, meaning: &'static str) -> Variable {
    Variable { reader, names, meaning }
}

use Reader::{Harness, Script, Shipped};

/// Every variable that is the form of no option.
pub const VARIABLES: &[Variable] = &[
    variable(Harness, "MAD_LEASE_DIR", "directory of the lock files; `/tmp/mad-leases`"),
    variable(
        Harness,
        "MAD_BASELINE_DIR",
        "directory of the baselines, instead of the one in `mad.toml`",
    ),
    variable(
        Harness,
        "MAD_CATALOG_PYTHON",
        "`0`: no `get_models_json.py` is run, whatever `mad.toml` says",
    ),
    variable(Harness, "MAD_HISTORY", "URL of a shared history, for `mad history`"),
    variable(
        Harness,
        "MAD_SECRETS*, HF_TOKEN",
        "secrets: scripts see them, and whatever is written has `***` in their place",
    ),
    variable(
        Harness,
        "MAD_DOCKERHUB_USER, MAD_DOCKERHUB_PASSWORD, MAD_DOCKERHUB_REPO",
        "the login of Docker Hub, over `dockerhub` in `credential.json`",
    ),
    variable(
        Harness,
        "MAD_MINIO, MAD_AWS_S3",
        "logins of object stores that data sets are in, as JSON objects",
    ),
    variable(
        Harness,
        "MAD_DEPLOYMENT_TYPE, MAD_LAUNCHER",
        "the columns `deployment_type` and `launcher` of `perf.csv`, where nothing else says them",
    ),
    variable(Harness, "pipeline, BUILD_NUMBER", "the columns `pipeline` and `build_number`"),
    variable(
        Harness,
        "MAD_COLLECT_METRICS",
        "passed on into containers, for scripts that madengine knows; so are those by which \
         processes find each other (`MASTER_ADDR`, `NCCL_SOCKET_IFNAME`, …)",
    ),
    variable(Harness, "NO_COLOR", "no colours"),
    variable(Script, "MAD_MODEL_NAME", "the entry"),
    variable(
        Script,
        "MAD_SYSTEM_NGPUS, MAD_RUNTIME_NGPUS",
        "GPUs of the host; GPUs for this entry",
    ),
    variable(Script, "MAD_GPU_VENDOR", "`AMD`, `NVIDIA` or `NONE`"),
    variable(
        Script,
        "MAD_SYSTEM_GPU_ARCHITECTURE, MAD_SYSTEM_GPU_PRODUCT_NAME",
        "of the first GPU",
    ),
    variable(
        Script,
        "MAD_SYSTEM_HIP_VERSION",
        "major and minor version of the ROCm of this host, on AMD",
    ),
    variable(Script, "MAD_GUEST_OS", "of the image, in a container: `UBUNTU`, `CENTOS`"),
    variable(
        Script,
        "ROCM_PATH",
        "in a container on AMD: as the image has it, else its `ROCM_HOME`, else `/opt/rocm`",
    ),
    variable(
        Script,
        "MAD_MULTI_NODE_RUNNER",
        "launcher prefix, `torchrun --standalone --nproc_per_node=4`",
    ),
    variable(Script, "MAD_OUTPUT_CSV", "the file of `multiple_results`"),
    variable(
        Script,
        "MAD_DATANAME, MAD_DATAHOME",
        "the entry's data; its path, for `local` data in `data.json`",
    ),
    variable(
        Script,
        "ROCR_VISIBLE_DEVICES, CUDA_VISIBLE_DEVICES",
        "exactly the GPUs leased to it, on AMD and on NVIDIA",
    ),
    variable(Script, "JENKINS_BUILD_NUMBER", "`$BUILD_NUMBER`, or 0"),
    variable(
        Script,
        "MASTER_ADDR, MASTER_PORT, NNODES, NODE_RANK, RANK, WORLD_SIZE, LOCAL_RANK, \
         GPUS_PER_NODE, NPROC_PER_NODE",
        "on a cluster: how the nodes find each other",
    ),
    variable(
        Script,
        "MAD_IN_SLURM_JOB, MAD_SLURM_JOB_ID, MAD_NODE_RANK, MAD_TOTAL_NODES, MAD_LAUNCHER_TYPE",
        "on a cluster: as in madengine",
    ),
    variable(
        Shipped,
        "MAD_PLANT_SLOWDOWN",
        "`0.2` makes each piece of work of the CPU entries take 20 % longer, to test a gate",
    ),
    variable(
        Shipped,
        "MAD_STAND_IN",
        "`1` makes a script of `mad add-model` measure a loop of the shell instead of its model",
    ),
    variable(
        Shipped,
        "MAD_MODEL_BATCH_SIZE, MAD_NUM_THREADS",
        "levers of several entries: the batch, and threads of the CPU",
    ),
    variable(Shipped, "MAD_CACHE_DIR", "where CPU entries keep their compiled programs"),
];
