"""A second thread or process acts in the middle of an operation, at the worst moment."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.agent.on_mesh.node import BankInventory
from teachmesh.bank import statistics_folder
from teachmesh.bank.agents_here import AgentsHere
from teachmesh.bank.atomic import FileOps
from teachmesh.bank.hashed_files import HashedFiles
from teachmesh.bank.home import Home
from teachmesh.bank.index import Index
from teachmesh.bank.running import RunningLock
from teachmesh.bank.statistics_folder import StatisticsFolder
from teachmesh.bank.store import Bank
from teachmesh.errors import StorageError
from teachmesh.web.access import load_token
from tests.packet.sample_skills import sample_signed

WAIT_S = 0.2
"""Time for which a second thread may act; it is blocked for that long if there is a lock."""


def act_first(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], object]
) -> list[str]:
    """Let something happen before the next call of a function; return the names of those calls."""
    inner, calls = getattr(owner, name), []

    def patched(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            act()
        return inner(*arguments, **options)

    monkeypatch.setattr(owner, name, patched)
    return calls


def in_thread(work: Callable[[], object]) -> Callable[[], threading.Thread]:
    """Return a function that starts the work in a thread, and gives it time."""

    def begin() -> threading.Thread:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(WAIT_S)
        return thread

    return begin


def test_a_private_skill_is_never_counted_while_it_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers would wait for it for ever, because announced numbers never fall."""
    view = BankView(tmp_path)
    first, secret = (sample_signed(view.key, seed=seed) for seed in (0, 1))
    view.bank.put(first)

    def learn() -> None:
        view.withheld.add([secret.id], "private")
        view.bank.put(secret)

    act_first(monkeypatch, view.bank, "published", learn)
    assert BankInventory(view).published() == 1
    assert BankInventory(view).ids() == {first.id}


def test_a_bank_that_is_closed_while_a_thread_reads_keeps_its_index(tmp_path: Path) -> None:
    """A closed index is not damaged; it was discarded and made again."""
    with Bank(tmp_path) as bank:
        bank.put(sample_signed())
        before = (tmp_path / "index.sqlite3").stat().st_ino
    with pytest.raises(StorageError):
        bank.ids()
    assert (tmp_path / "index.sqlite3").stat().st_ino == before


def test_a_skill_that_is_removed_while_it_is_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread removes it after it was found in the index."""
    with Bank(tmp_path) as bank:
        skill = bank.put(sample_signed()).id
        act_first(monkeypatch, HashedFiles, "read_whole", lambda: bank.remove(skill))
        with pytest.raises(StorageError, match="was removed while it was read"):
            bank.get(skill)
        assert not list((tmp_path / "damaged").glob("*"))


def test_looking_whether_an_agent_runs_does_not_stop_one_that_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`teachmesh status` takes the lock for a moment, just when `teachmesh up` needs it."""
    probe, lock = RunningLock(tmp_path), RunningLock(tmp_path)
    probe.acquire()
    monkeypatch.setattr("filelock._api.time.sleep", lambda _seconds: probe.release())
    lock.acquire()
    assert RunningLock(tmp_path).is_held()
    lock.release()


def test_an_agent_is_never_seen_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others remove a file that they cannot read; so it must be complete as soon as it is there."""
    here, lock = AgentsHere(tmp_path / "agents"), RunningLock(tmp_path)
    lock.acquire()
    calls = act_first(monkeypatch, FileOps, "rename", lambda: here.using("7447"))
    here.add(tmp_path, ["tcp/127.0.0.1:7447"])
    found = here.using("7447")
    lock.release()
    assert found is not None
    assert calls


def test_settings_that_change_at_once_are_both_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command sets the alias while another one stops the sharing of new tasks."""
    home, threads = Home(tmp_path), []
    other = in_thread(lambda: Home(tmp_path).change_config(share="none"))
    act_first(monkeypatch, Home, "save_config", lambda: threads.append(other()))
    home.change_config(alias="alice")
    threads[0].join()
    assert (home.config.alias, home.config.share) == ("alice", "none")


def test_processes_that_need_a_token_at_once_get_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one comes when the first one has found no file."""
    tokens: list[str] = []
    threads: list[threading.Thread] = []
    other = in_thread(lambda: tokens.append(load_token(tmp_path / "token")))
    act_first(
        monkeypatch,
        secrets,
        "token_urlsafe",
        lambda: threads.append(other()),
    )
    tokens.append(load_token(tmp_path / "token"))
    threads[0].join()
    assert tokens == [tokens[0]] * 2


def test_statistics_that_are_removed_while_they_are_read_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if they had been removed before."""
    folder, name = StatisticsFolder(tmp_path), "ab" * 32
    folder.save(name, b"sums")
    assert folder.load(name) == b"sums"
    act_first(monkeypatch, statistics_folder, "read_file", lambda: folder.discard(name))
    assert folder.load(name) is None


def test_two_threads_that_find_a_damaged_index_rebuild_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one waited for the first one, and reads the new index."""
    with Bank(tmp_path) as bank:
        skill = bank.put(sample_signed()).id
        damaged, readers = bank._index, [1]
        calls = act_first(monkeypatch, bank, "_rebuilt", lambda: None)

        def read(index: Index) -> list[str]:
            if index is not damaged:
                return index.ids()
            if readers:
                readers.pop()
                assert bank._read(read) == [skill]
            raise sqlite3.DatabaseError("a row is damaged")

        assert bank._read(read) == [skill]
        assert len(calls) == 1
