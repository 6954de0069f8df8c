//! What a kernel does, by its name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a kernel does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Matrix products and convolutions.
    Gemm,
    /// Attention, fused or paged.
    Attention,
    /// Pointwise work, reductions, gathers, optimiser steps.
    Elementwise,
    /// Normalisations and softmax.
    Norm,
    /// Copies, fills, transpositions.
    Copy,
    /// Communication between GPUs.
    Collective,
    /// Anything else.
    Other,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::Gemm,
        Kind::Attention,
        Kind::Elementwise,
        Kind::Norm,
        Kind::Copy,
        Kind::Collective,
        Kind::Other,
    ];

    /// Its word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Gemm => "gemm",
            Kind::Attention => "attention",
            Kind::Elementwise => "elementwise",
            Kind::Norm => "norm",
            Kind::Copy => "copy",
            Kind::Collective => "collective",
            Kind::Other => "other",
        }
    }

    /// The kind that is called `word`.
    pub fn of_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The kind of a kernel of this name. The first row of the table with a part of the
    /// name in it decides.
    pub fn of(name: &str) -> Kind {
        let name = name.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        // The triton attention kernel of vLLM and SGLang is called no more than this.
        if name == "_fwd_kernel" || name == "_fwd_kernel_stage1" || name == "_fwd_kernel_stage2" {
            return Kind::Attention;
        }
        let row = WORDS.iter().find(|(_, parts)| has(parts));
        row.map_or(Kind::Other, |(kind, _)| *kind)
    }
}

/// Parts of kernel names, lower case, most telling first: an attention kernel made of
/// matrix products is attention, a fused normalisation with a copy is a normalisation.
const WORDS: [(Kind, &[&str]); 7] = [
    (
        Kind::Collective,
        &[
            "nccl",
            "rccl",
            "msccl",
            "allreduce",
            "all_reduce",
            "allgather",
            "all_gather",
            "reducescatter",
            "reduce_scatter",
            "alltoall",
            "all_to_all",
            "cross_device_reduce",
            "quickreduce",
            "oneshot_all",
            "twoshot_all",
            "sendrecv",
        ],
    ),
    (
        Kind::Attention,
        &["attn", "attention", "flash_fwd", "flash_bwd", "fmha", "flashinfer", "_mha_", "mla_"],
    ),
    (Kind::Norm, &["layernorm", "layer_norm", "rmsnorm", "rms_norm", "norm", "softmax"]),
    (
        Kind::Gemm,
        &[
            "cijk_",
            "gemm",
            "gemv",
            "wvsplitk",
            "splitk",
            "matmul",
            "nvjet",
            "xmma",
            "cutlass",
            "mfma",
            "winograd",
            "convolution",
            "convolve",
            "conv1d",
            "conv2d",
            "conv3d",
            "fprop",
            "dgrad",
            "wgrad",
            "fused_moe_kernel",
            "triton_mm",
            "triton_tem_",
            "dot_kernel",
        ],
    ),
    (
        Kind::Copy,
        &[
            "memcpy",
            "memset",
            "memory_copy_",
            "copybuffer",
            "fillbuffer",
            "copydeviceto",
            "copyhostto",
            "copy_kernel",
            "direct_copy",
            "batchedcopy",
            "transpose",
            "_copy_",
        ],
    ),
    (
        Kind::Elementwise,
        &[
            "elementwise",
            "pointwise",
            "vectorized",
            "triton_poi",
            "triton_red",
            "triton_per",
            "reduce_kernel",
            "reduction",
            "act_and_mul",
            "activation",
            "silu",
            "gelu",
            "relu",
            "sigmoid",
            "rotary",
            "rope",
            "embedding",
            "index",
            "gather",
            "scatter",
            "sort",
            "topk",
            "argmax",
            "cumsum",
            "scan",
            "dropout",
            "convert",
            "quant",
            "adam",
            "multi_tensor",
            "foreach",
            "distribution",
            "fill",
            "reshape_and_cache",
            "loop_fusion",
            "loop_add",
            "loop_multiply",
            "stream_triad",
        ],
    ),
    // XLA's and other fusions whose name says no more.
    (Kind::Other, &["fusion"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_as_libraries_name_them() {
        for (name, kind) in [
            ("Cijk_Alik_Bljk_BBS_BH_Bias_HAS_SAV_UserArgs_MT256x256x64_MI16x16x1", Kind::Gemm),
            ("void wvSplitK_hf_sml_<__hip_bfloat16, 64, 2, 16, 8, 2, 1>", Kind::Gemm),
            ("ampere_fp16_s1688gemm_fp16_128x128_ldg8_f2f_stages_32x1_nn", Kind::Gemm),
            ("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_TNT", Kind::Gemm),
            ("miopenSp3AsmConv_v30_3_1_gfx94x_fp32_f2x3_stride1_winograd", Kind::Gemm),
            ("sm80_xmma_fprop_implicit_gemm_f16f16_f16f32", Kind::Gemm),
            ("_fwd_kernel", Kind::Attention),
            (
                "void flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, cutlass>>",
                Kind::Attention,
            ),
            ("paged_attention_ll4mi_QKV_mfma16_kernel", Kind::Attention),
            ("_layer_norm_fwd_1pass_kernel", Kind::Norm),
            ("void vllm::rms_norm_kernel<c10::BFloat16>", Kind::Norm),
            ("MIOpenBatchNormBwdSpatial", Kind::Norm),
            (
                "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>>",
                Kind::Elementwise,
            ),
            (
                "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float>>",
                Kind::Elementwise,
            ),
            ("triton_poi_fused_add_mul_silu_3", Kind::Elementwise),
            ("__amd_rocclr_copyBuffer", Kind::Copy),
            ("MEMORY_COPY_HOST_TO_DEVICE", Kind::Copy),
            (
                "void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda>",
                Kind::Copy,
            ),
            (
                "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
                Kind::Collective,
            ),
            ("void vllm::cross_device_reduce_1stage<__hip_bfloat16, 8>", Kind::Collective),
            ("my_own_kernel", Kind::Other),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }
}
