"""Training steps of a causal language model on made-up text; replace them by your workload."""

import argparse
import os
import statistics
import time

import torch
from transformers import AutoModelForCausalLM

BATCH = int(os.environ.get("MAD_MODEL_BATCH_SIZE", "8"))
WARM_UP, WINDOWS, STEPS = 5, 10, 5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--length", type=int, default=1024, help="tokens per sample")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    torch.manual_seed(42)
    net = AutoModelForCausalLM.from_pretrained(options.model).to(device)
    words = net.config.vocab_size
    if world > 1:
        torch.distributed.init_process_group("nccl")
        net = torch.nn.parallel.DistributedDataParallel(net, device_ids=[device])
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)
    tokens = torch.randint(words, (BATCH, options.length), device=device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = net(input_ids=tokens, labels=tokens).loss
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
        print(f"performance: {value} train_samples_per_second")
    if world > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
