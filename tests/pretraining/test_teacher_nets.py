from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pretraining import teacher_nets as teacher
from pretraining.mosaics import Pictures


class _Means(nn.Module):
    """A teacher that returns mean colours as logits and fails after `limit` images."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= len(x)
        if self.left < 0:
            raise KeyboardInterrupt
        return nn.functional.pad(x.mean((2, 3)), (0, teacher.TEACHER_CLASSES - 3))


def test_interrupted_logits_go_on_where_they_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished chunks are not computed again; the logits are those of an uninterrupted run."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    pictures = Pictures(pixels, np.zeros(30, np.int64))
    weights = tmp_path / "weights"
    weights.write_bytes(b"any")
    for name, limit in (("whole", 30), ("broken", 25)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(teacher, "_CHUNK", 10)
        monkeypatch.setattr(teacher, "_teacher", lambda _, limit=limit: _Means(limit))
        if name == "broken":
            with pytest.raises(KeyboardInterrupt):
                teacher.load_logits(weights, pictures, tmp_path / name, 32)
            # Only ten images are left, so a teacher with a limit of ten is enough.
            monkeypatch.setattr(teacher, "_teacher", lambda _: _Means(10))
        logits = teacher.load_logits(weights, pictures, tmp_path / name, 32)
        means = pixels.reshape(30, -1, 3).mean(1) / 127.5 - 1
        assert np.abs(logits[:, :3] - means).max() < 0.05
    files = sorted(tmp_path.glob("*/*.npy"))
    assert files[0].read_bytes() == files[1].read_bytes()
