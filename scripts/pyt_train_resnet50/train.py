"""Trains ResNet-50 on synthetic images and prints images per second.

The images are generated once and stay on the GPU: the number is that of the training step
(forward in bf16, backward, gradient exchange, SGD) and says nothing about reading data. A
loss that is not finite, or has not fallen on these few images, ends the run without a number.
"""

import math
import os
import statistics
import sys
import time

WARM_UP_STEPS = 20
WINDOWS = 10
STEPS_PER_WINDOW = 10
BATCHES = 2


class Problem(Exception):
    """Something that ends the run with a message instead of a number."""


def whole(name, default, low, high):
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise Problem(f"{name}={text!r}: expected a whole number from {low} to {high}")
    return value


def pick_device(torch):
    rank = whole("LOCAL_RANK", 0, 0, 1023)
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        if rank >= count:
            raise Problem(f"process {rank} has no GPU: torch sees {count}")
        torch.cuda.set_device(rank)
        return torch.device("cuda", rank), torch.cuda.get_device_name(rank)
    if os.environ.get("MAD_ALLOW_CPU") == "1":
        return torch.device("cpu"), "CPU, for testing this script only"
    raise Problem(f"torch {torch.__version__} sees no GPU")


def train(torch, torchvision, device, name, world, rank):
    on_gpu = device.type == "cuda"
    side = 224 if on_gpu else 64
    batch = whole("MAD_MODEL_BATCH_SIZE", 256 if on_gpu else 4, 2, 8192)
    compiled = whole("MAD_TORCH_COMPILE", 0, 0, 1) == 1

    torch.manual_seed(42)
    torch.backends.cudnn.benchmark = True
    model = torchvision.models.resnet50().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    criterion = torch.nn.CrossEntropyLoss()
    step_model = torch.compile(model) if compiled else model
    if world > 1:
        ids = [device.index] if on_gpu else None
        step_model = torch.nn.parallel.DistributedDataParallel(step_model, device_ids=ids)
    generator = torch.Generator(device=device).manual_seed(1000 + rank)
    data = [
        (
            torch.randn((batch, 3, side, side), device=device, generator=generator).to(
                memory_format=torch.channels_last
            ),
            torch.randint(0, 1000, (batch,), device=device, generator=generator),
        )
        for _ in range(BATCHES)
    ]

    def steps(count):
        """The mean loss of the last two steps, one per batch of data."""
        losses = []
        for index in range(count):
            images, labels = data[index % BATCHES]
            with torch.autocast(device_type=device.type, dtype=torch.bfloat16):
                loss = criterion(step_model(images), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        # Reading the loss waits for the device.
        return torch.stack(losses[-BATCHES:]).mean().item()

    first_loss = steps(BATCHES)
    steps(WARM_UP_STEPS)
    windows = []
    for _ in range(WINDOWS):
        begin = time.perf_counter()
        loss = steps(STEPS_PER_WINDOW)
        windows.append((time.perf_counter() - begin) / STEPS_PER_WINDOW)

    if not (math.isfinite(first_loss) and math.isfinite(loss)):
        raise Problem(f"check failed: the loss went from {first_loss} to {loss}")
    if loss >= first_loss:
        raise Problem(f"check failed: the loss did not fall, {first_loss:.4f} to {loss:.4f}")
    if rank == 0:
        seconds = statistics.median(windows)
        print(
            f"torch {torch.__version__} on {world} x {name}: batch {batch} per process, "
            f"loss {first_loss:.4f} to {loss:.4f}, step {seconds * 1e3:.2f} ms"
        )
        print(f"performance: {batch * world / seconds:.1f} images_per_second")


def main():
    try:
        import torch
        import torchvision
    except ImportError as error:
        return (
            f"{sys.executable} cannot import torch and torchvision ({error}): "
            "run this entry in its container"
        )
    try:
        world = whole("WORLD_SIZE", 1, 1, 65536)
        rank = whole("RANK", 0, 0, 65535)
        device, name = pick_device(torch)
        if world > 1:
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            train(torch, torchvision, device, name, world, rank)
        finally:
            if world > 1:
                torch.distributed.destroy_process_group()
    except Problem as problem:
        return str(problem)
    return None


if __name__ == "__main__":
    sys.exit(main())
