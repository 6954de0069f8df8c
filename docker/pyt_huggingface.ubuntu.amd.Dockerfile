# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}
ARG BASE_DOCKER=rocm/pytorch:rocm7.2.1_ubuntu24.04_py3.12_pytorch_release_2.9.1
FROM $BASE_DOCKER

# torch stays as the base image has it: none of these may replace it.
RUN python3 -c "import torch; print('torch==' + torch.__version__)" > /constraints.txt \
    && pip install --no-cache-dir --constraint /constraints.txt \
        transformers==4.57.1 accelerate==1.11.0 datasets==4.4.1 evaluate==0.4.6 scikit-learn==1.7.2
