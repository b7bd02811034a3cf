"""Cache the trained biases of experiments on disk, so that an interrupted run can resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.biases.bias_choice import Candidate, Trained
from teachmesh.model.head import Head
from teachmesh_lab.evaluation.latent_cache import LatentCache, image_digests, split_key

if TYPE_CHECKING:
    from teachmesh.biases.bias_plan import BiasPlan
    from teachmesh.biases.bias_task import BiasTask

VERSION = 4
"""Version of the training algorithm; part of cache keys and of the names of bench cells."""


class StoredBiases:
    """A cache of `Trained` values, keyed by everything that they depend on.

    Experiments learn the same task many times; agents learn each task once and need no cache.

    Args:
        cache: cache on disk.
    """

    def __init__(self, cache: LatentCache) -> None:
        self._cache = cache

    def fetch(
        self, task: BiasTask, plan: BiasPlan, head2toe: bool, train: Callable[[], Trained]
    ) -> Trained:
        """Return the cached result for these arguments, or call `train` and cache its result."""
        key = self._key(task, plan, head2toe)
        stored = self._cache.get(key)
        if stored is not None:
            head = Head(stored["weight"], stored["bias"])
            found = Candidate(head, stored["features"])
            return Trained(stored["values"], found, int(stored["macs"][0]))
        made = train()
        arrays = {
            "values": made.values,
            "weight": made.head.head.weight,
            "bias": made.head.head.bias,
            "features": made.head.features,
            "macs": np.array([made.macs], dtype=np.int64),
        }
        self._cache.put(key, arrays)
        return made

    @staticmethod
    def _key(task: BiasTask, plan: BiasPlan, head2toe: bool) -> str:
        digest = hashlib.sha256()
        settings = {"version": VERSION, "seed": task.seed, "base": task.base}
        settings |= {"head2toe": head2toe, **asdict(plan)}
        digest.update(json.dumps(settings, sort_keys=True).encode())
        labels = task.train_labels, task.validation_labels
        for array in (task.start.weight, task.start.bias, *labels):
            digest.update(np.ascontiguousarray(array).tobytes())
        images = image_digests([*task.images.train, *task.images.validation])
        return split_key(f"{task.backbone.fingerprint}|{digest.hexdigest()}", images)
