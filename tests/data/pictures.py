"""Small real images and trees of them, made from seeds."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from teachmesh.data.decoding import convert_upright, decode_upright
from teachmesh.data.pixels import squash


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 with soft structure, which survives JPEG compression."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(
    pixels: np.ndarray | Image.Image, image_format: str = "PNG", **options: object
) -> bytes:
    """The bytes of an image file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def flat_tree(n_per_class: int = 12, classes: tuple[str, ...] = ("cat", "dog")) -> dict[str, bytes]:
    """`<class>/<n>.png` -> bytes, all different."""
    return {
        f"{label}/{n}.png": encoded(smooth(6, 8, seed=1000 * c + n))
        for c, label in enumerate(classes)
        for n in range(n_per_class)
    }


def split_tree(
    counts: Mapping[str, int], classes: tuple[str, ...] = ("cat", "dog")
) -> dict[str, bytes]:
    """`<split>/<class>/<n>.png` -> bytes, all different."""
    return {
        f"{split}/{label}/{n}.png": encoded(smooth(6, 8, seed=10_000 * s + 1000 * c + n))
        for s, (split, count) in enumerate(counts.items())
        for c, label in enumerate(classes)
        for n in range(count)
    }


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    """Write files into a tar archive; names are stored as given, absolute ones too."""
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a zip archive, every second one compressed."""
    with zipfile.ZipFile(path, "w") as archive:
        for n, (name, data) in enumerate(files.items()):
            kind = zipfile.ZIP_DEFLATED if n % 2 else zipfile.ZIP_STORED
            archive.writestr(name, data, compress_type=kind)
    return path


def write_csv(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files and a CSV file that lists them, without a split column."""
    write_folder(path.parent, files)
    lines = ["path,label", *(f"{name},{name.split('/')[-2]}" for name in files)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_exif(orientation: int) -> bytes:
    """An EXIF block that holds nothing but the orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def decode_image(data: bytes, size: int, *, source: object = "") -> np.ndarray:
    """(3, S, S) uint8 of one file, by the steps that the loader takes for many."""
    return _squashed(decode_upright(data, size, source=source), size)


def to_pixels(image: Image.Image | np.ndarray, size: int) -> np.ndarray:
    """(3, S, S) uint8 of one image in memory."""
    return _squashed(convert_upright(image, size), size)


def _squashed(image: np.ndarray, size: int) -> np.ndarray:
    channels_first = squash(image[None], size)[0].transpose(2, 0, 1)  # (C, S, S)
    return np.array(np.broadcast_to(channels_first, (3, size, size)), order="C")
