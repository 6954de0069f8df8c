"""Trains a small GPT on generated text and prints tokens per second.

Only torch is needed. The text follows a fixed rule that the model can learn, and there is
little of it, so a training step that works makes the loss fall; one that does not ends the
run without a number. The measured step is a whole one: forward in bf16, backward, gradient
exchange, clipping, AdamW. Reading and tokenising data are not part of it.
"""

import math
import os
import statistics
import sys
import time

VOCAB = 50304
WARM_UP_STEPS = 10
WINDOWS = 10
STEPS_PER_WINDOW = 5
BATCHES = 4


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


def build(torch, context, width, depth, heads):
    nn = torch.nn
    functional = torch.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def forward(self, x):
            batch, length, _ = x.shape
            qkv = self.qkv(self.norm1(x)).view(batch, length, 3, heads, width // heads)
            query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(VOCAB, width)
            self.position = nn.Embedding(context, width)
            self.blocks = nn.ModuleList(Block() for _ in range(depth))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, VOCAB, bias=False)
            self.apply(self.initialise)
            self.head.weight = self.token.weight

        @staticmethod
        def initialise(module):
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

        def forward(self, tokens, targets):
            positions = torch.arange(tokens.shape[1], device=tokens.device)
            x = self.token(tokens) + self.position(positions)
            for block in self.blocks:
                x = block(x)
            logits = self.head(self.norm(x))
            return functional.cross_entropy(logits.float().view(-1, VOCAB), targets.view(-1))

    return Gpt()


def text(torch, batch, context, seed):
    """Tokens that follow x -> 5x + 3 in a small part of the vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(0, 512, (batch,), generator=generator)]
    for _ in range(context):
        rows.append((rows[-1] * 5 + 3) % 512)
    tokens = torch.stack(rows, dim=1)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def train(torch, device, name, world, rank):
    on_gpu = device.type == "cuda"
    context, width, depth, heads = (1024, 768, 12, 12) if on_gpu else (64, 64, 2, 2)
    batch = whole("MAD_MODEL_BATCH_SIZE", 16 if on_gpu else 2, 1, 4096)
    compiled = whole("MAD_TORCH_COMPILE", 0, 0, 1) == 1

    torch.manual_seed(42)
    model = build(torch, context, width, depth, heads).to(device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1, fused=on_gpu)
    step_model = torch.compile(model) if compiled else model
    if world > 1:
        ids = [device.index] if on_gpu else None
        step_model = torch.nn.parallel.DistributedDataParallel(step_model, device_ids=ids)
    data = [
        tuple(part.to(device) for part in text(torch, batch, context, 1000 * rank + index))
        for index in range(BATCHES)
    ]

    def steps(count, first):
        loss = None
        for index in range(first, first + count):
            tokens, targets = data[index % BATCHES]
            with torch.autocast(device_type=device.type, dtype=torch.bfloat16):
                loss = step_model(tokens, targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        # Reading the loss waits for the device.
        return loss.item()

    first_loss = steps(1, 0)
    done = 1 + WARM_UP_STEPS
    steps(WARM_UP_STEPS, 1)
    windows = []
    for _ in range(WINDOWS):
        begin = time.perf_counter()
        loss = steps(STEPS_PER_WINDOW, done)
        windows.append((time.perf_counter() - begin) / STEPS_PER_WINDOW)
        done += STEPS_PER_WINDOW

    if not (math.isfinite(first_loss) and math.isfinite(loss)):
        raise Problem(f"check failed: the loss went from {first_loss} to {loss}")
    if loss >= first_loss:
        raise Problem(f"check failed: the loss did not fall, {first_loss:.4f} to {loss:.4f}")
    if rank == 0:
        seconds = statistics.median(windows)
        print(
            f"torch {torch.__version__} on {world} x {name}: {parameters} parameters, "
            f"batch {batch} x {context} per process, loss {first_loss:.4f} to {loss:.4f}, "
            f"step {seconds * 1e3:.2f} ms"
        )
        print(f"performance: {batch * context * world / seconds:.1f} tokens_per_second")


def main():
    try:
        import torch
    except ImportError as error:
        return f"{sys.executable} cannot import torch ({error}): run this entry in its container"
    try:
        world = whole("WORLD_SIZE", 1, 1, 65536)
        rank = whole("RANK", 0, 0, 65535)
        device, name = pick_device(torch)
        if world > 1:
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            train(torch, device, name, world, rank)
        finally:
            if world > 1:
                torch.distributed.destroy_process_group()
    except Problem as problem:
        return str(problem)
    return None


if __name__ == "__main__":
    sys.exit(main())
