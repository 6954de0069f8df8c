//! What is known about programs that scripts call.

/// Programs whose output never holds a performance line.
const QUIET: &[&str] = &[
    ":", "[", "[[", "alias", "apt", "apt-get", "apt-key", "apk", "arch", "aws", "base64", "basename",
    "bc", "bg", "break", "bunzip2", "bzip2", "chgrp", "chmod", "chown", "cksum", "clear", "cmp",
    "conda-env", "continue", "cp", "curl", "cut", "date", "dd", "declare", "df", "diff", "dirname",
    "dirs", "disown", "dmesg", "dnf", "dpkg", "du", "enable", "exit", "export", "expr", "false",
    "fg", "file", "find", "flock", "free", "fuser", "gdown", "getconf", "getent", "getopt",
    "getopts", "git", "git-lfs", "gpg", "groups", "gunzip", "gzip", "hash", "help", "hf",
    "hipconfig", "hostname", "huggingface-cli", "id", "ifconfig", "install", "ip", "iconv", "jobs",
    "join", "jq", "kill", "killall", "ldconfig", "ldd", "let", "link", "ln", "local", "locale",
    "logname", "logout", "ls", "lsb_release", "lscpu", "lsmod", "lsof", "lspci", "lsusb", "lzma",
    "md5sum", "mkdir", "mkfifo", "mktemp", "modprobe", "module", "mount", "mountpoint", "mv", "nc",
    "netstat", "nproc", "numfmt", "nvidia-smi", "od", "openssl", "patch", "pgrep", "pidof", "ping",
    "pip", "pip2", "pip3", "pipx", "pkill", "popd", "printenv", "ps", "pushd", "pwd", "read",
    "readarray", "mapfile", "readlink", "readonly", "realpath", "renice", "reset", "return", "rm",
    "rmdir", "rocm-smi", "amd-smi", "rocm_agent_enumerator", "rocminfo", "rsync", "s3cmd", "sacct",
    "scancel", "scontrol", "scp", "seq", "service", "set", "sha1sum", "sha256sum", "shift", "shopt",
    "shuf", "sinfo", "sleep", "split", "squeue", "ss", "ssh-keygen", "stat", "stty", "su", "sum",
    "sync", "sysctl", "systemctl", "tar", "test", "top", "touch", "tput", "trap", "true", "truncate",
    "tty", "type", "typeset", "ulimit", "umask", "umount", "unalias", "uname", "unlink", "unset",
    "unxz", "unzip", "update-alternatives", "uptime", "users", "virtualenv", "wait", "watch", "wc",
    "wget", "whereis", "which", "who", "whoami", "xz", "yq", "yum", "zip", "zstd", "yes", "paste",
    "deactivate", "activate", "add-apt-repository", "useradd", "groupadd", "usermod", "envsubst",
    "comm", "csplit", "factor", "tsort", "hexdump", "xxd", "strings", "nm", "objdump", "readelf",
    "strip", "ar", "ranlib", "nvcc-version", "sacctmgr", "salloc-info", "ibstat", "ibv_devinfo",
    "ibv_devices", "rdma", "ethtool", "taskkill", "loginctl", "localectl", "timedatectl", "nvtop",
];

/// Programs that run the program named by the words after them.
const WRAPPERS: &[&str] = &[
    "env", "time", "timeout", "nohup", "nice", "ionice", "taskset", "numactl", "stdbuf", "setsid",
    "sudo", "unbuffer", "chrt", "command", "builtin", "exec", "torchrun", "accelerate", "deepspeed",
    "mpirun", "mpiexec", "srun", "xargs", "strace", "ltrace", "gdb", "perf", "rocprof", "rocprofv2",
    "rocprofv3", "rocprof-compute", "rocprof-sys-run", "omniperf", "omnitrace", "nsys", "ncu",
    "docker", "podman", "singularity", "apptainer", "enroot", "conda", "mamba", "uv", "poetry",
    "script", "catchsegv", "coproc", "flock", "parallel", "horovodrun", "colossalai", "ipexrun",
    "primusrun", "ssh", "pdsh", "clush", "sbatch", "watch", "runtracer.sh", "eatmydata", "then",
];

/// Filters whose output holds lines of their input.
const FILTERS: &[&str] = &[
    "cat", "tac", "tail", "head", "sort", "uniq", "ts", "less", "more", "nl", "fold", "column", "tr",
    "fmt", "expand", "unexpand", "rev", "pv", "sponge", "ansi2txt", "dos2unix", "zcat", "iconv",
];

/// Compilers: their source files are what the program they make runs.
const COMPILERS: &[&str] = &[
    "rustc", "gcc", "g++", "clang", "clang++", "hipcc", "nvcc", "cc", "c++", "amdclang",
    "amdclang++", "gfortran", "icpx", "icx", "c99",
];

/// Python modules that never print a performance line when run by `-m`.
const QUIET_MODULES: &[&str] =
    &["pip", "venv", "virtualenv", "ensurepip", "json", "compileall", "zipfile", "site", "spacy"];

/// Python packages that print no performance line by themselves.
const LIBRARIES: &[&str] = &[
    "__future__", "abc", "argparse", "array", "ast", "asyncio", "atexit", "base64", "bisect",
    "builtins", "bz2", "cmath", "codecs", "collections", "concurrent", "configparser", "contextlib",
    "copy", "csv", "ctypes", "dataclasses", "datetime", "decimal", "difflib", "dis", "enum", "errno",
    "faulthandler", "fcntl", "filecmp", "fileinput", "fnmatch", "fractions", "functools", "gc",
    "getopt", "getpass", "glob", "grp", "gzip", "hashlib", "heapq", "hmac", "html", "http",
    "importlib", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "locale", "logging",
    "lzma", "math", "mimetypes", "mmap", "multiprocessing", "numbers", "operator", "os", "pathlib",
    "pickle", "pkgutil", "platform", "pprint", "pwd", "queue", "random", "re", "resource", "runpy",
    "sched", "secrets", "select", "selectors", "shelve", "shlex", "shutil", "signal", "site",
    "socket", "sqlite3", "ssl", "stat", "statistics", "string", "struct", "subprocess", "sys",
    "sysconfig", "syslog", "tarfile", "tempfile", "textwrap", "threading", "time", "timeit",
    "tomllib", "trace", "traceback", "tracemalloc", "types", "typing", "unicodedata", "unittest",
    "urllib", "uuid", "warnings", "weakref", "xml", "zipfile", "zlib", "zoneinfo",
    "accelerate", "aiohttp", "apex", "bitsandbytes", "boto3", "click", "cpuinfo", "cv2", "datasets",
    "deepspeed", "diffusers", "docker", "einops", "evaluate", "fire", "flash_attn", "flask", "flax",
    "grpc", "h5py", "httpx", "huggingface_hub", "imageio", "jax", "jaxlib", "jinja2", "joblib",
    "keras", "librosa", "lightning", "matplotlib", "ml_dtypes", "mpi4py", "networkx", "nltk",
    "numba", "numpy", "omegaconf", "onnx", "onnxruntime", "openai", "optax", "optimum", "packaging",
    "pandas", "peft", "PIL", "plotly", "polars", "prettytable", "prometheus_client", "psutil",
    "pyarrow", "pydantic", "pynvml", "pytest", "pytorch_lightning", "regex", "requests", "rich",
    "safetensors", "scipy", "seaborn", "sentencepiece", "setuptools", "simplejson", "six", "skimage",
    "sklearn", "soundfile", "sympy", "tabulate", "tensorboard", "tensorflow", "termcolor", "tiktoken",
    "timm", "tokenizers", "toml", "torch", "torchao", "torchaudio", "torchmetrics", "torchvision",
    "tqdm", "transformers", "triton", "trl", "typer", "typing_extensions", "ujson", "uvicorn",
    "uvloop", "vllm", "sglang", "wandb", "websockets", "xformers", "yaml", "zmq", "amdsmi",
    "tomli", "attr", "attrs", "colorama", "loguru", "absl", "orjson", "msgpack", "filelock",
];

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
