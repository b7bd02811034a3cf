"""The mapper obeys the laws of teachmesh."""

from __future__ import annotations

import numpy as np
import pytest
from nearest_mean_mapper import NearestMeanMapper

from teachmesh.mapping.metric import Metric
from teachmesh_lab.evaluation.mapper_laws import LAWS, Law, case_of


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_mapper_obeys_each_law(law: Law) -> None:
    """Order, duplicates, removal, keys, files and bad tensors."""
    law(case_of(NearestMeanMapper))


def test_scores_are_negated_squared_distances() -> None:
    """An image at (3, 4) is 25 away from a mean at the origin, and 9 from one at (0, 4)."""
    metric = Metric.identity(2)
    mapper = NearestMeanMapper(metric)
    for key, mean in (("a", (0, 0)), ("b", (0, 4))):
        rows = np.array([mean], np.float32)
        mapper.add(key, NearestMeanMapper.fit(rows, np.zeros(1, np.int64), 1, metric, 0))
    assert mapper.score(np.array([[3, 4]], np.float32)).task.tolist() == [[-25.0, -9.0]]
