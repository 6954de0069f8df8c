# CONTEXT {'gpu_vendor': 'NVIDIA', 'guest_os': 'UBUNTU'}
ARG BASE_DOCKER=vllm/vllm-openai:v0.11.2
FROM $BASE_DOCKER

# The base image starts a server; here the container is started idle and the script is
# run inside it.
ENTRYPOINT []
