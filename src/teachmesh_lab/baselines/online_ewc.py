"""`online-ewc`: EWC with one running importance per weight instead of one term per task.

After task t, F* becomes gamma F* + F_t. The penalty lambda/2 sum_k F*_k (x_k - x*_k)^2 is centred
at the weights after the last task ([1], Sec. 3 "online EWC"; [2]).

References:
    [1] Schwarz et al., Progress & Compress, ICML 2018.
    [2] Huszar, Note on the quadratic penalties in elastic weight consolidation, PNAS 2018.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper
from teachmesh_lab.baselines.ewc import fisher_of_task, penalty_state
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.quadratic import Quadratic


@final
class OnlineEwc(Baseline):
    """EWC with one quadratic term around the weights after the last task.

    `strength` is lambda and `decay` is gamma. F is estimated from at most `images` training images.
    """

    source: ClassVar[str] = "Schwarz et al., ICML 2018, online EWC"
    grid: ClassVar[Grid] = {
        "strength": (100.0, 1000.0, 10000.0),
        "decay": (0.95,),
        "images": (256.0,),
    }

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.penalty = Quadratic(self.trunk_parameters())

    def before_step(self) -> None:
        """Add the gradient that pulls weights towards their values after the last task."""
        self.penalty.pull(self.hyper["strength"])

    def end(self, index: int) -> None:
        """Decay the old importances, add this task's importances and finish the task."""
        fresh = fisher_of_task(self, index)
        self.penalty.importance = [
            self.hyper["decay"] * old + new
            for old, new in zip(self.penalty.importance, fresh, strict=True)
        ]
        self.penalty.recentre()
        super().end(index)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights and importances."""
        return super().state() | penalty_state(self.penalty, with_centre=False)
