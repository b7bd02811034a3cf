"""Everything a run needs to go on after a kill, in one file that is replaced atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

FILE = "state.pt"


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Write the state; a kill at any moment leaves the old file or the new one."""
    temporary = run / f".{FILE}.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(run / FILE)


def load_state(run: Path) -> dict[str, Any] | None:
    """The state of an interrupted run; None where none was saved.

    Tensors and plain values only (`weights_only`): nothing in the file is executed.
    """
    path = run / FILE
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state
