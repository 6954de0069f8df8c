# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}
ARG BASE_DOCKER=rocm/vllm:rocm7.0.0_vllm_0.11.2_20251210
FROM $BASE_DOCKER

# The container is started idle and the script is run inside it.
ENTRYPOINT []
