"""The state of a run in one file, which is replaced atomically in case the run is killed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

FILE = "state.pt"
RECIPE_FILE = "recipe.json"
EARLIER_FILE = "earlier.json"
"""File with the recipes and logs of the runs that this run builds on, in order."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file atomically: after a kill, either the old or the new file is complete.

    Args:
        path: path of the file.
        write: called once with the open temporary file.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Replace the state of a run."""
    write_atomically(run / FILE, lambda file: torch.save(state, file))


def load_state(run: Path) -> dict[str, Any] | None:
    """Load the state of an interrupted run, or return None if none was saved.

    Only tensors and plain values are read (`weights_only`), and no code in the file is executed.
    """
    path = run / FILE
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def averaged_weights(run: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Load the averaged weights and classifiers of another run to start a new run from them.

    Returns:
        The weights, and the SHA-256 of their names and bytes, for the recipe of the new run.

    Raises:
        SystemExit: the run has no saved state yet.
    """
    state = load_state(run)
    if state is None:
        raise SystemExit(f"{run} holds no saved state to begin with; give the folder of a run")
    weights: dict[str, torch.Tensor] = state["average"]
    digest = hashlib.sha256()
    for key, value in sorted(weights.items()):
        digest.update(key.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return weights, digest.hexdigest()
