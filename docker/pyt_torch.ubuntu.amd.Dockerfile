# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}
ARG BASE_DOCKER=rocm/pytorch:rocm7.2.1_ubuntu24.04_py3.12_pytorch_release_2.9.1
FROM $BASE_DOCKER

# Everything that the torch-only entries need is in the base image.
RUN python3 -c "import torch, torchvision"
