"""Training loop of all trained baselines: learn a task, classify the images of all tasks so far.

Every task is trained with a fresh Adam for a fixed number of epochs, without augmentation or a
learning-rate schedule, as in the authors' code (Adam 1e-3, batches of 32). Validation images only
serve to tune hyper-parameters (`choose_hyperparameters`), and test images only to score answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from teachmesh.data.loader import Progress
from teachmesh.errors import UsageError
from teachmesh.model.head_training import Adam
from teachmesh_lab.baselines.baseline import Baseline, BatchPart
from teachmesh_lab.baselines.image_stream import LatentTask, PixelSplit, PixelTask
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.stream_result import (
    Accuracy,
    Answers,
    StreamCosts,
    TaskAnswers,
    size_by_part,
)

AfterTask = Callable[[int, Answers], None]
_ANSWER_BATCH = 64


@dataclass(frozen=True)
class Schedule:
    """Training settings of one task.

    Attributes:
        epochs: number of passes over a task's images.
        batch_size: number of images per step.
        rate: learning rate of Adam.

    Raises:
        UsageError: a number is out of range.
    """

    epochs: int
    batch_size: int
    rate: float

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.rate > 0:
            raise UsageError(
                f"expected at least 1 epoch, 1 image per batch and a rate above 0, got "
                f"{self.epochs}, {self.batch_size} and {self.rate}"
            )


@dataclass(frozen=True, eq=False)
class Trace:
    """Results of a run over a stream, without the baseline's name and settings.

    Attributes:
        test: accuracy on test images.
        validation: accuracy on validation images.
        answers: answers after the last task.
        costs: costs of the run.
    """

    test: Accuracy
    validation: Accuracy
    answers: Answers
    costs: StreamCosts


def run_stream(
    baseline: Baseline,
    stream: Sequence[PixelTask],
    schedule: Schedule,
    *,
    progress: Progress | None = None,
    after_task: AfterTask | None = None,
) -> Trace:
    """Learn all tasks in order; after each task, classify the images of all tasks so far.

    Args:
        baseline: new baseline that has learned nothing.
        stream: tasks to learn, in order.
        schedule: training settings.
        progress: called with (tasks done, total tasks) after each task.
        after_task: called after each task with its position and the answers for all tasks so far.
            If all tasks are learned together, there is one call, with the last position.
    """
    n_tasks, costs = len(stream), baseline.net.costs
    test, validation = Accuracy.empty(n_tasks), Accuracy.empty(n_tasks)
    forward, backward, learn_s = [0] * n_tasks, [0] * n_tasks, [0.0] * n_tasks
    test_s = 0.0
    answers: Answers | None = None
    for group in _groups(baseline, n_tasks):
        before, started_s = (costs.forward, costs.backward), time.perf_counter()
        _learn_group(baseline, stream, group, schedule)
        last = group[-1]
        # Costs of tasks that are learned together are recorded for the last task.
        forward[last], backward[last] = costs.forward - before[0], costs.backward - before[1]
        learn_s[last] = time.perf_counter() - started_s
        started_s = time.perf_counter()
        answers = answer_all(baseline, stream, last, answers)
        test_s += time.perf_counter() - started_s
        enter(answers, stream, test, validation)
        if after_task is not None:
            after_task(last, answers)
        if progress is not None:
            progress(last + 1, n_tasks)
    assert answers is not None
    spent = StreamCosts(
        forward_macs=tuple(forward),
        backward_macs=tuple(backward),
        consolidate_macs=0,
        test_macs=costs.test,
        learn_s=tuple(learn_s),
        test_s=test_s,
        hand_over_bytes=size_by_part(baseline.state()),
        task_bytes=_task_bytes(baseline, n_tasks),
    )
    return Trace(test, validation, answers, spent)


def enter(
    answers: Answers,
    stream: Sequence[PixelTask] | Sequence[LatentTask],
    test: Accuracy,
    validation: Accuracy,
) -> None:
    """Score the answers after a task and store the accuracies in the matrices of both splits."""
    last = answers.after
    for index in range(last + 1):
        test.score(last, index, answers.test[index], stream[index].test.labels)
        known = stream[index].validation.labels
        validation.score(last, index, answers.validation[index], known)


def _task_bytes(baseline: Baseline, n_tasks: int) -> tuple[int, ...] | None:
    sizes = [baseline.task_bytes(index) for index in range(n_tasks)]
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == n_tasks else None


def _groups(baseline: Baseline, n_tasks: int) -> list[list[int]]:
    if baseline.together:
        return [list(range(n_tasks))]
    return [[index] for index in range(n_tasks)]


def _learn_group(
    baseline: Baseline, stream: Sequence[PixelTask], group: Sequence[int], schedule: Schedule
) -> None:
    for index in group:
        baseline.begin(index, stream[index])
    learn(baseline, group, schedule)
    for index in group:
        baseline.end(index)


def learn(baseline: Baseline, indices: Sequence[int], schedule: Schedule) -> None:
    """Train on tasks for which `begin` was called.

    Args:
        baseline: baseline that holds the images of these tasks.
        indices: positions of the tasks; a batch mixes the images of all of them.
        schedule: training settings.
    """
    generator = make_generator(baseline.seed, "order", indices[0])
    optimizers = [Adam(parameter, divide=True) for parameter in baseline.parameters(indices)]
    rate = schedule.rate * baseline.rate_factor
    sizes = {index: len(baseline.data[index]) for index in indices}
    for index in indices:
        baseline.warm_up(index, schedule.batch_size, rate)
    for _ in range(schedule.epochs):
        for parts in _batches(sizes, schedule.batch_size, generator):
            for optimizer in optimizers:
                optimizer.parameter.grad = None
            baseline.net.set_learning(True)
            baseline.batch_loss(parts).backward()  # type: ignore[no-untyped-call]
            baseline.net.set_learning(False)
            baseline.before_step()
            for optimizer in optimizers:
                # Parameters without a gradient, such as other tasks' heads, are not changed.
                if optimizer.parameter.grad is not None:
                    optimizer.step(optimizer.parameter.grad, rate)
            baseline.after_step()


def _batches(
    sizes: Mapping[int, int], batch_size: int, generator: torch.Generator
) -> Iterator[list[BatchPart]]:
    """Yield the batches of one epoch over all tasks; every image occurs once, in random order."""
    tasks = torch.cat([torch.full((size,), index) for index, size in sizes.items()])
    rows = torch.cat([torch.arange(size) for size in sizes.values()])
    for drawn in torch.split(torch.randperm(len(rows), generator=generator), batch_size):
        yield [
            (index, rows[drawn[tasks[drawn] == index]])
            for index in sizes
            if bool((tasks[drawn] == index).any())
        ]


@torch.no_grad()
def answer_all(
    baseline: Baseline, stream: Sequence[PixelTask], last: int, former: Answers | None = None
) -> Answers:
    """Classify the test and validation images of tasks 0 to `last`.

    Args:
        baseline: baseline that has learned these tasks.
        stream: all tasks of the stream.
        last: position of the last learned task.
        former: answers after the previous task; they are reused if later tasks cannot change them.
    """
    start = len(former.test) if former is not None and baseline.answers_stay else 0
    test = list(former.test[:start]) if former is not None else []
    validation = list(former.validation[:start]) if former is not None else []
    for index in range(start, last + 1):
        test.append(_answer(baseline, stream[index].test, index, last))
        validation.append(_answer(baseline, stream[index].validation, index, last))
    return Answers(last, tuple(test), tuple(validation))


def _answer(baseline: Baseline, split: PixelSplit, index: int, last: int) -> TaskAnswers:
    net = baseline.net
    baseline.select(index)
    if not baseline.shares_trunk:
        images = torch.from_numpy(split.images)
        return TaskAnswers(_classes(baseline, images, index), _inferred(baseline, images))
    heads = list(range(last + 1))
    widths = [net.classes(head) for head in heads]
    net.costs.test_pass(len(split), sum(widths))
    scores = [
        torch.cat([net.logits(latents, head) for head in heads], 1).cpu()
        for part in torch.split(torch.from_numpy(split.images), _ANSWER_BATCH)
        if len(part)
        for latents in [net.latents(part)]
    ]
    joined = torch.cat(scores) if scores else torch.zeros(0, sum(widths))
    return decide(joined.numpy(), heads, widths, index)


def _classes(baseline: Baseline, images: Tensor, index: int) -> np.ndarray:
    """Return the (N,) classes of images under one task, after `select` for this task."""
    net = baseline.net
    net.costs.test_pass(len(images), net.classes(index))
    found = [
        net.logits(net.latents(part), index).argmax(1).cpu()
        for part in torch.split(images, _ANSWER_BATCH)
        if len(part)
    ]
    return np.asarray(torch.cat([*found, torch.zeros(0, dtype=torch.int64)]).numpy())


def _inferred(baseline: Baseline, images: Tensor) -> np.ndarray | None:
    """Return (N, 2) tasks and classes, with the task inferred; None without an inference."""
    tasks = baseline.infer(images)
    if tasks is None:
        return None
    classes = np.zeros_like(tasks)
    for index in np.unique(tasks).tolist():
        baseline.select(index)
        mine = tasks == index
        classes[mine] = _classes(baseline, images[torch.from_numpy(mine)], index)
    return np.stack([tasks, classes], axis=1)


def decide(
    scores: np.ndarray,
    tasks: Sequence[int],
    widths: Sequence[int],
    index: int,
) -> TaskAnswers:
    """Derive answers from class scores of several tasks.

    Args:
        scores: (N, sum of widths) class scores, grouped by task.
        tasks: positions of the tasks in the stream.
        widths: number of classes of each task.
        index: position of the right task, as known to the oracle.
    """
    starts = np.cumsum([0, *widths])
    place = list(tasks).index(index)
    own = scores[:, starts[place] : starts[place + 1]]
    oracle = own.argmax(1).astype(np.int64)
    best = scores.argmax(1)
    owner = np.searchsorted(starts, best, side="right") - 1
    found = np.stack([np.asarray(tasks)[owner], best - starts[owner]], axis=1)
    return TaskAnswers(oracle, found.astype(np.int64))
