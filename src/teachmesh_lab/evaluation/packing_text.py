"""Ways to write class moments, as text: the product itself chooses one by the size of a skill."""

from __future__ import annotations

from teachmesh.errors import UsageError
from teachmesh.mapping.bit_planes import MAX_BITS
from teachmesh.mapping.packed_moments import Packing

FULL = "full"
"""Word for class moments in 8 bits per number."""


def read_packing(text: str | None) -> Packing | None:
    """Parse a way to write class moments: bits of means, directions and bits of the head.

    Args:
        text: three numbers, such as "2,32,4"; "full" or None for full size.

    Returns:
        The way, or None for full size.

    Raises:
        UsageError: the text is something else.

    Examples:
        >>> read_packing("2,32,4")
        Packing(bits=2, rank=32, head_bits=4)
        >>> read_packing("full") is None
        True
    """
    if text is None or text == FULL:
        return None
    numbers = [int(word) for word in text.split(",") if word.isdecimal()]
    if len(numbers) == text.count(",") + 1 == 3:
        bits, rank, head_bits = numbers
        if 1 <= bits <= MAX_BITS and rank and head_bits <= MAX_BITS:
            return Packing(bits, rank, head_bits)
    raise UsageError(
        f"expected {FULL}, or bits of means (1 to {MAX_BITS}), directions and bits of the head (0 "
        f"to {MAX_BITS}) such as 2,32,4, got {text!r}"
    )
