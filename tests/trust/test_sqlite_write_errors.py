"""SQLite's own writes fail: no file may grow beyond a limit that rises step by step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import copytree

import pytest

from teachmesh.bank.store import Bank
from tests.bank.test_failures import (
    OPERATIONS,
    check_invariants,
    outcomes,
    prepare_bank,
    refusal_of,
)

STEP_BYTES = 2060
"""Half of a page of 4,096 bytes with its 24 bytes of header in SQLite's log."""
ENOUGH_BYTES = 1 << 20


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let every write fail that would make a file of this process larger."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank that tests copy."""
    return prepare_bank(tmp_path_factory.mktemp("prepared") / "bank")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file size there")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda act: act.__name__)
def test_the_index_cannot_grow(
    operation: Callable[[Bank], None], prepared: Path, tmp_path: Path
) -> None:
    """Every change is done or undone, although the log or the index itself was cut off."""
    undone, done, _ = outcomes(operation, copytree(prepared, tmp_path / "plan"))
    messages = []
    for limit in range(0, ENOUGH_BYTES, STEP_BYTES):
        folder = copytree(prepared, tmp_path / str(limit))
        with Bank(folder) as bank, largest_file(limit):
            messages.append(refusal_of(partial(operation, bank)))
            if messages[-1] is None:
                assert set(bank.ids()) == done
        check_invariants(folder, done, undone)
        if messages[-3:] == [None] * 3:
            break
    assert messages[0] is not None
    assert messages[-1] is None


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file size there")
def test_a_new_bank_opens_when_there_is_room(tmp_path: Path) -> None:
    """A first opening that fails midway leaves nothing that stops the next one."""
    for limit in range(0, ENOUGH_BYTES, STEP_BYTES):
        folder = tmp_path / str(limit)
        with largest_file(limit):
            message = refusal_of(lambda folder=folder: Bank(folder).close())
        check_invariants(folder, set(), set())
        if message is None:
            break
    assert limit > STEP_BYTES
