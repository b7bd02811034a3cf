"""Avalanche's side of `avalanche_check`: trials as JSON on stdin, curves as JSON on stdout.

python -m benchmarks.avalanche_curves FOLDER, in Avalanche's own environment. The folder holds the
start of every seed as `<seed>.npz` (`our_curves.start`). Nothing of teachmesh is imported.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.permuted_digits import (
    BATCH,
    CLASSES,
    DECAY,
    PER_CLASS,
    RATE,
    TASKS,
    TEMPERATURE,
    TRAIN,
    WIDTH,
    DigitNet,
    DigitTask,
    Trial,
    make_tasks,
    mean_accuracy,
)

_BUFFER = PER_CLASS * CLASSES * TASKS
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[Any] = []


class OneHead(nn.Module):
    """Five heads behind the interface of a network with one: Avalanche sees the current head."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = DigitNet()
        self.heads = nn.ModuleList(nn.Linear(WIDTH, CLASSES) for _ in range(TASKS))
        self.current = 0

    def forward(self, x: Tensor) -> Any:
        """Return the logits of the current head."""
        return self.heads[self.current](self.trunk(x))


def multi_task_network() -> nn.Module:
    """Return the same network as a multi-task module of Avalanche, which knows all heads."""
    from avalanche.models import MultiTaskModule

    class ManyHeads(MultiTaskModule, OneHead):  # type: ignore[misc]
        def __init__(self) -> None:
            MultiTaskModule.__init__(self)
            self.trunk = DigitNet()
            self.heads = nn.ModuleList(nn.Linear(WIDTH, CLASSES) for _ in range(TASKS))

        def forward(self, x: Tensor, task_labels: Any) -> Any:  # type: ignore[override]
            return MultiTaskModule.forward(self, x, task_labels)

        def forward_single_task(self, x: Tensor, task_label: int) -> Any:
            return self.heads[task_label](self.trunk(x))

    network: nn.Module = ManyHeads()
    return network


def make_plugins(trial: Trial) -> list[Any]:
    """Return the plugins of a method; fine-tuning has none."""
    from avalanche.training import plugins
    from avalanche.training.storage_policy import ExperienceBalancedBuffer

    strength = trial.strength
    makers: Mapping[str, Callable[[], list[Any]]] = {
        "fine-tune": list,
        "ewc": lambda: [plugins.EWCPlugin(strength)],
        "online-ewc": lambda: [plugins.EWCPlugin(strength, "online", DECAY)],
        "mas": lambda: [plugins.MASPlugin(strength)],
        "lwf": lambda: [plugins.LwFPlugin(strength, TEMPERATURE)],
        "er": lambda: [
            plugins.ReplayPlugin(
                _BUFFER,
                storage_policy=ExperienceBalancedBuffer(
                    _BUFFER, adaptive_size=False, num_experiences=TASKS
                ),
            )
        ],
    }
    return makers[trial.method]()


def make_experiences(trial: Trial, start: Mapping[str, np.ndarray]) -> Any:
    """Return Avalanche's training stream.

    The images of all epochs follow one another in the given order, so that one epoch over them sees
    the batches of the other side. Replay draws its own batches, from images that occur once.
    """
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.scenarios import with_classes_timeline, with_task_labels
    from avalanche.benchmarks.utils import _make_taskaware_tensor_classification_dataset

    datasets = []
    for index, task in enumerate(make_tasks(trial.seed)):
        rows = np.arange(TRAIN) if trial.method == "er" else start[f"order.{index}"].flatten()
        labels = task.labels[rows].tolist()
        task_label = 0 if trial.details.get("one_head") else index
        datasets.append(
            _make_taskaware_tensor_classification_dataset(
                to_floats(task.images[rows]),
                torch.tensor(labels),
                targets=labels,
                task_labels=[task_label] * len(labels),
            )
        )
    benchmark = benchmark_from_datasets(train=datasets)
    return with_task_labels(with_classes_timeline(benchmark)).train_stream


def to_floats(images: np.ndarray) -> Tensor:
    """Return uint8 images as float32 in [0, 1]."""
    return torch.from_numpy(images).float() / 255


def run(trial: Trial, start: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the mean accuracy on the tasks so far, after each task.

    Details of a trial:

    - `kept`: the state of Adam is kept from task to task, as Avalanche does by default.
    - `one_head`: Avalanche sees one head at a time.
    """
    from avalanche.training.plugins import EvaluationPlugin
    from avalanche.training.supervised import Naive

    torch.manual_seed(trial.seed)
    model: Any = OneHead() if trial.details.get("one_head") else multi_task_network()
    weights = {name: torch.from_numpy(start[name]) for name in model.state_dict()}
    model.load_state_dict(weights)
    replayed = trial.method == "er"
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=RATE),
        train_mb_size=BATCH,
        train_epochs=trial.epochs if replayed else 1,
        plugins=make_plugins(trial),
        evaluator=EvaluationPlugin(loggers=[]),
    )
    tasks, curve = make_tasks(trial.seed), list[float]()
    for index, experience in enumerate(make_experiences(trial, start)):
        model.current = index
        if not trial.details.get("kept"):
            strategy.optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        strategy.train(experience, num_workers=0, shuffle=replayed)
        curve.append(accuracy(model, tasks[: index + 1]))
    return {**asdict(trial), "curve": curve}


@torch.no_grad()
def accuracy(model: Any, tasks: list[DigitTask]) -> float:
    """Return the mean test accuracy, given the task."""

    def answer(index: int, images: np.ndarray) -> np.ndarray:
        logits = model.heads[index](model.trunk(to_floats(images)))
        return np.asarray(logits.argmax(1).numpy())

    return mean_accuracy(answer, tasks)


def declare_operators() -> None:
    """Declare the operators of torchvision if its build does not match torch; nothing uses them."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        make: Any = torch.library.Library
        library = make("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + _SIGNATURE)
        _kept.append(library)  # the operators exist as long as this object


def main() -> None:
    """Run all trials of one JSON list."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    declare_operators()
    folder, trials = Path(sys.argv[1]), [Trial(**values) for values in json.load(sys.stdin)]
    answers, sys.stdout = sys.stdout, sys.stderr  # Avalanche prints its progress
    found = []
    for number, trial in enumerate(trials, 1):
        with np.load(folder / f"{trial.seed}.npz") as start:
            found.append(run(trial, dict(start)))
        sys.stderr.write(f"Avalanche: {number} of {len(trials)}\n")
    json.dump(found, answers)


if __name__ == "__main__":
    main()
