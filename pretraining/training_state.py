"""Everything a run needs to go on after a kill, in one file that is replaced atomically."""

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
"""Recipes and logs of the runs that a run goes on from, the first one first."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file; a kill at any moment leaves the old one or the new one.

    Args:
        path: of the file.
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
    """The state of an interrupted run; None where none was saved.

    Tensors and plain values only (`weights_only`): nothing in the file is executed.
    """
    path = run / FILE
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def averaged_weights(run: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The averaged weights of another run, classifiers included, to begin a second cycle with.

    Returns:
        The weights and the SHA-256 of their names and bytes: a recipe says with it where it began.

    Raises:
        SystemExit: the run has saved no state yet.
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
