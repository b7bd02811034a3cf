"""Make the reference of a backbone from images.

The metric is the covariance within the classes of a person's labelled images. Unlabelled and
procedural images give an approximation. The background shows images of many kinds: real images
also in eight *looks*, such as drawings, masks and small objects on a plain ground.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps

from teachmesh.data.image_inputs import ImageInput, find_images
from teachmesh.data.loader import Progress, read_batch
from teachmesh.data.procedural_images import procedural_images
from teachmesh.errors import DataError
from teachmesh.mapping.metric import ReferenceLatents, fit_metric
from teachmesh.model.reference import DEFAULT_DIM, Reference, fit_projection, project

LOOK_IMAGES = 400
"""Maximum number of images in each look."""
MIN_IMAGES = 200
"""Minimum number of images for a reference."""
MAX_IMAGES = 3000
"""Number of images of a folder that are used; of more images, every k-th is used."""
_BATCH = 32
KEPT_BYTES = 256 << 20
"""Size up to which decoded images of a folder stay in memory: 3,000 with a side of 168 pixels."""

Taps = Callable[[torch.Tensor], Sequence[torch.Tensor]]
"""Function from (N, 3, S, S) uint8 images to the raw taps of a network."""


class ReferenceImages(Protocol):
    """Images for a reference, all of one size."""

    @property
    def labels(self) -> np.ndarray | None:
        """(N,) int64 classes of the images; None if they have none."""

    @property
    def real(self) -> bool:
        """Whether the images are photographs or drawings, and not procedural."""

    def __len__(self) -> int: ...

    def batch(self, start: int, stop: int) -> torch.Tensor:
        """Return images start to stop - 1 as (n, 3, S, S) uint8."""


@dataclass(frozen=True)
class ProceduralImages:
    """Seeded procedural images, drawn in batches of 32; batch b has seed b.

    Attributes:
        count: number of images.
        size: side of the images in pixels.
    """

    count: int
    size: int
    labels: None = None
    real: bool = False

    def __len__(self) -> int:
        return self.count

    def batch(self, start: int, stop: int) -> torch.Tensor:
        """Draw one batch; `start` is a multiple of 32."""
        return torch.from_numpy(procedural_images(stop - start, self.size, start // _BATCH))


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Images of a folder. If they lie in two folders or more, each folder is a class.

    Attributes:
        images: the image files, in canonical order.
        size: side of the images in pixels.
        labels: (N,) int64 classes of the images; None if they have none.
        decoded: (N, 3, S, S) uint8 images that are in memory; None to decode them again.
        real: always true.
    """

    images: Sequence[ImageInput]
    size: int
    labels: np.ndarray | None
    decoded: torch.Tensor | None = None
    real: bool = True

    @classmethod
    def of(cls, folder: Path, size: int) -> FolderImages:
        """Find the images below a folder.

        Raises:
            DataError: there are fewer than `MIN_IMAGES` readable images.
        """
        inputs = find_images(str(folder))
        readable = []
        decoded = []
        fits = len(inputs) <= MAX_IMAGES and len(inputs) * 3 * size**2 <= KEPT_BYTES
        for start in range(0, len(inputs), _BATCH):
            found = read_batch(inputs, range(start, min(start + _BATCH, len(inputs))), size)
            readable += [inputs[int(i)] for i in found.indices]
            decoded += [found.images] if fits else []
        readable = readable[:: -(-len(readable) // MAX_IMAGES)] if readable else []
        if len(readable) < MIN_IMAGES:
            raise DataError(
                f"expected at least {MIN_IMAGES} readable images below '{folder}' for a reference, "
                f"got {len(readable)}; add more, or leave --reference-images out"
            )
        parents = [str(Path(image.name).parent) for image in readable]
        names, labels = np.unique(parents, return_inverse=True)
        several = len(names) > 1 and np.bincount(labels).min() > 1
        classes = labels.astype(np.int64) if several else None
        return cls(readable, size, classes, torch.cat(decoded) if decoded else None)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, start: int, stop: int) -> torch.Tensor:
        """Return one batch."""
        if self.decoded is not None:
            # In the memory format in which images are decoded, because rounding depends on it.
            return self.decoded[start:stop].contiguous(memory_format=torch.channels_last)
        return read_batch(self.images, range(start, stop), self.size).images


def make_reference(
    taps: Taps,
    images: ReferenceImages,
    dim: int = DEFAULT_DIM,
    *,
    weights: Sequence[float] | None = None,
    quantise: bool = False,
    progress: Progress | None = None,
) -> Reference:
    """Make the reference of a network.

    Args:
        taps: the network.
        images: the reference images, at least 2.
        dim: number of multi-depth latents, D; lowered if the taps have fewer channels.
        weights: positive factor of each transformed tap; by default 1.
        quantise: True to store the projection as int8.
        progress: called with (images done, total number of images, including looks).

    Raises:
        ValueError: the network's activations are not finite.
    """
    run = _Run(taps, _total(images), progress)
    plain: list[torch.Tensor] = []
    looks: list[list[torch.Tensor]] = [[] for _ in LOOKS]
    for start in range(0, len(images), _BATCH):
        pixels = images.batch(start, min(start + _BATCH, len(images)))
        plain.append(run(pixels))
        if images.real:
            for parts, part in zip(looks, _looks_of(pixels, start, _stride(images)), strict=False):
                parts.append(run(part))
    split = np.split(torch.cat(plain).numpy(), np.cumsum(run.widths)[:-1], axis=1)
    scale, projection, steps = fit_projection(split, dim, weights=weights, quantise=quantise)

    def latents(parts: list[torch.Tensor]) -> np.ndarray:
        arrays = torch.from_numpy(scale), torch.from_numpy(projection)
        return project([torch.cat(parts)], *arrays).numpy()

    found = ReferenceLatents(
        latents(plain),
        images.labels,
        np.stack([latents(parts) for parts in looks]) if images.real else None,
    )
    return Reference(scale, projection, fit_metric(found), steps)


class _Run:
    """Runs batches through a network, and reports progress."""

    def __init__(self, taps: Taps, total: int, progress: Progress | None) -> None:
        self._taps = taps
        self._total = total
        self._progress = progress
        self._done = 0
        self.widths: list[int] = []

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the joined taps (n, C) of one batch."""
        taps = [tap.cpu() for tap in self._taps(pixels)]
        self.widths = [tap.shape[1] for tap in taps]
        self._done += len(pixels)
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)
        return torch.cat(taps, dim=1)


def _total(images: ReferenceImages) -> int:
    looks = -(-len(images) // _stride(images)) if images.real else 0
    return len(images) + len(LOOKS) * looks


def _stride(images: ReferenceImages) -> int:
    """Return k, if every k-th image is shown in all looks."""
    return max(1, -(-len(images) // LOOK_IMAGES))


def _looks_of(pixels: torch.Tensor, start: int, stride: int) -> list[torch.Tensor]:
    """Return one batch per look of the images that are shown in all looks."""
    rows = [row for row in range(len(pixels)) if (start + row) % stride == 0]
    if not rows:
        return []
    pictures = [Image.fromarray(pixels[row].permute(1, 2, 0).numpy()) for row in rows]
    return [
        torch.stack([_tensor(look(picture)) for picture in pictures]) for look in LOOKS.values()
    ]


def _tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def _binary(picture: Image.Image) -> Image.Image:
    grey = np.asarray(_blurred(picture, 1))
    return Image.fromarray(np.where(grey > np.median(grey), 255, 0).astype(np.uint8))


def _blurred(picture: Image.Image, share: float) -> Image.Image:
    """Blur a grey copy; the radius is `share` pixels of an image of 64 x 64."""
    return picture.convert("L").filter(ImageFilter.GaussianBlur(share * picture.width / 64))


def _edges(picture: Image.Image) -> Image.Image:
    small = picture.convert("L").resize((64, 64), Image.Resampling.BICUBIC)
    drawing = ImageOps.invert(ImageOps.autocontrast(small.filter(ImageFilter.FIND_EDGES)))
    return drawing.resize(picture.size, Image.Resampling.BICUBIC)


def _centre(picture: Image.Image) -> Image.Image:
    side, cut = picture.width, round(picture.width * 22 / 64)
    zoomed = picture.crop((cut, cut, side - cut, side - cut))
    return zoomed.resize(picture.size, Image.Resampling.BICUBIC)


def _small_on(picture: Image.Image, ground: int) -> Image.Image:
    side, at = round(picture.width * 28 / 64), round(picture.width * 18 / 64)
    whole = Image.new("L", picture.size, ground)
    whole.paste(picture.convert("L").resize((side, side), Image.Resampling.BICUBIC), (at, at))
    return whole


LOOKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "grey": lambda picture: picture.convert("L"),
    "inverted": ImageOps.invert,
    "binary": _binary,
    "edges": _edges,
    "centre": _centre,
    "blurred": lambda picture: ImageOps.autocontrast(_blurred(picture, 2)),
    "small binary on white": lambda picture: _small_on(_binary(picture), 255),
    "small on black": lambda picture: _small_on(picture, 0),
}
"""The looks: functions from an RGB picture to a picture of the same size."""
