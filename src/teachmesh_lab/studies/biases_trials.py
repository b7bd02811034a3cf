"""What a budget for beneficial biases should be spent on, for the table in docs/biases.md.

    python -m ...studies.biases_trials --tasks DIR --home HOME --backbone ALIAS --names A,B

Every trial trains the biases of one task within the default budget and looks at validation images
only: log loss of the best pool at its best temperature, and the share of them that it gets right.
One row per task is printed as soon as it is there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from teachmesh.agent import Agent
from teachmesh.biases.bias_choice import accuracy
from teachmesh.biases.bias_layout import biasable_layers, choose_layers
from teachmesh.biases.bias_learning import train_biases
from teachmesh.biases.bias_options import BiasOptions
from teachmesh.biases.bias_plan import BiasPlan, TaskCosts, costs_of_task, plan_biases, smaller
from teachmesh.biases.bias_task import BiasTask
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.data.tasks import find_tasks, read_task
from teachmesh.learning.embedded_task import embed_task
from teachmesh.learning.fit_method import fit_method, log_within, start_head
from teachmesh.mapping.fusion import WEIGHTS, fuse, log_softmax, tempered_log_loss
from teachmesh.model.backbone import Backbone

METHOD = "moments"


@dataclass(frozen=True)
class Trial:
    """One way to spend the budget.

    Attributes:
        name: of its column.
        small: begin with smaller images.
        batch_size: images per step.
        bias_rate: Adam's highest rate on biases.
        head_rate: the same on the head.
        refit: end with the mean of the trained head and one in closed form.
    """

    name: str
    small: bool
    batch_size: int
    bias_rate: float
    head_rate: float
    refit: bool = True

    def plan(self, costs: TaskCosts) -> BiasPlan:
        """What `auto` would do, but for what is tried."""
        return replace(
            plan_biases(BiasOptions(), costs),
            batch_size=self.batch_size,
            bias_rate=self.bias_rate,
            head_rate=self.head_rate,
            refit=self.refit,
        )


TRIALS = (
    Trial("16, rates 3e-2, 1e-2", True, 16, 3e-2, 1e-2),
    Trial("8, rates 3e-2, 1e-2", True, 8, 3e-2, 1e-2),
    Trial("8, rates 2e-2, 7e-3 (`auto`)", True, 8, 2e-2, 7e-3),
    Trial("8, rates 1.4e-2, 5e-3", True, 8, 1.4e-2, 5e-3),
    Trial("4, rates 1.4e-2, 5e-3", True, 4, 1.4e-2, 5e-3),
    Trial("`auto`, whole images only", False, 8, 2e-2, 7e-3),
    Trial("`auto`, trained head alone", True, 8, 2e-2, 7e-3, refit=False),
)


def main() -> None:
    """Print a row per task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True, help="folder of tasks")
    parser.add_argument("--home", type=Path, help="agent's home, with the backbone")
    parser.add_argument("--backbone", help="its alias in the home")
    parser.add_argument("--names", required=True, help="comma-separated tasks")
    options = parser.parse_args()
    backbone = Agent(options.home, backbone=options.backbone).backbone
    print("| task | none | " + " | ".join(trial.name for trial in TRIALS) + " |", flush=True)
    for path in find_tasks(options.tasks, options.names.split(",")):
        task = bias_task(backbone, path)
        scores = [task.without, *(try_it(task, trial) for trial in TRIALS)]
        cells = [
            f"{tempered_log_loss(s, task.validation_labels):.3f}, "
            f"{100 * accuracy(s, task.validation_labels):.0f} %"
            for s in scores
        ]
        print(f"| {path.stem} | " + " | ".join(cells) + " |", flush=True)


def bias_task(backbone: Backbone, path: Path) -> BiasTask:
    """A task as learning its biases sees it, class moments being fitted."""
    task = read_task(path, seed=0)
    latents = embed_task(backbone, task)
    train, validation = latents.train, latents.validation
    assert latents.images is not None
    fitted = fit_method(METHOD, train, validation, len(task.classes))
    return BiasTask(
        backbone=backbone,
        method=METHOD,
        images=latents.images,
        train_labels=train.labels,
        validation_labels=validation.labels,
        start=start_head(fitted, METHOD, train),
        without=log_within(fitted, METHOD, validation.latents),
        before_macs=backbone.macs_per_image * len(latents) + fitted.cost_macs,
    )


def try_it(task: BiasTask, trial: Trial) -> np.ndarray:
    """(V, C) log posteriors of the best pool of the validation images."""
    forward = task.backbone.forward_pass
    layers = biasable_layers(forward.net, task.backbone.size)
    bb = BeneficialBiases(forward, choose_layers(layers, "all"))
    small = smaller(forward, bb) if trial.small else None
    costs = costs_of_task(task, bb, small)
    found = train_biases(task, trial.plan(costs), bb, small).head
    posteriors = log_softmax(found.head.logits(found.features))
    pools = (fuse(task.without, posteriors, weight) for weight in WEIGHTS)
    return min(pools, key=lambda pool: tempered_log_loss(pool, task.validation_labels))


if __name__ == "__main__":
    main()
