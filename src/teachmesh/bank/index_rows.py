"""Rows of a bank's index, each with a checksum, because SQLite notices no changed byte in a row."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, fields

from teachmesh.bank.entry import BankEntry
from teachmesh.packet.tombstone import Tombstone

NAMES = [item.name for item in fields(BankEntry)]
_LISTS = [NAMES.index(name) for name in ("anchors", "classes", "latent_sizes")]
_BOOLEANS = [NAMES.index(name) for name in ("has_biases", "has_head")]
_CHECKSUM_BYTES = 8

TABLES = {
    "skills": """CREATE TABLE skills (
        id TEXT PRIMARY KEY, task TEXT NOT NULL, author TEXT NOT NULL, alias TEXT NOT NULL,
        method TEXT NOT NULL, anchors TEXT NOT NULL, classes TEXT NOT NULL,
        has_biases INTEGER NOT NULL, backbone_fingerprint TEXT NOT NULL,
        size_bytes INTEGER NOT NULL, created TEXT NOT NULL, replaces TEXT,
        has_head INTEGER NOT NULL, latent_sizes TEXT NOT NULL, checksum TEXT NOT NULL
        ) WITHOUT ROWID""",
    "tombstones": """CREATE TABLE tombstones (
        id TEXT NOT NULL UNIQUE, author TEXT NOT NULL, skill TEXT NOT NULL,
        checksum TEXT NOT NULL, PRIMARY KEY (skill, author, id)) WITHOUT ROWID""",
    "counter": "CREATE TABLE counter (changes INTEGER NOT NULL)",
}
CHECKED = {
    "skills": ", ".join((*NAMES, "checksum")),
    "tombstones": "id, author, skill, checksum",
}
"""Columns of the tables whose rows have a checksum, which comes last."""


def checked(row: Sequence[object]) -> Sequence[object]:
    """Return a row without its checksum.

    Raises:
        sqlite3.DatabaseError: the checksum is wrong.
    """
    *values, found = row
    if found != checksum(values):
        raise sqlite3.DatabaseError(f"a row is damaged: {str(values[0])[:12]!a}")
    return values


def checksum(values: Sequence[object]) -> str:
    """Return the checksum of a row: 16 hex digits of SHA-256 over its values as JSON."""
    text = json.dumps(list(values), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[: 2 * _CHECKSUM_BYTES]


def skill_row(entry: BankEntry) -> tuple[object, ...]:
    """Return the row of a skill with its checksum."""
    values = list(astuple(entry))
    for position in _LISTS:
        values[position] = json.dumps(values[position])
    for position in _BOOLEANS:
        values[position] = int(values[position])
    return (*values, checksum(values))


def tombstone_row(tombstone: Tombstone) -> tuple[str, ...]:
    """Return the row of a tombstone with its checksum."""
    values = (tombstone.id, tombstone.author, tombstone.skill)
    return (*values, checksum(values))


def to_entry(row: Sequence[object]) -> BankEntry:
    """Return the entry of a skill's row.

    Raises:
        sqlite3.DatabaseError: the checksum is wrong.
    """
    values = list(checked(row))
    for position in _LISTS:
        values[position] = tuple(json.loads(str(values[position])))
    for position in _BOOLEANS:
        values[position] = bool(values[position])
    return BankEntry(*values)  # type: ignore[arg-type] # `skill_row` wrote values of these types
