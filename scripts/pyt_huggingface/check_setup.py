"""Fails early, and in plain words, where training cannot run."""

import sys

MISSING = "{} is not installed for {}: run this entry in its container"


def main():
    try:
        import torch
    except ImportError:
        return MISSING.format("torch", sys.executable)
    try:
        import transformers
    except ImportError:
        return MISSING.format("transformers", sys.executable)
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no GPU"
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
