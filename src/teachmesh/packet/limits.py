"""Size limits for data from untrusted peers."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
HARD_FILE_BYTES = 128 * MIB


@dataclass(frozen=True)
class Limits:
    """Maximum values, checked before memory is allocated; a value equal to its limit passes.

    An agent with lower limits than the defaults rejects some skills that other agents accept.
    `HARD_FILE_BYTES` applies even if `file_bytes` is larger.

    Attributes:
        file_bytes: size of a skill file in bytes.
        header_bytes: size of the safetensors header in bytes, including the card.
        tensors: number of tensors.
        classes: number of classes, C.
        clusters: number of clusters of a mixture anchor, K.
        samples: number of samples per class of a Mahalanobis anchor, M.
        rank: number of directions of a low-rank covariance, R.
        latent_size: latent size, D.
        magnitude: absolute value of a floating-point tensor element. Mean latents of real
            backbones stay below 100; 1e6 leaves a margin and keeps every product finite.
        class_name: number of characters of a class name.
        task_name: number of characters of a task or backbone name.
        alias: number of characters of an author's alias.
        warnings: number of warnings on a card.
        warning: number of characters of one warning.
        calibration: number of calibration values.
        biases: number of beneficial biases.
    """

    file_bytes: int = 16 * MIB
    header_bytes: int = MIB
    tensors: int = 32
    classes: int = 10_000
    clusters: int = 64
    samples: int = 1024
    rank: int = 256
    latent_size: int = 65_536
    magnitude: float = 1e6
    class_name: int = 128
    task_name: int = 128
    alias: int = 64
    warnings: int = 16
    warning: int = 256
    calibration: int = 32
    biases: int = 1_000_000


DEFAULT_LIMITS = Limits()
