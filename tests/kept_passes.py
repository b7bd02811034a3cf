"""Forward passes of the embedded backbone; passes over equal batches are computed once.

Most tests teach the same few images. The latents of a batch depend on its pixels only, which
tests/model shows; there and for biases each pass is computed. The passes are kept in a folder, so
that forked programs find them too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import numpy as np
import torch

from teachmesh.model.backbone import Backbone, Latents
from teachmesh.model.backbone_registry import load_backbone

COMPUTE = Backbone.embed_later
"""The method of the product."""
FOLDER = "TEACHMESH_KEPT_PASSES"
"""Variable with the folder, which the fork server reads when it starts."""


class KeptPasses:
    """Passes of the backbone that all agents of a process share.

    Args:
        folder: existing folder, which other processes may use at the same time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backbone = load_backbone(Path(), "embedded")

    def embed_later(self, backbone: Backbone, images: torch.Tensor) -> Callable[[], Latents]:
        """Return latents from the folder; compute them if they are missing or counted."""
        counted = torch._C._len_torch_dispatch_stack() > 0
        shape = (3, backbone.size, backbone.size)
        usual = len(images) > 0 and images.dtype == torch.uint8 and images.shape[1:] == shape
        if backbone is not self.backbone or counted or not usual:
            return COMPUTE(backbone, images)
        file = self.folder / hashlib.sha256(images.numpy(force=True).tobytes()).hexdigest()
        if not file.exists():
            self._write(file, COMPUTE(backbone, images)())
        return lambda: self._read(file)

    def _write(self, file: Path, latents: Latents) -> None:
        part = file.with_suffix(f".{os.getpid()}.{id(latents)}")
        np.concatenate([latents.last.ravel(), latents.multi.ravel()]).tofile(part)
        part.replace(file)

    def _read(self, file: Path) -> Latents:
        numbers = torch.from_numpy(np.fromfile(file, np.float32))
        dims = self.backbone.last_dim, self.backbone.dim
        count = len(numbers) // sum(dims)
        parts = numbers.split([count * dim for dim in dims])
        # Torch's own memory, so that later products have the bits that they have in the product.
        return Latents(*(part.clone().view(count, -1).numpy() for part in parts))


def keep_passes(folder: Path) -> None:
    """Keep the passes of this process in a folder from now on."""
    kept = KeptPasses(folder)
    Backbone.embed_later = lambda backbone, images: kept.embed_later(backbone, images)


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Keep passes of this process, and of programs that it forks, within this block."""
    keep_passes(folder)
    os.environ[FOLDER] = str(folder)
    try:
        yield
    finally:
        del os.environ[FOLDER]
        Backbone.embed_later = COMPUTE
        rmtree(folder)
