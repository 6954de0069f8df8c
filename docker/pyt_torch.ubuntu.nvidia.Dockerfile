# CONTEXT {'gpu_vendor': 'NVIDIA', 'guest_os': 'UBUNTU'}
ARG BASE_DOCKER=pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime
FROM $BASE_DOCKER

# torch.compile builds its launchers with a C compiler, which the runtime image lacks.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends build-essential git \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -c "import torch, torchvision"
