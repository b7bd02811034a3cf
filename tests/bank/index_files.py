"""Loss of a bank's index, for tests."""

from __future__ import annotations

from pathlib import Path


def lose_index(folder: Path) -> None:
    """Remove the index and its logs; the bank derives them again from the skills' files."""
    for path in folder.glob("index.sqlite3*"):
        path.unlink()
