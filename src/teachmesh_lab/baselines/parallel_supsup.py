"""`parallel-supsup`: SUPSUP with many agents, which exchange their masks (paper, Sec. 6, Fig. 10).

All agents derive the same fixed weights from the seed. Each agent learns masks for its own tasks
and sends them to all other agents, at one bit per weight. A mask depends only on its task and the
task's position in the stream, so the masks are the same for any number of agents. The accuracies
equal those of `supsup`, bit for bit. Answers always use masks that were encoded and decoded.
"""

from __future__ import annotations

from typing import ClassVar, final

from teachmesh_lab.baselines.supsup import Supsup


@final
class ParallelSupsup(Supsup):
    """SUPSUP with masks that are sent between agents."""

    source: ClassVar[str] = "the paper, Sec. 6 and Fig. 10"
    parallel: ClassVar[bool] = True

    def end(self, index: int) -> None:
        """Encode the mask of the finished task and continue with the decoded one."""
        super().end(index)
        self.receive(index, self.net.classes(index), self.encode(index))

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of the task's mask, which has one bit per weight."""
        return len(self.encode(index))
