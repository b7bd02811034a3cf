"""Names propose, looks confirm: which classes of like names look alike as well.

Two tasks are judged by all their named classes together, for one class alone says little: under
the null (homonyms) a contrast is a standard normal number, so that of k classes the mean has a
standard error of 1 / sqrt(k). Then each class has to keep in line with its mates: six true names
must not carry a homonym. Where a task has few classes its contrast says nothing (of two by two
classes it is always +1 or -1), and the cosine itself decides.

The thresholds were chosen on training images, see docs/results/reuse.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachmesh.reuse.visual_similarity import Likeness

STANDARD_ERRORS = 2.0
"""By how many the mean contrast has to exceed that of homonyms."""
CONTRAST = 0.6
"""Least mean contrast, however many classes there are."""
CLASS_CONTRAST = -1.0
"""Least contrast of each class."""
OUT_OF_LINE = 3.5
"""Standard deviations by which a class that does not look alike may lie below its mates."""
MATES = 3
"""So many say what is in line."""
FEW_CLASSES = 4
"""A task of fewer is judged by its cosines."""
FEW_COSINE = 0.10
"""Least mean cosine then: 5 % of homonyms of two or three classes pass, half by contrast alone."""
FEW_CONTRAST = 0.95
"""Least mean contrast then."""
_LEAST_SPREAD = 0.4


def confirm(named: Sequence[tuple[int, int]], likeness: Likeness) -> list[tuple[int, int]]:
    """The pairs of like names that look alike; none if they do not as a whole.

    Args:
        named: (class of one task, class of the other) of like names.
        likeness: of these two tasks.
    """
    if not named:
        return []
    rows, columns = np.array(named).T
    contrast, cosine = likeness.contrast[rows, columns], likeness.cosine[rows, columns]
    if min(likeness.cosine.shape) < FEW_CLASSES:
        alike = cosine.mean() >= FEW_COSINE and contrast.mean() >= FEW_CONTRAST
    else:
        alike = contrast.mean() >= max(CONTRAST, STANDARD_ERRORS / np.sqrt(len(named)))
    if not alike:
        return []
    return [pair for pair, fits in zip(named, _in_line(contrast), strict=True) if fits]


def _in_line(contrast: np.ndarray) -> list[bool]:
    """For each of (K,) contrasts whether it is one of a kind with the others."""
    fits = []
    for k, value in enumerate(contrast):
        mates = np.delete(contrast, k)
        strange = value < CLASS_CONTRAST
        if len(mates) >= MATES and value < mates.mean() / 2:  # nearer to homonyms than to its mates
            spread = max(float(mates.std()), _LEAST_SPREAD)
            strange = strange or value < mates.mean() - OUT_OF_LINE * spread
        fits.append(not strange)
    return fits
