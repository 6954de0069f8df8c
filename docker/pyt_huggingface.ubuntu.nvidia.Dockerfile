# CONTEXT {'gpu_vendor': 'NVIDIA', 'guest_os': 'UBUNTU'}
ARG BASE_DOCKER=pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime
FROM $BASE_DOCKER

# The examples are cloned inside the container, and the base image has no git.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends build-essential git \
    && rm -rf /var/lib/apt/lists/*
# torch stays as the base image has it: none of these may replace it.
RUN python3 -c "import torch; print('torch==' + torch.__version__)" > /constraints.txt \
    && pip install --no-cache-dir --constraint /constraints.txt \
        transformers==4.57.1 accelerate==1.11.0 datasets==4.4.1 evaluate==0.4.6 scikit-learn==1.7.2
