"""Bounds of all sizes in data from strangers."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
HARD_FILE_BYTES = 128 * MIB


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked before memory is allocated; a value equal to its bound passes.

    An agent may be stricter than the defaults. It then refuses skills that others accept.
    `HARD_FILE_BYTES` applies even if `file_bytes` is larger.

    Attributes:
        file_bytes: size of a whole skill file.
        header_bytes: size of the safetensors header, the card included.
        tensors: number of tensors.
        classes: number of classes C.
        clusters: number of clusters K of a mixture anchor.
        samples: number M of samples per class of a Mahalanobis anchor.
        rank: number R of directions of a low-rank scatter.
        latent_size: latent size D.
        magnitude: largest absolute value of a floating-point tensor element. Mean latents of
            real backbones stay below 100; 1e6 leaves room and keeps every product finite.
        class_name: characters of a class name.
        task_name: characters of a task or backbone name.
        alias: characters of an author's alias.
        warnings: number of warnings on a card.
        warning: characters of one warning.
        calibration: number of calibration values.
        biases: number of beneficial biases.
    """

    file_bytes: int = 16 * MIB
    header_bytes: int = MIB
    tensors: int = 24
    classes: int = 10_000
    clusters: int = 64
    samples: int = 64
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
