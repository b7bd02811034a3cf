"""MAHA as the paper has it: five images of every class travel, not their latents."""

from __future__ import annotations

import dataclasses

from teachmesh.mapping.maha import SAMPLES_PER_CLASS
from teachmesh_lab.bench.summary import Result
from teachmesh_lab.evaluation.cost_ledger import Account, account

_FLOAT = 4


def images_that_travel(result: Result, agents: int, packing: str, alpha: float) -> Account:
    """What N agents would pay for a cell of `maha` if images travelled.

    Their bytes are those of the files as they are (the paper's Fig. 10 has raw pixels, which is
    ten times as much or more), with the head beside them; every student passes the backbone over
    all of them, which the paper does not count.

    Args:
        result: a cell of one agent.
        agents: N.
        packing: how tasks are given to agents.
        alpha: multiply-accumulates per byte.
    """
    values = result.values
    per_image, row = int(values["backbone_macs_per_image"]), int(values["latent_dim"]) + 1
    costs = [
        dataclasses.replace(
            cost,
            skill_bytes=image_bytes + _FLOAT * row * size["classes"],
            receive_macs=cost.receive_macs + SAMPLES_PER_CLASS * size["classes"] * per_image,
        )
        for cost, size, image_bytes in zip(
            result.costs(), values["tasks"], values["sample_image_bytes"], strict=True
        )
    ]
    once = int(values["consolidation_macs"])
    return account(costs, agents, alpha=alpha, packing=packing, consolidation_macs=once)
