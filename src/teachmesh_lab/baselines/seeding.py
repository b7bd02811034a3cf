"""Independent random numbers for every purpose, from one seed.

The order of batches must not change if a baseline draws extra numbers, for example for its buffer.
Therefore every purpose and every task has its own generator.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def derive_seed(seed: int, purpose: str, *numbers: int) -> int:
    """Derive a seed for one purpose.

    Examples:
        >>> derive_seed(0, "order", 3) == derive_seed(0, "order", 3)
        True
        >>> derive_seed(0, "order", 3) == derive_seed(0, "head", 3)
        False
    """
    entropy = [seed, zlib.crc32(purpose.encode()), *numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def make_generator(seed: int, purpose: str, *numbers: int) -> torch.Generator:
    """Make a torch generator on the CPU for one purpose."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose, *numbers))
