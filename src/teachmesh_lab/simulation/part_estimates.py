"""Time of N agents that learn parts of tasks, whose owners make one skill of all parts.

A part is exact sums of its images (`learn --part-of`, decision 0012). It goes to the owner of the
task, and the skill goes to everybody. The steps do not overlap here, so times are upper bounds:

1. Each agent runs its share of all images through the backbone.
2. Each owner receives the parts of its tasks one after another, and fits their skills.
3. Each agent receives the skills of all other owners one after another, and registers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.simulation.event_simulation import Network, Simulated

SMALL_PART_IMAGES = 512
"""Number of images up to which a part consists of the latents of all of them."""
_LATENT_BYTES = 2_048
_SUMS_BYTES = 5_500_000
_INDEX_BYTES = 45
"""Sizes of `learning.statistics_file`, with 1,024 latents."""


@dataclass(frozen=True)
class Piece:
    """Images of one task that one agent learns.

    Attributes:
        task: index of the task.
        agent: index of the agent.
        images: number of images.
    """

    task: int
    agent: int
    images: int

    @property
    def part_bytes(self) -> int:
        """Size of the part made of these images."""
        if self.images <= SMALL_PART_IMAGES:
            return self.images * (_LATENT_BYTES + _INDEX_BYTES)
        return _SUMS_BYTES + self.images * _INDEX_BYTES


def cut_tasks(images: Sequence[int], speeds: Sequence[float]) -> list[Piece]:
    """Lay the images of all tasks in a line, and cut it in proportion to the agents' speeds.

    Args:
        images: number of images of each task.
        speeds: speed of each agent, in any unit.

    Returns:
        At most one piece more per agent than there are tasks, in order.

    Examples:
        >>> [(piece.agent, piece.images) for piece in cut_tasks([6, 4], [1, 1, 3])]
        [(0, 2), (1, 2), (2, 2), (2, 4)]
    """
    total, whole = sum(images), sum(speeds)
    ends = [round(total * done / whole) for done in accumulate(speeds)]
    pieces, agent, place = [], 0, 0
    for task, count in enumerate(images):
        stop = place + count
        while place < stop:
            while ends[agent] <= place:
                agent += 1
            taken = min(stop, ends[agent]) - place
            pieces.append(Piece(task, agent, taken))
            place += taken
    return pieces


def simulate_parts(
    images: Sequence[int],
    fits: Sequence[TaskCost],
    macs_per_image: int,
    network: Network,
    speeds: Sequence[float],
) -> Simulated:
    """Estimate the time of N agents that share the images of all tasks equally.

    Args:
        images: number of training and validation images of each task.
        fits: cost of each skill without backbone passes.
        macs_per_image: multiply-accumulates of a backbone pass.
        network: network between the agents.
        speeds: multiply-accumulates per second of each agent.
    """
    pieces = cut_tasks(images, speeds)
    owners = _owners(pieces, len(images))
    learning_s = [0.0] * len(speeds)
    parts_bytes, fitting_s, own_bytes = ([0.0] * len(speeds) for _ in range(3))
    for piece in pieces:
        learning_s[piece.agent] += piece.images * macs_per_image / speeds[piece.agent]
        if (owner := owners[piece.task]) != piece.agent:
            parts_bytes[owner] += piece.part_bytes
    for owner, fit in zip(owners, fits, strict=True):
        fitting_s[owner] += fit.teacher_macs / speeds[owner]
        own_bytes[owner] += fit.skill_bytes
    owned_s = [
        network.seconds(int(size)) + fit_s
        for size, fit_s in zip(parts_bytes, fitting_s, strict=True)
    ]
    all_bytes, register = sum(own_bytes), sum(fit.register_macs for fit in fits)
    received = [all_bytes - own for own in own_bytes]
    others = len(speeds) > 1
    waits_s = 2 * network.latency_s if others else 0.0
    decoding = sum(fit.receive_macs for fit in fits) if others else 0
    before_s = max(learning_s) + max(owned_s) + waits_s
    done_s = tuple(
        before_s + network.seconds(int(size)) + (register + decoding) / speed
        for size, speed in zip(received, speeds, strict=True)
    )
    alone = sum(images) * macs_per_image + sum(fit.teacher_macs for fit in fits) + register
    most = max(a + b for a, b in zip(received, parts_bytes, strict=True))
    return Simulated(
        len(speeds), max(done_s), alone / speeds[0], max(learning_s), int(most), done_s
    )


def _owners(pieces: Sequence[Piece], n_tasks: int) -> list[int]:
    """Return the owner of each task: the agent with its largest piece, the first of equals."""
    largest: dict[int, Piece] = {}
    for piece in pieces:
        if piece.task not in largest or piece.images > largest[piece.task].images:
            largest[piece.task] = piece
    return [largest[task].agent for task in range(n_tasks)]
