"""The linear head of one task (paper, Sec. 5: one fully connected layer from D to C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Head:
    """Linear layer with one row per class.

    Attributes:
        weight: (C, D) float32 weights.
        bias: (C,) float32 biases.

    Raises:
        ValueError: the shapes of weight and bias do not match.

    Examples:
        >>> head = Head(np.eye(2, 3, dtype=np.float32), np.zeros(2, dtype=np.float32))
        >>> head.logits(np.array([[1.0, 2.0, 3.0]], dtype=np.float32)).tolist()
        [[1.0, 2.0]]
    """

    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(
                f"expected a head of shapes (C, D) and (C,), got {self.weight.shape} and "
                f"{self.bias.shape}"
            )

    def logits(self, latents: np.ndarray) -> np.ndarray:
        """Compute the class scores of one task.

        Args:
            latents: (N, D) float32 array of latents that are not normalised.

        Returns:
            (N, C) float32 scores.

        Raises:
            ValueError: the latents and the head differ in D.
        """
        if latents.ndim != 2 or latents.shape[1] != self.weight.shape[1]:
            raise ValueError(
                f"expected latents (N, {self.weight.shape[1]}), got {latents.shape}; the head was "
                "made with another backbone"
            )
        # This uses numpy, because torch warns about the read-only weights of decoded skills.
        scores = latents.astype(np.float32) @ self.weight.T + self.bias  # (N, C)
        return np.asarray(scores, dtype=np.float32)
