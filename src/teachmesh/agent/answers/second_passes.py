"""Second passes, with beneficial biases, of images whose latents are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.biases.bias_task import decode_rows
from teachmesh.biases.refine_decisions import BiasedDecision, refine

if TYPE_CHECKING:
    import torch

    from teachmesh.agent.answers.answering import AnsweringAgent
    from teachmesh.biases.second_pass import KeptRows, SecondPass
    from teachmesh.data.images import ImageRef
    from teachmesh.mapping.accuracies import Given
    from teachmesh.mapping.decisions import Decisions

Known = dict[tuple[int, str], BiasedDecision]
"""(row of the image, id of the skill) -> decision of the second pass."""


def second_passes(
    agent: AnsweringAgent,
    decisions: Decisions,
    images: Sequence[ImageRef] | None,
    known: Known | None = None,
) -> Given:
    """Return a function that runs second passes, with biases, for images with known latents.

    If the agent's skills have no biases, the function returns the decisions unchanged.

    Args:
        agent: agent whose biases are used.
        decisions: decisions of the first pass.
        images: the images; if None, there is no second pass.
        known: results of earlier second passes of these images; new ones are added.
    """
    second = agent.second_pass()
    if second is None or images is None:
        return lambda _: decisions

    def kept(rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        return second.kept(decode_rows(images, rows, agent.backbone.size))

    return Refiner(second, decisions, kept, known).given


class Refiner:
    """Refine the decisions on N images by second passes; no pass is run twice.

    Args:
        second: second passes of the skills.
        decisions: decisions of the first pass.
        kept: function that returns the images' inputs for a second pass.
        known: results of earlier second passes of these images; new ones are added.
    """

    def __init__(
        self,
        second: SecondPass,
        decisions: Decisions,
        kept: KeptRows,
        known: Known | None = None,
    ) -> None:
        self._second = second
        self._decisions = decisions
        self._kept = kept
        self._known: Known = {} if known is None else known

    def given(self, tasks: np.ndarray) -> Decisions:
        """Refine the decisions by a second pass for each image, with the biases of the given task.

        Args:
            tasks: (N,) index of the task of each image.
        """
        ids = self._decisions.skill_ids
        pairs = [(i, int(t)) for i, t in enumerate(tasks)]
        missing = [(i, t) for i, t in pairs if (i, ids[t]) not in self._known]
        for found in self._second.opinions(self._decisions, missing, self._kept):
            for n, i in enumerate(found.rows):
                row = slice(n, n + 1)
                self._known[int(i), ids[found.task]] = BiasedDecision(
                    found.task, found.rows[row], found.posteriors[row], found.weight
                )
        # The position of a skill changes when an agent receives others.
        known = ((t, self._known.get((i, ids[t]))) for i, t in pairs)
        return refine(self._decisions, [replace(b, task=t) for t, b in known if b is not None])
