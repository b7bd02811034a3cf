"""Source skills: the skills of a bank from which a new task may transfer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.errors import UsageError
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskMoments, class_means
from teachmesh.model.head_training import HeadStart
from teachmesh.packet.parent_card import Parent
from teachmesh.reuse.matching import MODES, Match, SourceTask, match_classes
from teachmesh.reuse.moments_prior import BankPrior, MatchedClasses
from teachmesh.reuse.text_encoders import NameComparer, check_encoder, choose_encoder
from teachmesh.reuse.transfer import Prior
from teachmesh.reuse.visual_similarity import whitening

if TYPE_CHECKING:
    from teachmesh.mapping.metric import Metric
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.packet.skill import Skill
    from teachmesh.reuse.transfer import TransferPreview


WITHOUT_IMAGE = "put together without an image, from classes of other tasks"
"""Warning on the card of a task that was combined from old classes."""


@dataclass(frozen=True, eq=False)
class SourceSkill:
    """A skill of the bank, with display names.

    Attributes:
        skill_id: id of the skill.
        task: display name of its task.
        alias: alias of its author.
        author: agent id of its author.
        classes: names of its classes in label order.
        load: function that returns the skill with a given id.
    """

    skill_id: str
    task: str
    alias: str
    author: str
    classes: tuple[str, ...]
    load: Callable[[str], Skill]

    @property
    def skill(self) -> Skill:
        """The skill itself."""
        return self.load(self.skill_id)

    def moments(self) -> MomentsAnchor | None:
        """Return the class moments of the skill; None if it has none."""
        anchor = self.skill.anchor(MomentsAnchor.kind)
        return anchor if isinstance(anchor, MomentsAnchor) else None

    @property
    def without_image(self) -> bool:
        """True if the skill was combined from other skills without an image."""
        return WITHOUT_IMAGE in self.skill.card.warnings


def apart_from(sources: Sequence[SourceSkill], own: frozenset[str]) -> tuple[SourceSkill, ...]:
    """Return the sources, except the given skills and all skills derived from these.

    Args:
        sources: source skills to filter.
        own: ids of the skills to exclude.
    """
    excluded, fresh = set(own), set(own)
    while fresh:
        fresh = {
            source.skill_id
            for source in sources
            if any(parent.skill in fresh for parent in source.skill.card.parents)
        } - excluded
        excluded |= fresh
    return tuple(source for source in sources if source.skill_id not in excluded)


def without_copies(sources: Sequence[SourceSkill]) -> tuple[SourceSkill, ...]:
    """Return the sources without combinations whose parents are all among the sources.

    Combinations add no information: the images and covariances of their parents would count twice.
    """
    present = {source.skill_id for source in sources}
    return tuple(
        source
        for source in sources
        if not source.without_image
        or any(parent.skill not in present for parent in source.skill.card.parents)
    )


@dataclass(frozen=True)
class MatchReport:
    """Matches of a new task with the source skills.

    Attributes:
        task: name of the new task.
        encoder: name of the text encoder, or "names" if none was used; None if only visual
            similarity was compared.
        classes: class names in label order.
        matches: matches of each class, best first.
        n_known: number of old tasks that were compared.
        by_looks: True if class means were compared.
        mode: matching mode, one of `reuse.matching.MODES`.
        preview: parts that `learn --reuse` would transfer; None if no image was opened.
        skipped: number of unreadable images.
        skipped_reasons: for each unreadable image, one sentence with the reason.
    """

    task: str
    encoder: str | None
    classes: tuple[str, ...]
    matches: tuple[tuple[Match, ...], ...]
    n_known: int
    by_looks: bool
    mode: str
    preview: TransferPreview | None = None
    skipped: int = 0
    skipped_reasons: tuple[str, ...] = ()

    @property
    def n_matched(self) -> int:
        """Number of classes with a match."""
        return sum(bool(row) for row in self.matches)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of `teachmesh match --json`."""
        return {
            "schema": "teachmesh.match/1",
            "encoder": self.encoder,
            "classes": [
                {"class": name, "matches": [match.to_json() for match in row]}
                for name, row in zip(self.classes, self.matches, strict=True)
            ],
            "saves": None if self.preview is None else self.preview.to_json(),
            "skipped": self.skipped,
        }


@dataclass(eq=False)
class SourceSkills:
    """The source skills of a bank, ready to be matched with new tasks.

    Args:
        sources: the skills, in canonical order.
        comparer: comparer for class names.
        mode: matching mode, one of `reuse.matching.MODES`.
        metric: function that returns the metric of the backbone's latents; None to match names
            only.
    """

    sources: Sequence[SourceSkill]
    comparer: NameComparer
    mode: str = "auto"
    metric: Callable[[], Metric] | None = None
    _covariance: np.ndarray | None = field(default=None, init=False)
    _transform: np.ndarray | None = field(default=None, init=False)

    def _metric(self) -> Metric:
        if self.metric is None:
            raise ValueError("expected a metric for matching images, got none")
        return self.metric()

    @property
    def encoder(self) -> str | None:
        """Name of the text encoder, or "names" if none is used; None in the mode "vision"."""
        return None if self.mode == "vision" else self.comparer.name

    @classmethod
    def of(
        cls,
        sources: Callable[[], Sequence[SourceSkill]],
        metric: Callable[[], Metric],
        mode: str,
        encoder: str,
    ) -> SourceSkills | None:
        """Return the source skills for a matching mode, or None for the mode "none".

        Args:
            sources: function that returns the skills; called only if the skills are needed.
            metric: function that returns the metric of the backbone's latents.
            mode: one of `reuse.matching.MODES`, or "none".
            encoder: name of an encoder for `reuse.text_encoders.choose_encoder`; not loaded in the
                mode "vision".

        Raises:
            UsageError: the mode or the encoder is unknown.
        """
        check_encoder(encoder)
        if mode == "none":
            return None
        if mode not in MODES:
            raise UsageError(f"expected to match by {', '.join(MODES)} or none, got {mode!r}")
        comparer = choose_encoder("names" if mode == "vision" else encoder)
        return cls(sources(), comparer, mode, metric)

    def source_tasks(self) -> tuple[SourceTask, ...]:
        """Return the old tasks with their class means."""
        tasks = []
        for source in self.sources:
            moments = source.moments()
            means = None if moments is None else moments.class_means()
            tasks.append(
                SourceTask(source.skill_id, source.task, source.alias, source.classes, means)
            )
        return tuple(tasks)

    def covariance(self) -> np.ndarray | None:
        """Return the (D, D) float64 mean within-class covariance; None if no skill has moments."""
        if self._covariance is None:
            anchors = [moments for s in self.sources if (moments := s.moments()) is not None]
            if anchors:
                self._covariance = mean_covariance(anchors)
        return self._covariance

    def transform(self) -> np.ndarray | None:
        """Return the (D, D) float64 map to the space where `covariance` is the identity."""
        covariance = self.covariance()
        if self._transform is None and covariance is not None:
            self._transform = whitening(covariance)
        return self._transform

    def match(
        self, task: str, classes: Sequence[str], train: LabelledLatents | None
    ) -> MatchReport:
        """Match the classes of a new task with the source skills.

        Args:
            task: name of the new task.
            classes: class names in label order.
            train: latents of the task's shots, at least one per class; None to use names only.
        """
        means = None
        if train is not None and self.mode != "text" and self.covariance() is not None:
            points = self._metric().apply(train.latents.multi)
            means = class_means(points, train.labels, len(classes))
        transform = None if means is None else self.transform()
        tasks = self.source_tasks()
        matches = match_classes(
            classes, tasks, self.comparer, means=means, transform=transform, mode=self.mode
        )
        return MatchReport(
            task=task,
            encoder=self.encoder,
            classes=tuple(classes),
            matches=matches,
            n_known=len(tasks),
            by_looks=means is not None,
            mode=self.mode,
        )

    def prior_of(self, report: MatchReport, train: LabelledLatents) -> Prior:
        """Collect the priors for class moments and for a trained head from the matched classes.

        Args:
            report: result of `match`.
            train: latents of the new task's shots.
        """
        dim, last_dim = train.latents.multi.shape[1], train.latents.last.shape[1]
        bank: list[TaskMoments] = []
        matched: list[MatchedClasses] = []
        parents: list[Parent] = []
        for source in self.sources:
            moments = source.moments()
            if moments is None or moments.dim != dim:
                continue
            bank.append(moments.moments())
            pairs = _pairs_with(report, source.skill_id)
            if not pairs:
                continue
            new, old = np.array([i for i, _ in pairs]), [m.label for _, m in pairs]
            rows = moments.head_rows()[old]
            matched.append(MatchedClasses(new, moments.class_means()[old], rows))
            parents += [_parent(report, i, match) for i, match in pairs]
        bank_prior = BankPrior(tuple(bank), self._metric(), tuple(matched)) if bank else None
        start, head_parents = self._head_start(report, last_dim)
        return Prior(bank_prior, start, tuple(parents), head_parents)

    def _head_start(
        self, report: MatchReport, last_dim: int
    ) -> tuple[HeadStart | None, tuple[Parent, ...]]:
        """Collect one head row per class: from the best match whose skill has a trained head."""
        skills = {source.skill_id: source.skill for source in self.sources}
        heads = {skill_id: skill.head() for skill_id, skill in skills.items()}
        chosen: list[tuple[int, Match]] = []
        for i, row in enumerate(report.matches):
            for match in row:
                head = heads[match.skill_id]
                if head is not None and head.weight.shape[1] == last_dim:
                    chosen.append((i, match))
                    break
        if not chosen:
            return None, ()
        weights, biases = [], []
        for _, match in chosen:
            head = heads[match.skill_id]
            assert head is not None
            weights.append(head.weight[match.label])
            biases.append(head.bias[match.label])
        start = HeadStart(np.array([i for i, _ in chosen]), np.stack(weights), np.array(biases))
        return start, tuple(_parent(report, i, match) for i, match in chosen)


def mean_covariance(anchors: Sequence[MomentsAnchor]) -> np.ndarray:
    """Return the (D, D) float64 mean of the tasks' covariances in the metric's space."""
    total = np.zeros((anchors[0].dim, anchors[0].dim))
    for anchor in anchors:
        roots = anchor.roots()
        total += roots.T @ roots
        total[np.diag_indices_from(total)] += float(anchor.rest[0])
    return total / len(anchors)


def _pairs_with(report: MatchReport, skill_id: str) -> list[tuple[int, Match]]:
    return [
        (i, match)
        for i, row in enumerate(report.matches)
        for match in row
        if match.skill_id == skill_id
    ]


def _parent(report: MatchReport, label: int, match: Match) -> Parent:
    return Parent(report.classes[label], match.skill_id, match.class_name)
