//! What is known about programs that scripts call.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Programs whose output never holds a performance line.
static QUIET: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    words(
        ": [ [[ activate add-apt-repository alias amd-smi apk apt apt-get apt-key ar arch aws \
         base64 basename bc bg break bunzip2 bzip2 chgrp chmod chown cksum clear cmp comm \
         conda-env continue cp csplit curl cut date dd deactivate declare df diff dirname dirs \
         disown dmesg dnf dpkg du enable envsubst ethtool exit export expr factor false fg file \
         find flock free fuser gdown getconf getent getopt getopts git git-lfs gpg groupadd \
         groups gunzip gzip hash help hexdump hf hipconfig hostname huggingface-cli ibstat \
         ibv_devices ibv_devinfo iconv id ifconfig install ip jobs join jq kill killall \
         ldconfig ldd let link ln local locale localectl loginctl logname logout ls lsb_release \
         lscpu lsmod lsof lspci lsusb lzma mapfile md5sum mkdir mkfifo mktemp modprobe module \
         mount mountpoint mv nc netstat nm nproc numfmt nvcc-version nvidia-smi nvtop objdump \
         od openssl paste patch pgrep pidof ping pip pip2 pip3 pipx pkill popd printenv ps \
         pushd pwd ranlib rdma read readarray readelf readlink readonly realpath renice reset \
         return rm rmdir rocm-smi rocm_agent_enumerator rocminfo rsync s3cmd sacct sacctmgr \
         salloc-info scancel scontrol scp seq service set sha1sum sha256sum shift shopt shuf \
         sinfo sleep split squeue ss ssh-keygen stat strings strip stty su sum sync sysctl \
         systemctl tar taskkill test timedatectl top touch tput trap true truncate tsort tty \
         type typeset ulimit umask umount unalias uname unlink unset unxz unzip \
         update-alternatives uptime useradd usermod users virtualenv wait watch wc wget whereis \
         which who whoami xxd xz yes yq yum zip zstd",
    )
});

/// Programs that run the program named by the words after them.
static WRAPPERS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    words(
        "accelerate apptainer builtin catchsegv chrt clush colossalai command conda coproc \
         deepspeed docker eatmydata enroot env exec flock gdb horovodrun ionice ipexrun ltrace \
         mamba mpiexec mpirun ncu nice nohup nsys numactl omniperf omnitrace parallel pdsh perf \
         podman poetry primusrun rocprof rocprof-compute rocprof-sys-run rocprofv2 rocprofv3 \
         runtracer.sh sbatch script setsid singularity srun ssh stdbuf strace sudo taskset then \
         time timeout torchrun unbuffer uv watch xargs",
    )
});

/// Filters whose output holds lines of their input.
static FILTERS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    words(
        "ansi2txt cat column dos2unix expand fmt fold head iconv less more nl pv rev sort \
         sponge tac tail tr ts unexpand uniq zcat",
    )
});

/// Compilers: their source files are what the program they make runs.
static COMPILERS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    words(
        "amdclang amdclang++ c++ c99 cc clang clang++ g++ gcc gfortran hipcc icpx icx nvcc \
         rustc",
    )
});

/// Python modules that never print a performance line when run by `-m`.
static QUIET_MODULES: LazyLock<HashSet<&str>> =
    LazyLock::new(|| words("compileall ensurepip json pip site spacy venv virtualenv zipfile"));

/// Python packages that print no performance line by themselves.
static LIBRARIES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    words(
        "__future__ abc absl accelerate aiohttp amdsmi apex argparse array ast asyncio atexit \
    attr attrs base64 bisect bitsandbytes boto3 builtins bz2 click cmath codecs collections \
    colorama concurrent configparser contextlib copy cpuinfo csv ctypes cv2 dataclasses \
    datasets datetime decimal deepspeed difflib diffusers dis docker einops enum errno \
    evaluate faulthandler fcntl filecmp fileinput filelock fire flash_attn flask flax \
    fnmatch fractions functools gc getopt getpass glob grp grpc gzip h5py hashlib heapq hmac \
    html http httpx huggingface_hub imageio importlib inspect io ipaddress itertools jax \
    jaxlib jinja2 joblib json keras keyword librosa lightning locale logging loguru lzma \
    math matplotlib mimetypes ml_dtypes mmap mpi4py msgpack multiprocessing networkx nltk \
    numba numbers numpy omegaconf onnx onnxruntime openai operator optax optimum orjson os \
    packaging pandas pathlib peft pickle PIL pkgutil platform plotly polars pprint \
    prettytable prometheus_client psutil pwd pyarrow pydantic pynvml pytest \
    pytorch_lightning queue random re regex requests resource rich runpy safetensors sched \
    scipy seaborn secrets select selectors sentencepiece setuptools sglang shelve shlex \
    shutil signal simplejson site six skimage sklearn socket soundfile sqlite3 ssl stat \
    statistics string struct subprocess sympy sys sysconfig syslog tabulate tarfile tempfile \
    tensorboard tensorflow termcolor textwrap threading tiktoken time timeit timm tokenizers \
    toml tomli tomllib torch torchao torchaudio torchmetrics torchvision tqdm trace \
    traceback tracemalloc transformers triton trl typer types typing typing_extensions ujson \
    unicodedata unittest urllib uuid uvicorn uvloop vllm wandb warnings weakref websockets \
    xformers xml yaml zipfile zlib zmq zoneinfo",
    )
});

fn words(text: &'static str) -> HashSet<&'static str> {
    text.split_whitespace().collect()
}

pub(super) fn is_quiet(program: &str) -> bool {
    QUIET.contains(&program)
}

pub(super) fn is_wrapper(program: &str) -> bool {
    WRAPPERS.contains(&program)
}

pub(super) fn is_filter(program: &str) -> bool {
    FILTERS.contains(&program)
}

pub(super) fn is_compiler(program: &str) -> bool {
    COMPILERS.contains(&program)
}

pub(super) fn is_quiet_module(module: &str) -> bool {
    QUIET_MODULES.contains(&module)
}

pub(super) fn is_library(package: &str) -> bool {
    LIBRARIES.contains(&package)
}

pub(super) fn is_shell(program: &str) -> bool {
    matches!(program, "bash" | "sh" | "dash" | "zsh" | "ksh")
}

/// `python`, `python3`, `python3.12`, `pypy3`.
pub(super) fn is_python(program: &str) -> bool {
    let version = program.strip_prefix("python").or_else(|| program.strip_prefix("pypy"));
    version.is_some_and(|v| v.chars().all(|c| c.is_ascii_digit() || c == '.'))
}
