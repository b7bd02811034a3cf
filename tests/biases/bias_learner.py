"""Program that learns a task with biases and prints a line once training is under way.

Arguments: home, task folder. It prints "training" after the first steps and then waits for a
signal, so that the signal arrives during training on machines of any speed.
"""

from __future__ import annotations

import signal
import sys
import time
from functools import partial

from teachmesh.agent import Agent
from teachmesh.biases import bias_learning
from teachmesh.biases.activation_cache import CacheBudget


def main() -> None:
    """Learn with the paper's plan, which is slow enough to interrupt; keep activations on disk."""
    # Shells start background processes with this signal ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    setattr(bias_learning, "CacheBudget", partial(CacheBudget, ram_bytes=0))  # noqa: B010 - mypy: a class
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(total)
        # The first pass counts to one total, the training of biases to another.
        if total != seen[0] and done > 32:
            sys.stdout.write("training\n")
            sys.stdout.flush()
            while True:  # a signal that comes just before a sleep waits for its end
                time.sleep(0.01)

    Agent(sys.argv[1]).learn(sys.argv[2], bb="last:2", progress=progress)


if __name__ == "__main__":
    main()
