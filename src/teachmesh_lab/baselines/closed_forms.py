"""All closed-form methods by name, and the choice of their hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from teachmesh_lab.baselines.baseline import Hyper
from teachmesh_lab.baselines.choose_hyperparameters import Trial, choose, narrow, points
from teachmesh_lab.baselines.fecam import FeCam
from teachmesh_lab.baselines.frozen import FrozenBaseline, learn_latents, try_latents
from teachmesh_lab.baselines.gaussian_heads import LdaHead, NaiveBayesHead, QdaHead
from teachmesh_lab.baselines.image_stream import LatentTask
from teachmesh_lab.baselines.layup import LayUp
from teachmesh_lab.baselines.lr_rgda import LowRankDiscriminant
from teachmesh_lab.baselines.ncm import NearestClassMean
from teachmesh_lab.baselines.ranpac import RanPac
from teachmesh_lab.baselines.slda import StreamingLda
from teachmesh_lab.baselines.stream_result import Choice

CLOSED_FORMS: dict[str, type[FrozenBaseline]] = {
    "ncm": NearestClassMean,
    "slda": StreamingLda,
    "layup": LayUp,
    "ranpac": RanPac,
    "gh-nb": NaiveBayesHead,
    "gh-lda": LdaHead,
    "gh-qda": QdaHead,
    "fecam": FeCam,
    "lr-rgda": LowRankDiscriminant,
}
MULTI = "-multi"
"""Ending of the names of closed-form methods that read multi-depth latents, as `moments` does.

Without it, they read the paper's latents: the pooled last layer.
"""
FROZEN: dict[str, type[FrozenBaseline]] = {
    name + ending: kind for name, kind in CLOSED_FORMS.items() for ending in ("", MULTI)
}


def choose_frozen(
    name: str,
    first: Sequence[LatentTask],
    *,
    hyper: Mapping[str, float] | None = None,
    seed: int = 0,
    kind: type[FrozenBaseline] | None = None,
) -> Choice:
    """Choose the hyper-parameters of a frozen baseline on validation images, without an oracle.

    Args:
        name: name of the baseline.
        first: tasks to learn, of which the validation images decide.
        hyper: hyper-parameters with given values; the others are tuned.
        seed: seed for all random numbers.
        kind: class of the baseline; by default that of the closed form with this name.

    Raises:
        UsageError: a hyper-parameter is unknown.
        DataError: there are no validation images.
    """
    trials = _Trials(kind or FROZEN[name], first, seed)
    return choose(narrow(trials.kind.grid, hyper or {}, name), trials, len(first))


class _Trials:
    """Trials of one frozen baseline; candidates that differ only in `late` values learn once."""

    def __init__(self, kind: type[FrozenBaseline], first: Sequence[LatentTask], seed: int) -> None:
        self.kind, self.first, self.seed = kind, first, seed
        self._learned: tuple[Hyper, FrozenBaseline] | None = None

    def __call__(self, values: Hyper) -> Trial:
        early = {key: value for key, value in values.items() if key not in self.kind.late}
        macs = 0
        if self._learned is None or self._learned[0] != early:
            baseline = self.kind(self.first[0].train.latents.shape[1], values, self.seed)
            macs = learn_latents(baseline, self.first)
            self._learned = early, baseline
        baseline = self._learned[1]
        baseline.hyper = dict(values)
        trial = try_latents(baseline, self.first)
        return Trial(trial.accuracy, macs + trial.macs)


def final_accuracy(
    name: str, stream: Sequence[LatentTask], hyper: Hyper, *, seed: int = 0
) -> float:
    """Return the mean test accuracy of a frozen baseline after all tasks, without an oracle.

    Args:
        name: name of the baseline.
        stream: tasks to learn.
        hyper: a value for every hyper-parameter.
        seed: seed for all random numbers.
    """
    baseline = FROZEN[name](stream[0].train.latents.shape[1], hyper, seed)
    learn_latents(baseline, stream)
    return try_latents(baseline, stream, "test").accuracy


def learnings(name: str) -> int:
    """Return how often a choice learns the first tasks: 0 if there is only one candidate.

    Args:
        name: name of a frozen baseline.
    """
    kind = FROZEN[name]
    if len(points(kind.grid)) == 1:
        return 0
    return len(points({key: v for key, v in kind.grid.items() if key not in kind.late}))
