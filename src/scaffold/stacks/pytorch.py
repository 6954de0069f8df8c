"""A training step that stands where yours will: replace model, data and loss, keep the rest."""

import os
import statistics
import time

import torch
from torch import nn

BATCH = int(os.environ.get("MAD_MODEL_BATCH_SIZE", "16"))
LENGTH, WIDTH = 512, 1024
WARM_UP, WINDOWS, STEPS = 5, 10, 5


def model():
    layer = nn.TransformerEncoderLayer(WIDTH, 16, 4 * WIDTH, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 8)


def batch(device):
    inputs = torch.randn(BATCH, LENGTH, WIDTH, device=device)
    return inputs, torch.randn_like(inputs)


def loss_of(net, inputs, targets):
    return nn.functional.mse_loss(net(inputs), targets)


def main():
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    torch.manual_seed(42)
    net = model().to(device)
    if world > 1:
        torch.distributed.init_process_group("nccl")
        net = nn.parallel.DistributedDataParallel(net, device_ids=[device])
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    data = batch(device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = loss_of(net, *data)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(WARM_UP):
        step()
    seconds = []
    for _ in range(WINDOWS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(STEPS):
            loss = step()
        torch.cuda.synchronize()
        seconds.append((time.perf_counter() - began) / STEPS)
    if not torch.isfinite(loss):
        raise SystemExit(f"the loss is {loss.item()}")
    if int(os.environ.get("RANK", "0")) == 0:
        value = BATCH * world / statistics.median(seconds)
        print(f"performance: {value} samples_per_second")
    if world > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
