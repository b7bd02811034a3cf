"""Fit anchors, a head and scores of held-out images to the latents of one task.

- `moments` (default): class moments of the multi-depth latents in closed form, without a head
  or gradient steps.
- `gmmc` (paper, Eq. 3-4): Gaussian clusters of the last layer's latents, and a trained head.
- `maha` (paper, Eq. 5): class means and a few sample latents per class, and a trained head.
- mappers of other packages (`mapping.own_mapper`): their anchor, and a trained head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.biases.bias_head import ridge_head
from teachmesh.errors import DataError
from teachmesh.learning.fit_statistics import FittedMoments, fit_statistics
from teachmesh.learning.split_latents import statistics_of
from teachmesh.learning.variants import NO_CONSTANTS, MapperConstants
from teachmesh.mapping.anchor_kinds import GmmcAnchor, MahaAnchor, MomentsAnchor
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.gmmc import N_CLUSTERS, VARIANCE_FLOOR, fit_gmmc, log_likelihood
from teachmesh.mapping.maha import SAMPLES_PER_CLASS, fit_maha
from teachmesh.mapping.mapper import nearest_mean_familiarity
from teachmesh.mapping.own_mapper import OWN_MAPPERS
from teachmesh.mapping.typicality import HeldOut
from teachmesh.model.head import Head
from teachmesh.model.macs import MacCounter
from teachmesh.reuse.transfer import Prior, Transferred, transfer_head, transfer_moments

if TYPE_CHECKING:
    from teachmesh.learning.settled_task import SettledTask
    from teachmesh.learning.task_statistics import TaskStatistics
    from teachmesh.mapping.anchor import TaskAnchor
    from teachmesh.mapping.metric import Metric
    from teachmesh.model.backbone import Latents
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.model.head_training import FittedHead
    from teachmesh.packet.parent_card import Parent


@dataclass(frozen=True, eq=False)
class Fitted:
    """Result of fitting one task.

    Attributes:
        anchors: anchors of the task, by kind.
        head: the trained head; None if no method needs one.
        validation_accuracy: accuracy with the task given; None without validation images.
        held_out: scores of images that were held out of the fit, by kind of anchor.
        notes: numbers for the card, by name.
        cost_macs: number of multiply-accumulates, excluding the backbone pass.
        warnings: warnings for the card.
        parents: known classes that contributed to the result.
        borrowed: transferred part of class moments: "nothing", "covariance" or "classes".
        fitted_task: images that class moments were fitted to; None without class moments.
    """

    anchors: Mapping[str, TaskAnchor]
    head: Head | None
    validation_accuracy: float | None
    held_out: Mapping[str, HeldOut] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)
    cost_macs: int = 0
    warnings: tuple[str, ...] = ()
    parents: tuple[Parent, ...] = ()
    borrowed: str = "nothing"
    fitted_task: SettledTask | None = None

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all arrays, by their names in a skill."""
        named = {
            f"{kind}.{name}": array
            for kind, anchor in self.anchors.items()
            for name, array in anchor.tensors().items()
        }
        if self.head is not None:
            named |= {"head.weight": self.head.weight, "head.bias": self.head.bias}
        return named | {f"held_out.{kind}": found.tensor() for kind, found in self.held_out.items()}


def fit_method(
    method: str,
    train: LabelledLatents,
    validation: LabelledLatents,
    n_classes: int,
    metric: Metric,
    *,
    also: Sequence[str] = (),
    seed: int = 0,
    prior: Prior | None = None,
    constants: MapperConstants = NO_CONSTANTS,
    last_variance: float = 1.0,
    statistics: TaskStatistics | None = None,
) -> Fitted:
    """Fit the anchors of one or more methods, and a head if one of the methods needs it.

    Args:
        method: the main method, which the card names.
        train: latents and labels of the training images; every class must occur.
        validation: latents and labels of the validation images; may be empty.
        n_classes: number of classes, C.
        metric: metric of the backbone's latents.
        also: further methods whose anchors are added to the skill.
        seed: seed for clusters, samples and batch order.
        prior: prior from the skills of the bank; None to learn without them.
        constants: constants of `gmmc` and `maha`; each method takes its own.
        last_variance: see `Backbone.last_variance`; the unit of the variance floor of `gmmc`.
        statistics: statistics of the images, for class moments; by default, they are made here.

    Raises:
        DataError: a class has no readable training image.
    """
    count_images(train.labels, n_classes)
    kinds = sorted({method, *also})
    moments = None
    if MomentsAnchor.kind in kinds:
        made = statistics or statistics_of(train, validation, n_classes)
        moments = fit_statistics(made, metric)
    fits = _AnchorFits(train, n_classes, metric, seed, constants, last_variance, moments)
    by_kind = {kind: fits.fit(kind) for kind in kinds}
    alone = {kind: anchor for kind, (anchor, _) in by_kind.items()}
    anchor_macs = sum(macs for _, macs in by_kind.values())
    transferred = Transferred()
    anchors, prior_macs = _use_prior(alone, train, n_classes, prior, transferred)
    fitted = _fit_head(kinds, train, validation, n_classes, prior, transferred, seed)
    accuracy = None if fitted is None else fitted.accuracy
    if method == "moments" and moments is not None:
        accuracy = moments.accuracy(moments_of(anchors), metric)
    with MacCounter() as counter:
        held_out = _held_out(anchors, moments, validation, metric)
    head_warnings = () if fitted is None else fitted.warnings
    return Fitted(
        anchors=anchors,
        head=None if fitted is None else fitted.head,
        validation_accuracy=accuracy,
        held_out=held_out,
        notes=transferred.notes,
        cost_macs=anchor_macs
        + prior_macs
        + int(counter.macs)
        + (0 if fitted is None else fitted.macs),
        warnings=(*fits.warnings(kinds), *head_warnings, *transferred.remarks()),
        parents=transferred.sorted_parents(),
        borrowed=transferred.kind,
        fitted_task=None if moments is None else moments.task,
    )


def fit_grown(statistics: TaskStatistics, metric: Metric) -> Fitted:
    """Fit class moments to statistics alone, with the result of `fit_method`.

    Args:
        statistics: statistics of the task.
        metric: metric of the backbone's latents.
    """
    kind, moments = MomentsAnchor.kind, fit_statistics(statistics, metric)
    return Fitted(
        anchors={kind: moments.anchor},
        head=None,
        validation_accuracy=moments.accuracy(moments.anchor, metric),
        held_out={kind: moments.held_out},
        cost_macs=moments.macs,
        fitted_task=moments.task,
    )


def moments_of(anchors: Mapping[str, TaskAnchor]) -> MomentsAnchor:
    """Return the class moments among the anchors of a task."""
    anchor = anchors[MomentsAnchor.kind]
    assert isinstance(anchor, MomentsAnchor)
    return anchor


def count_images(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the number of images of each class as a (C,) int64 array without zeros.

    Args:
        labels: labels of the N readable training images, as an (N,) int64 array.
        n_classes: number of classes, C.

    Raises:
        DataError: a class has no image.
    """
    counts = np.bincount(labels, minlength=n_classes)
    if (counts == 0).any():
        raise DataError(
            f"expected readable training images of every class, found none for "
            f"{int((counts == 0).sum())} of {n_classes}; check the files"
        )
    return counts


@dataclass(frozen=True, eq=False)
class _AnchorFits:
    """Arguments of `fit_method` that the anchors of all methods are fitted with."""

    train: LabelledLatents
    n_classes: int
    metric: Metric
    seed: int
    constants: MapperConstants
    last_variance: float
    moments: FittedMoments | None

    def fit(self, kind: str) -> tuple[TaskAnchor, int]:
        """Return the anchor of one method, and the number of multiply-accumulates."""
        if kind == "gmmc":
            return self._clusters()
        if self.moments is not None and kind == MomentsAnchor.kind:
            return self.moments.anchor, self.moments.macs
        with MacCounter() as counter:
            anchor = self._counted(kind)
        return anchor, int(counter.macs)

    def _clusters(self) -> tuple[TaskAnchor, int]:
        floor = self.constants.variance_floor
        return fit_gmmc(
            self.train.latents.last,
            self.n_classes,
            n_clusters=self.constants.clusters or N_CLUSTERS,
            seed=self.seed,
            floor=VARIANCE_FLOOR if floor is None else floor,
            scale=self.last_variance,
        )

    def _counted(self, kind: str) -> TaskAnchor:
        """Return an anchor whose products are counted while they run."""
        latents, labels, n_classes = self.train.latents, self.train.labels, self.n_classes
        if kind == "maha":
            samples = self.constants.samples_or(SAMPLES_PER_CLASS)
            return fit_maha(
                latents.last, labels, n_classes, samples_per_class=samples, seed=self.seed
            )
        own = OWN_MAPPERS.load(kind)
        read = latents.multi if own.latent == "multi" else latents.last
        anchor: TaskAnchor = own.fit(read, labels, n_classes, self.metric, self.seed)
        return anchor

    def warnings(self, kinds: Sequence[str]) -> tuple[str, ...]:
        """Return remarks about too few images."""
        clusters, images = self.constants.clusters or N_CLUSTERS, len(self.train)
        if "gmmc" not in kinds or images >= clusters:
            return ()
        return (f"only {images} clusters: fewer training images than {clusters}",)


def _use_prior(
    alone: Mapping[str, TaskAnchor],
    train: LabelledLatents,
    n_classes: int,
    prior: Prior | None,
    transferred: Transferred,
) -> tuple[Mapping[str, TaskAnchor], int]:
    """Return anchors that use the prior, if any, and the number of multiply-accumulates."""
    if prior is None:
        return alone, 0
    with MacCounter() as counter:
        anchors = transfer_moments(alone, train, n_classes, prior, transferred)
    return anchors, int(counter.macs)


def _fit_head(
    kinds: Sequence[str],
    train: LabelledLatents,
    validation: LabelledLatents,
    n_classes: int,
    prior: Prior | None,
    transferred: Transferred,
    seed: int,
) -> FittedHead | None:
    """Train the head; return None if no method needs one."""
    if all(kind == MomentsAnchor.kind for kind in kinds):
        return None
    return transfer_head(train, validation, n_classes, prior, transferred, seed)


def _held_out(
    anchors: Mapping[str, TaskAnchor],
    moments: FittedMoments | None,
    validation: LabelledLatents,
    metric: Metric,
) -> dict[str, HeldOut]:
    """Return scores of images that were held out of each fit.

    Moments were fitted again without some training images, in turn. The other anchors are judged
    by validation images.
    """
    found = {}
    for kind, anchor in anchors.items():
        if moments is not None and kind == MomentsAnchor.kind:
            found[kind] = moments.held_out
            continue
        scores = np.zeros(0)
        if len(validation) and isinstance(anchor, GmmcAnchor):
            scores = log_likelihood(anchor, validation.latents.last)
        elif len(validation) and isinstance(anchor, MahaAnchor):
            scores = nearest_mean_familiarity(validation.latents.last, anchor.means)
        elif len(validation):
            scores = _own_familiarity(anchor, validation, metric)
        found[kind] = HeldOut.of(scores)
    return found


def _own_familiarity(anchor: TaskAnchor, validation: LabelledLatents, metric: Metric) -> np.ndarray:
    """Return the (N,) familiarity of validation images with a mapper of another package."""
    mapper = OWN_MAPPERS.load(anchor.kind)(metric)
    mapper.add("task", anchor)
    latents = validation.latents.multi if mapper.latent == "multi" else validation.latents.last
    return mapper.familiarity("task", latents)


START_RIDGE = 3.0
"""Ridge penalty of the head from which the training of biases starts.
With 3, the validation log loss with biases on two tasks (trash, oracle bones) is 0.674 and 0.485;
with 1, it is 0.697 and 0.475."""


def log_within(fitted: Fitted, method: str, latents: Latents, metric: Metric) -> np.ndarray:
    """Return an (N, C) array with the log posterior of each class within the task.

    Args:
        fitted: the fitted task.
        method: the method to classify with.
        latents: latents of N images, N at least 1.
        metric: metric of the backbone's latents.
    """
    anchor = fitted.anchors[method]
    if isinstance(anchor, MomentsAnchor):
        points = metric.apply(latents.multi)
        return log_softmax(points @ anchor.head_rows().T + anchor.head_bias)
    assert fitted.head is not None
    return log_softmax(fitted.head.logits(latents.last))


def linear_within(anchor: MomentsAnchor, metric: Metric) -> Head:
    """Return the head of class moments as a head that reads latents.

    Args:
        anchor: class moments of the task.
        metric: metric of the backbone's latents.
    """
    origin = metric.apply(np.zeros((1, anchor.dim)))  # (1, D)
    columns = metric.apply(np.eye(anchor.dim)) - origin  # (D, D)
    rows = anchor.head_rows()
    bias = anchor.head_bias + rows @ origin[0]
    return Head((rows @ columns.T).astype(np.float32), bias.astype(np.float32))


def start_head(fitted: Fitted, method: str, train: LabelledLatents) -> Head:
    """Return the linear head that bias training starts from; its outputs are log posteriors.

    A trained head is returned unchanged. With `moments`, the head is fitted in closed form with a
    larger penalty than in the skill. If the head fitted the training images perfectly, the biases
    would have nothing left to learn.

    Args:
        fitted: the fitted task.
        method: the method of the skill.
        train: latents and labels of the training images.
    """
    if method != "moments" and fitted.head is not None:
        return fitted.head
    n_classes = fitted.anchors[method].n_classes
    return ridge_head(train.latents.multi, train.labels, n_classes, START_RIDGE)
