"""`parallel-supsup`: SUPSUP by many agents, which exchange their masks (paper, Sec. 6, Fig. 10).

All agents have the same fixed weights, those of the seed. Each learns masks for its own tasks and
sends them, one bit per weight, to all others. A mask depends on its task and its place in the
stream only, so any number of agents ends with the same masks: accuracies are those of `supsup`, bit
for bit. Here everything is answered with masks that went through their bytes.
"""

from __future__ import annotations

from typing import ClassVar, final

from teachmesh_lab.baselines.supsup import Supsup


@final
class ParallelSupsup(Supsup):
    """Masks that travel."""

    source: ClassVar[str] = "the paper, Sec. 6 and Fig. 10"
    parallel: ClassVar[bool] = True

    def end(self, index: int) -> None:
        """Send the mask, and go on with what a receiver makes of it."""
        super().end(index)
        self.receive(index, self.net.classes(index), self.encode(index))

    def task_bytes(self, index: int) -> int:
        """One bit per weight."""
        return len(self.encode(index))
