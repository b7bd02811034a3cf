"""Invites work once, until they expire, and their secrets are nowhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from teachmesh.bank import invites
from teachmesh.bank.invites import KEPT_S, InviteBook
from teachmesh.errors import NetworkError, StorageError, UsageError

SECRET, OTHER = b"s" * 16, b"o" * 16
BOB, EVE = "b" * 64, "e" * 64


def _redeemed(book: InviteBook, secret: bytes, author: str, now_s: float = 10.0) -> str:
    """Use an invite; return the reason of the refusal, or an empty text."""
    try:
        book.redeem(secret, author, now_s)
    except NetworkError as error:
        return str(error)
    return ""


def test_an_invite_works_once(tmp_path: Path) -> None:
    """The agent that used it may ask again, because the answer may be lost; nobody else may."""
    book = InviteBook(tmp_path)
    book.add(SECRET, 100.0, 0.0)
    assert _redeemed(book, SECRET, BOB) == ""
    assert _redeemed(InviteBook(tmp_path), SECRET, BOB) == ""
    assert "is used; ask for a new one" in _redeemed(book, SECRET, EVE)
    assert "is used" in _redeemed(book, SECRET, BOB, now_s=100.0)
    assert [i.state(10.0) for i in book.invites()] == ["used"]


def test_expired_revoked_and_unknown_invites_are_refused(tmp_path: Path) -> None:
    """Each sentence has the reason."""
    book = InviteBook(tmp_path)
    book.add(SECRET, 100.0, 0.0)
    revoked = book.add(OTHER, 100.0, 0.0)
    book.revoke(revoked.id[:4])
    assert "is expired" in _redeemed(book, SECRET, BOB, now_s=100.0)
    assert "is revoked" in _redeemed(book, OTHER, BOB)
    assert "got an unknown one" in _redeemed(book, b"?" * 16, BOB)
    assert _redeemed(book, SECRET, BOB, now_s=99.0) == ""
    with pytest.raises(UsageError, match="expected the id of one unused invite"):
        book.revoke(book.invites()[0].id)


def test_many_agents_at_once_use_one_invite_once(tmp_path: Path) -> None:
    """Each has its own book, as processes do."""
    InviteBook(tmp_path).add(SECRET, 100.0, 0.0)
    authors = [f"{i:064x}" for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        reasons = list(pool.map(lambda a: _redeemed(InviteBook(tmp_path), SECRET, a), authors))
    assert reasons.count("") == 1
    assert InviteBook(tmp_path).invites()[0].used_by == authors[reasons.index("")]


def test_the_file_has_no_secret_and_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the owner reads it; old invites are dropped; a damaged file is no open door."""
    monkeypatch.setattr(invites, "MAX_INVITES", 3)
    book = InviteBook(tmp_path)
    for index in range(3):
        book.add(index.to_bytes(16, "big"), 100.0, 0.0)
    with pytest.raises(UsageError, match="at most 3 invites"):
        book.add(SECRET, 100.0, 0.0)
    book.add(SECRET, KEPT_S + 200.0, KEPT_S + 101.0)
    assert len(book.invites()) == 1
    assert SECRET.hex() not in book.path.read_text()
    assert book.path.stat().st_mode & 0o777 == 0o600
    book.path.write_text('{"schema": "teachmesh.invites/1"}')
    with pytest.raises(StorageError, match="is damaged; remove it"):
        book.redeem(SECRET, BOB, 0.0)
