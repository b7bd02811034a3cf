"""Run histories with many seeds: python -m tests.trust.simulate FIRST [COUNT] [--large]."""

from __future__ import annotations

import sys
from functools import lru_cache

from teachmesh.packet.signing import is_signed
from teachmesh.sharing import messages
from tests.trust.scenarios import MOSTLY_SMALL, SIZES, History

LIMIT_S = 120.0


def main(first: int, count: int, sizes: tuple[int, ...]) -> int:
    """Print failing seeds and the times to equality; return the number of failures."""
    messages.is_signed = lru_cache(maxsize=4096)(is_signed)  # type: ignore[assignment]
    times_s, failures = [], 0
    for seed in range(first, first + count):
        outcome = History(seed, sizes).run(LIMIT_S)
        if outcome.lost or outcome.faults or outcome.equal_s is None:
            failures += 1
            sys.stdout.write(f"seed {seed} failed: {outcome}\n")
        times_s.append(LIMIT_S if outcome.equal_s is None else outcome.equal_s)
    times_s.sort()
    shown = {name: times_s[int(part * (count - 1))] for name, part in _PARTS.items()}
    text = ", ".join(f"{name} {time_s:.2f} s" for name, time_s in shown.items())
    sys.stdout.write(f"{count} histories, {failures} failed; equal after the last fault: {text}\n")
    return failures


_PARTS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}

if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:] if text.isdigit()]
    chosen = SIZES if "--large" in sys.argv else MOSTLY_SMALL
    sys.exit(main(numbers[0], numbers[1] if len(numbers) > 1 else 1, chosen) > 0)
