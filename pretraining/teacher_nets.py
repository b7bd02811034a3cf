"""Logits of a larger network for the pretraining images, computed once and cached on disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from pretraining.augment import plain
from pretraining.mosaics import Pictures
from teachmesh.model.forward_pass import fold_batch_norms
from teachmesh.model.timm_weights import ensure_torchvision

TEACHER_CLASSES = 1000
_CHUNK = 1000
_BATCH = 50


def load_logits(weights: Path, pictures: Pictures, run: Path, size: int) -> np.ndarray:
    """Compute the teacher's logits for the images, without augmentation.

    Logits are computed once per teacher, size and number of images. An interrupted computation
    continues with the first unfinished chunk.

    Args:
        weights: safetensors file of timm's `mobilenetv2_100` with `pad_type="same"`.
        pictures: N images.
        run: folder of the run, which also caches the logits.
        size: side in pixels to which the images are enlarged for the teacher.

    Returns:
        (N, 1000) float16 logits.
    """
    teacher = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    path = run / f"teacher-{teacher}-{size}px-{len(pictures)}.npy"
    counter = path.with_suffix(".done")
    if not counter.exists():
        _create(path, len(pictures))
        _write(counter, "0")
    logits = np.load(path, mmap_mode="r+")
    done = int(counter.read_text())
    net = _teacher(weights) if done < len(pictures) else nn.Identity()
    for start in range(done, len(pictures), _CHUNK):
        stop = min(start + _CHUNK, len(pictures))
        logits[start:stop] = _answers(net, pictures.pixels[start:stop], size)
        # The logits are written first, so that the counter is never ahead of them.
        logits.flush()
        _write(counter, str(stop))
        print(f"teacher: {stop} of {len(pictures)} images", flush=True)
    return np.asarray(logits)


@torch.inference_mode()
def _answers(net: nn.Module, pixels: np.ndarray, size: int) -> np.ndarray:
    parts = []
    for start in range(0, len(pixels), _BATCH):
        images = plain(pixels[start : start + _BATCH], pixels.shape[1])
        large = functional.interpolate(images, size=(size, size), mode="bicubic")
        large = large.clamp_(-1, 1).contiguous(memory_format=torch.channels_last)
        parts.append(net(large).half().numpy())
    return np.concatenate(parts)


def _teacher(weights: Path) -> nn.Module:
    # Imported here because timm is optional and only needed for runs with a teacher.
    ensure_torchvision()
    import timm

    net: nn.Module = timm.create_model("mobilenetv2_100", pad_type="same")
    net.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    folded = fold_batch_norms(net.eval())
    return folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _create(path: Path, rows: int) -> None:
    logits = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float16, shape=(rows, TEACHER_CLASSES)
    )
    logits.flush()


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
