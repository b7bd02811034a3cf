"""`layup`: ridge regression on latents of several layers.

With h the latent itself, class scores are h (G + r g I)^-1 Q (`gram_ridge`). LayUP reads several
layers of a network, so `layup-multi` is the published method. On the last layer alone, `layup` is
plain ridge regression.

Differences from [1]:

- Multi-depth latents are projected to D numbers by the reference of the backbone. In [1] the layers
  are concatenated, so G is larger.
- The ridge r is chosen once, relative to g. In [1] it is chosen again for each task.
- The backbone is frozen; the adaptation to the first task is left out.

References:
    [1] Ahrens et al., Read between the layers: leveraging multi-layer representations for
        rehearsal-free continual learning with pre-trained models, TMLR 2024 (arXiv 2312.08888).
"""

from __future__ import annotations

from typing import ClassVar, final

from teachmesh_lab.baselines.baseline import Grid
from teachmesh_lab.baselines.gram_ridge import GramRidge


@final
class LayUp(GramRidge):
    """Ridge regression on the latents. `ridge` is r."""

    source: ClassVar[str] = "Ahrens et al., TMLR 2024, without its adaptation"
    grid: ClassVar[Grid] = {"ridge": (1e-6, 1e-5, 0.0001, 0.001, 0.01, 0.1)}
