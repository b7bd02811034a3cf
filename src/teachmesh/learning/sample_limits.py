"""Check, before the first image is embedded, that the samples of `maha` fit into a skill."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from teachmesh.data.tasks import Task
from teachmesh.errors import UsageError
from teachmesh.learning.variants import MapperConstants
from teachmesh.mapping.maha import SAMPLES_PER_CLASS
from teachmesh.packet.limits import DEFAULT_LIMITS, MIB

_NUMBER_BYTES, _LABEL_BYTES = 4, 2


def check_sample_limits(
    task: Task, methods: Collection[str], constants: MapperConstants, last_dim: int | None
) -> None:
    """Check the number and the size of the samples that a skill would contain.

    Args:
        task: the task to learn.
        methods: task mappers whose anchors the skill gets; only `maha` has samples.
        constants: constants of the task mappers.
        last_dim: size of the last layer's latents, D; None if it is unknown.

    Raises:
        UsageError: peers would refuse the skill.
    """
    if "maha" not in methods:
        return
    counts = np.bincount(task.train.labels, minlength=len(task.classes))
    samples = np.minimum(counts, constants.samples_or(SAMPLES_PER_CLASS))
    if (most := int(samples.max())) > DEFAULT_LIMITS.samples:
        name = task.classes[int(samples.argmax())]
        raise UsageError(
            f"expected at most {DEFAULT_LIMITS.samples} samples of each class in a skill, got "
            f"{most} of {name!r} in {task.name!r}; use a smaller number than 'all'"
        )
    size_bytes = int(samples.sum()) * (_NUMBER_BYTES * (last_dim or 0) + _LABEL_BYTES)
    if size_bytes > DEFAULT_LIMITS.file_bytes:
        raise UsageError(
            f"expected a skill of at most {DEFAULT_LIMITS.file_bytes // MIB} MiB, got "
            f"{size_bytes / MIB:.1f} MiB of samples in {task.name!r}; use fewer samples per class"
        )
