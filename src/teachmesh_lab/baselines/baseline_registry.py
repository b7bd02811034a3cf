"""All baselines by name, and one function per kind of baseline to run it over a stream.

Trained baselines get pixels and train a whole network with one head per task. At test time they are
told the task of each image, as in the paper (Sec. 6). Frozen baselines get latents of a backbone;
they answer both with and without knowing the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from teachmesh.data.entry_points import BASELINES_GROUP, EntryPoints
from teachmesh.data.loader import Progress
from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError
from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper
from teachmesh_lab.baselines.baseline_nets import NetFactory, build_net, small_net
from teachmesh_lab.baselines.choose_hyperparameters import CHOICE_TASKS, Trial, choose, narrow
from teachmesh_lab.baselines.closed_forms import FROZEN, choose_frozen
from teachmesh_lab.baselines.er import ExperienceReplay
from teachmesh_lab.baselines.ewc import Ewc
from teachmesh_lab.baselines.fine_tune import FineTune
from teachmesh_lab.baselines.frozen import FrozenBaseline, run_latents
from teachmesh_lab.baselines.image_stream import LatentTask, PixelTask, check_stream
from teachmesh_lab.baselines.joint import Joint
from teachmesh_lab.baselines.lwf import Lwf
from teachmesh_lab.baselines.mas import Mas
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.online_ewc import OnlineEwc
from teachmesh_lab.baselines.own_baseline import AnyBaseline, check_baseline
from teachmesh_lab.baselines.parallel_supsup import ParallelSupsup
from teachmesh_lab.baselines.psp import Psp
from teachmesh_lab.baselines.si import SynapticIntelligence
from teachmesh_lab.baselines.stream_result import Choice, StreamResult
from teachmesh_lab.baselines.supsup import Supsup
from teachmesh_lab.baselines.training_loop import (
    AfterTask,
    Schedule,
    Trace,
    run_stream,
)

_Kind = TypeVar("_Kind")
_TRAINED: dict[str, type[Baseline]] = {
    "fine-tune": FineTune,
    "joint": Joint,
    "ewc": Ewc,
    "online-ewc": OnlineEwc,
    "si": SynapticIntelligence,
    "mas": Mas,
    "lwf": Lwf,
    "er": ExperienceReplay,
    "psp": Psp,
    "supsup": Supsup,
    "parallel-supsup": ParallelSupsup,
}


@dataclass(frozen=True)
class BaselineInfo:
    """Properties of a baseline.

    Attributes:
        name: name on the command line and in results.
        kind: "trained" (on pixels) or "frozen" (on latents).
        oracle: whether it is told the task at test time; frozen baselines are measured both
            with and without knowing the task.
        parallel: whether agents can learn tasks independently and exchange the results.
        answers_once: whether each image is classified only once, because later tasks cannot change
            the answer. Other baselines classify all learned tasks' images again after each task.
        source: publication of the method.
        grid: candidate values of each hyper-parameter; a single value is not tuned.
    """

    name: str
    kind: Literal["trained", "frozen"]
    oracle: bool
    parallel: bool
    answers_once: bool
    source: str
    grid: Grid


OWN_BASELINES = EntryPoints(BASELINES_GROUP, "baseline", check_baseline, (*_TRAINED, *FROZEN))
"""Baselines of other packages, by name."""


def _info(name: str, kind: AnyBaseline) -> BaselineInfo:
    if issubclass(kind, FrozenBaseline):
        return BaselineInfo(name, "frozen", False, True, False, kind.source, kind.grid)
    once = kind.isolated or kind.together
    return BaselineInfo(name, "trained", True, kind.parallel, once, kind.source, kind.grid)


class KnownBaselines(dict[str, BaselineInfo]):
    """Properties of the baselines of teachmesh; other packages' baselines are found by name.

    Only the baselines of teachmesh are listed, so that no package is loaded without need.
    """

    def __missing__(self, name: str) -> BaselineInfo:
        if name not in OWN_BASELINES.names():
            raise KeyError(name)
        return _info(name, OWN_BASELINES.load(name))


_KINDS: dict[str, AnyBaseline] = {**_TRAINED, **FROZEN}
BASELINES = KnownBaselines({name: _info(name, kind) for name, kind in _KINDS.items()})


def trained_baseline(name: str, net: MultiHead, hyper: Hyper, *, seed: int) -> Baseline:
    """Make a fresh trained baseline, for a custom training loop.

    Args:
        name: name of the baseline.
        net: network without heads; the baseline changes it.
        hyper: a value for every hyper-parameter with several candidates in the baseline's grid.
        seed: seed for all random numbers.

    Raises:
        UsageError: the baseline is unknown.
    """
    return _find(_TRAINED, name)(net, hyper, seed)


def run_trained(
    name: str,
    stream: Sequence[PixelTask],
    net_factory: NetFactory = small_net,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    rate: float = 1e-3,
    hyper: Mapping[str, float] | None = None,
    seed: int = 0,
    choice_tasks: int = CHOICE_TASKS,
    running_norms: bool = False,
    progress: Progress | None = None,
    after_task: AfterTask | None = None,
) -> StreamResult:
    """Run a trained baseline over a stream of tasks.

    Two calls with equal arguments give equal answers, bit for bit, on the CPU of one machine with
    the same number of threads.

    Args:
        name: name of the baseline.
        stream: tasks to learn, in order; all images have the same size.
        net_factory: function from a seed to a network, as described in `baseline_nets`.
        epochs: number of passes over each task's images.
        batch_size: number of images per step.
        rate: learning rate of Adam.
        hyper: hyper-parameters with given values; the others are tuned.
        seed: seed for all random numbers.
        choice_tasks: number of tasks, from the start of the stream, used to tune hyper-parameters.
        running_norms: whether batch norms learn statistics (see `MultiHead`).
        progress: called with (tasks done, total tasks) after each task, but not during tuning.
        after_task: called after each task with its position and the answers for all tasks so far.

    Raises:
        UsageError: the baseline or a hyper-parameter is unknown, or a setting is invalid.
        DataError: the stream cannot be learned, or validation images for tuning are missing.
        BackboneError: the network does not return (N, D) latents.
    """
    kind = _find(_TRAINED, name)
    check_stream(stream)
    schedule = Schedule(epochs, batch_size, rate)

    def fresh(candidate: Hyper) -> Baseline:
        trunk = build_net(net_factory, seed)
        net = MultiHead(trunk, stream[0].size, seed, running_norms=running_norms)
        return trained_baseline(name, net, candidate, seed=seed)

    first = stream[: max(1, choice_tasks)]
    choice = choose(
        narrow(kind.grid, hyper or {}, name),
        lambda candidate: _trial(run_stream(fresh(candidate), first, schedule)),
        len(first),
    )
    baseline = fresh(choice.hyper)
    trace = run_stream(baseline, stream, schedule, progress=progress, after_task=after_task)
    settings = {"epochs": epochs, "batch_size": batch_size, "rate": rate, "size": stream[0].size}
    settings["parameters"] = baseline.net.numbers
    return _result(name, stream, seed, trace, choice, settings)


def run_frozen(
    name: str,
    stream: Sequence[LatentTask],
    *,
    hyper: Mapping[str, float] | None = None,
    seed: int = 0,
    choice_tasks: int = CHOICE_TASKS,
    progress: Progress | None = None,
    after_task: AfterTask | None = None,
) -> StreamResult:
    """Run a frozen baseline over a stream of latents. Costs of the backbone are not included.

    Args:
        name: name of the baseline.
        stream: tasks to learn, in order; all latents come from one backbone.
        hyper: hyper-parameters with given values; the others are tuned.
        seed: seed for all random numbers.
        choice_tasks: number of tasks, from the start of the stream, used to tune hyper-parameters.
        progress: called with (tasks done, total tasks) after each task, but not during tuning.
        after_task: called after each task with its position and the answers for all tasks so far.

    Raises:
        UsageError: the baseline or a hyper-parameter is unknown.
        DataError: the stream cannot be learned, or validation images for tuning are missing.
    """
    kind = _find(FROZEN, name)
    check_stream(stream)
    choice = choose_frozen(name, stream[: max(1, choice_tasks)], hyper=hyper, seed=seed, kind=kind)
    baseline = kind(stream[0].train.latents.shape[1], choice.hyper, seed)
    trace = run_latents(baseline, stream, progress=progress, after_task=after_task)
    return _result(name, stream, seed, trace, choice, {})


def _trial(trace: Trace) -> Trial:
    return Trial(trace.validation.last_mean("oracle"), trace.costs.total_macs)


def _result(
    name: str,
    stream: Sequence[PixelTask] | Sequence[LatentTask],
    seed: int,
    trace: Trace,
    choice: Choice,
    settings: Mapping[str, float],
) -> StreamResult:
    return StreamResult(
        name=name,
        tasks=tuple(task.name for task in stream),
        seed=seed,
        test=trace.test,
        validation=trace.validation,
        costs=trace.costs,
        choice=choice,
        settings=settings,
        answers=trace.answers,
    )


def _find(known: Mapping[str, type[_Kind]], name: str) -> type[_Kind]:
    if name in known:
        return known[name]
    offered = OWN_BASELINES.names()
    base = Baseline if known is _TRAINED else FrozenBaseline
    if name in offered and issubclass(found := OWN_BASELINES.load(name), base):
        return cast("type[_Kind]", found)
    names = [*known, *offered]
    raise UsageError(
        f"expected a baseline out of {', '.join(names)}, got {name!r}{did_you_mean(name, names)}"
    )
