//! What is wrong with the Dockerfiles of an entry.

use super::Rule;
use crate::diagnostic::Severity;

pub(in crate::validate) const NO_DOCKERFILE: Rule = Rule {
    id: "MAD030",
    title: "no Dockerfile matches",
    severity: Severity::Error,
    explanation: r#"`dockerfile` is a prefix: `docker/x` stands for every file `docker/x.*`. When there is none, madengine
drops the entry and still ends successfully.

```json
{ "name": "a", "scripts": "a.sh", "dockerfile": "docker/a.ubuntu.amd.Dockerfile" }
```

Leave out what follows the first dot (`"docker/a"`), or create `docker/a.ubuntu.amd.Dockerfile`."#,
};

pub(in crate::validate) const NO_CONTEXT: Rule = Rule {
    id: "MAD031",
    title: "a Dockerfile has no CONTEXT header",
    severity: Severity::Error,
    explanation: r#"The header says where the image is for, and must stand in the first five lines. madengine drops
*every* Dockerfile of the entry when one of them lacks it, and still ends successfully.

```dockerfile
FROM rocm/pytorch
```

Begin the file with it: `# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}`."#,
};

pub(in crate::validate) const BAD_CONTEXT: Rule = Rule {
    id: "MAD032",
    title: "a CONTEXT header is not a Python dict",
    severity: Severity::Error,
    explanation: r#"What follows `# CONTEXT ` is read as a Python literal, and has to be a dict.

```dockerfile
# CONTEXT gpu_vendor=AMD
FROM rocm/pytorch
```

Write `# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}`."#,
};

pub(in crate::validate) const TWO_CONTEXTS: Rule = Rule {
    id: "MAD033",
    title: "a Dockerfile has two CONTEXT headers",
    severity: Severity::Error,
    explanation: r#"Both lines are read as one literal, which is none; the Dockerfile is dropped.

```dockerfile
# CONTEXT {'gpu_vendor': 'AMD'}
# CONTEXT {'guest_os': 'UBUNTU'}
FROM rocm/pytorch
```

Write one dict: `# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}`."#,
};

pub(in crate::validate) const SEVERAL: Rule = Rule {
    id: "MAD034",
    title: "several Dockerfiles fit the same machine",
    severity: Severity::Note,
    explanation: r#"All Dockerfiles whose header does not contradict the machine are built, and the entry is measured
once in each of the images. That may be intended.

```text
docker/a.old.ubuntu.amd.Dockerfile    # CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}
docker/a.ubuntu.amd.Dockerfile        # CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}
```

Otherwise rename one of them so that the prefix no longer matches."#,
};

pub(in crate::validate) const NO_FROM: Rule = Rule {
    id: "MAD035",
    title: "a Dockerfile has no FROM",
    severity: Severity::Error,
    explanation: r#"An image needs a base.

```dockerfile
# CONTEXT {'gpu_vendor': 'AMD'}
RUN pip install vllm
```

Add it: `ARG BASE_DOCKER=rocm/pytorch` and `FROM $BASE_DOCKER`."#,
};

pub(in crate::validate) const STRAY: Rule = Rule {
    id: "MAD036",
    title: "a file beside the Dockerfiles is taken for one",
    severity: Severity::Warning,
    explanation: r#"Every file `<dockerfile>.*` is a candidate, whatever follows the dot, and is built when its header
fits.

```text
docker/a.ubuntu.amd.Dockerfile
docker/a.ubuntu.amd.Dockerfile.bak
```

Remove the file, or rename it to end in `.Dockerfile`."#,
};

pub(in crate::validate) const OTHER_VENDOR: Rule = Rule {
    id: "MAD037",
    title: "no Dockerfile for AMD GPUs under Ubuntu",
    severity: Severity::Note,
    explanation: r#"Without a context the machine is taken to be AMD and Ubuntu; an entry with no image for that is
skipped there.

```dockerfile
# CONTEXT {'gpu_vendor': 'NVIDIA'}
FROM nvidia/cuda
```

Add a Dockerfile for AMD, or leave it: the entry is then for other machines only."#,
};
