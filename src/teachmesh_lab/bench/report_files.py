"""List of the figures and tables of a report, so that a new report removes old ones.

`report_files.json` in the folder of a run has the hash of every file that the report wrote. A file
that was changed since then, or that something else wrote, is never removed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from teachmesh.bank.atomic import read_file
from teachmesh.bank.output_file import write_file
from teachmesh.errors import StorageError
from teachmesh_lab.bench.cell import load_json

LIST_FILE = "report_files.json"
SCHEMA = "teachmesh.report-files/1"
_OURS = re.compile(r"(figures|tables)/[^/\\]+\.(svg|png|pdf|tex|csv)")


def replace_report_files(run: Path, written: Sequence[Path]) -> None:
    """Remove the files of the previous report that are not part of the new one.

    Args:
        run: folder of the run.
        written: files of the new report in the folders `figures` and `tables`.

    Raises:
        StorageError: a file cannot be read, written or removed.
    """
    now = {path.relative_to(run).as_posix(): _digest(path) for path in written}
    for name, digest in _listed(run / LIST_FILE).items():
        # The folder may come from another machine, so no other name is accepted.
        if name in now or not _OURS.fullmatch(name):
            continue
        path = run / name
        if path.is_file() and not path.is_symlink() and _digest(path) == digest:
            _remove(path)
    text = json.dumps({"schema": SCHEMA, "files": dict(sorted(now.items()))}, indent=1) + "\n"
    write_file(run / LIST_FILE, text.encode())


def _listed(path: Path) -> dict[str, str]:
    files = load_json(path).get("files") if path.exists() else {}
    return dict(files) if isinstance(files, dict) else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(read_file(path)).hexdigest()


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise StorageError(f"could not remove {path}: {error.strerror}") from error
