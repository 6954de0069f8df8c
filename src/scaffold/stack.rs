//! What entries of one kind have in common: images, script, arguments.

use super::name::Words;

/// The kind of software that an entry measures with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// vLLM, offline throughput.
    Vllm,
    /// SGLang, offline throughput.
    Sglang,
    /// Training with plain PyTorch.
    Pytorch,
    /// Training with HuggingFace transformers.
    Huggingface,
    /// Pre-training with Megatron-LM.
    Megatron,
    /// Training with MaxText, on JAX.
    Maxtext,
    /// Anything else.
    Generic,
}

/// Words of a name that tell the stack, the most telling first: `pyt_vllm_…` is vLLM.
const TELLING: [(&str, Stack); 11] = [
    ("vllm", Stack::Vllm),
    ("sglang", Stack::Sglang),
    ("megatron", Stack::Megatron),
    ("maxtext", Stack::Maxtext),
    ("huggingface", Stack::Huggingface),
    ("hf", Stack::Huggingface),
    ("transformers", Stack::Huggingface),
    ("pyt", Stack::Pytorch),
    ("pytorch", Stack::Pytorch),
    ("torch", Stack::Pytorch),
    ("torchtitan", Stack::Pytorch),
];

/// A base image.
pub(super) struct Image {
    /// `AMD` or `NVIDIA`, as a CONTEXT header says it.
    pub(super) vendor: &'static str,
    pub(super) base: &'static str,
    /// What a Dockerfile adds to it.
    pub(super) rest: &'static str,
}

const fn image(vendor: &'static str, base: &'static str) -> Image {
    Image { vendor, base, rest: "" }
}

const fn image_with(vendor: &'static str, base: &'static str, rest: &'static str) -> Image {
    Image { vendor, base, rest }
}

const NO_ENTRYPOINT: &str = "
# The container is started idle and the script is run inside it.
ENTRYPOINT []
";

const TRANSFORMERS: &str = r#"
# torch stays as the base image has it: transformers may not replace it.
RUN python3 -c "import torch; print('torch==' + torch.__version__)" > /constraints.txt \
    && pip install --no-cache-dir --constraint /constraints.txt transformers==4.57.1 accelerate==1.11.0
"#;

const ROCM_PYTORCH: &str = "rocm/pytorch:rocm7.2.1_ubuntu24.04_py3.12_pytorch_release_2.9.1";
const CUDA_PYTORCH: &str = "pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime";

impl Stack {
    /// Every stack.
    pub const ALL: [Stack; 7] = [
        Stack::Vllm,
        Stack::Sglang,
        Stack::Pytorch,
        Stack::Huggingface,
        Stack::Megatron,
        Stack::Maxtext,
        Stack::Generic,
    ];

    /// Its word, in file names as well.
    pub fn name(self) -> &'static str {
        match self {
            Stack::Vllm => "vllm",
            Stack::Sglang => "sglang",
            Stack::Pytorch => "pytorch",
            Stack::Huggingface => "huggingface",
            Stack::Megatron => "megatron",
            Stack::Maxtext => "maxtext",
            Stack::Generic => "generic",
        }
    }

    /// The stack that the name of an entry tells.
    pub fn of(name: &str) -> Stack {
        let words = Words::of(name);
        let told = |(word, stack): (&str, Stack)| words.all().any(|w| w == word).then_some(stack);
        TELLING.into_iter().find_map(told).unwrap_or(Stack::Generic)
    }

    /// What its script measures, for the script's first comment.
    pub(super) fn measures(self) -> &'static str {
        match self {
            Stack::Vllm => "throughput of a model in vLLM, in tokens per second",
            Stack::Sglang => "throughput of a model in SGLang, in tokens per second",
            Stack::Pytorch => "training steps with PyTorch, in samples per second",
            Stack::Huggingface => "training steps of a HuggingFace model, in samples per second",
            Stack::Megatron => "pre-training with Megatron-LM, in TFLOP/s per GPU",
            Stack::Maxtext => "training with MaxText, in tokens per second and device",
            Stack::Generic => "what its function `work` does, in runs per second",
        }
    }

    /// The option that takes the name of a model of the HuggingFace hub.
    pub(super) fn model_option(self) -> Option<&'static str> {
        match self {
            Stack::Vllm | Stack::Huggingface => Some("--model"),
            Stack::Sglang => Some("--model-path"),
            _ => None,
        }
    }

    /// GPUs of an entry that is made after no other.
    pub(super) fn n_gpus(self) -> &'static str {
        match self {
            Stack::Vllm | Stack::Sglang | Stack::Generic => "1",
            _ => "-1",
        }
    }

    /// What it runs in. Of some no image for NVIDIA is known that holds all it needs.
    pub(super) fn images(self) -> Vec<Image> {
        match self {
            Stack::Vllm => vec![
                image_with("AMD", "rocm/vllm:rocm7.0.0_vllm_0.11.2_20251210", NO_ENTRYPOINT),
                image_with("NVIDIA", "vllm/vllm-openai:v0.11.2", NO_ENTRYPOINT),
            ],
            Stack::Sglang => vec![
                image_with("AMD", "lmsysorg/sglang:v0.5.7-rocm700-mi30x", NO_ENTRYPOINT),
                image_with("NVIDIA", "lmsysorg/sglang:v0.5.9", NO_ENTRYPOINT),
            ],
            Stack::Pytorch | Stack::Generic => {
                vec![image("AMD", ROCM_PYTORCH), image("NVIDIA", CUDA_PYTORCH)]
            }
            Stack::Huggingface => vec![
                image_with("AMD", ROCM_PYTORCH, TRANSFORMERS),
                image_with("NVIDIA", CUDA_PYTORCH, TRANSFORMERS),
            ],
            Stack::Megatron => vec![image("AMD", "rocm/primus:v26.1")],
            Stack::Maxtext => vec![image("AMD", "rocm/jax-training:maxtext-v25.9")],
        }
    }

    /// The files of its script's directory, with their texts. `about` are the lines of the
    /// first comment of `run.sh`.
    pub(super) fn script(self, about: &[String]) -> Vec<(&'static str, String)> {
        let (shell, python) = match self {
            Stack::Vllm => (include_str!("stacks/vllm.sh"), None),
            Stack::Sglang => (include_str!("stacks/sglang.sh"), None),
            Stack::Pytorch => {
                (include_str!("stacks/pytorch.sh"), Some(include_str!("stacks/pytorch.py")))
            }
            Stack::Huggingface => {
                (include_str!("stacks/huggingface.sh"), Some(include_str!("stacks/huggingface.py")))
            }
            Stack::Megatron => (include_str!("stacks/megatron.sh"), None),
            Stack::Maxtext => (include_str!("stacks/maxtext.sh"), None),
            Stack::Generic => (include_str!("stacks/generic.sh"), None),
        };
        let about: String =
            about.iter().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
        // The comment goes in last: what a user wrote must not be taken for a mark.
        let run = shell
            .replace("# @stand-in@\n", STAND_IN_COMMENT)
            .replace("# @stand-in-code@\n", include_str!("stacks/stand_in.bash"))
            .replacen("# @about@\n", &about, 1);
        let mut files = vec![("run.sh", run)];
        files.extend(python.map(|text| ("workload.py", text.to_owned())));
        files
    }
}

const STAND_IN_COMMENT: &str = "\
#
# MAD_STAND_IN=1 measures a loop of the shell instead, as a metric of its own: it tries the entry
# where the real thing is missing, and says nothing about its speed.
";
