"""Write the page of golden examples to a Markdown file such as `docs/golden_files.md`.

python -m teachmesh_lab.cli.golden_reference FILE
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from teachmesh.bank.bundle_files import part_name, write_bundle
from teachmesh.data.splits import SplitRule
from teachmesh.model.backbone import Preprocessing
from teachmesh.model.backbone_recipe import Recipe
from teachmesh.packet.part import Part, PartFacts, sign_part
from teachmesh.packet.roster import RosterFacts, sign_roster
from teachmesh.packet.signing import AgentKey, agent_id
from teachmesh.packet.tombstone import sign_tombstone
from teachmesh.sharing.invite_code import InviteCode
from teachmesh.trust.trust_state import Note, TrustState

TITLE = """# Golden examples of other files

Written by `make docs` from the code; do not edit. Each example has fixed content, keys and times.
Test a reader of [these files](other_files.md) with it.

## In short

- Alice's key has the seed 00 01 02 ... 1f, and Bob's has 01 02 03 ... 20.
- A row of 100 characters continues in the next row, without a line feed.
- The skill file has [an example of its own](skill_format.md#golden-example).

"""
ROW = 100
"""Number of characters of a text in one row of the page."""
ALICE = AgentKey(bytes(range(32)))
BOB = AgentKey(bytes(range(1, 33)))
SKILL = "4201e4e4b3697975ceb5e8d94355be1aeb60ba2e3aa93a6b3a04e21d800061f9"
"""Id of the golden skill."""
FINGERPRINT = "ab" * 32
RULE = SplitRule(seed=7, validation=0.125, test=0.25)
PART_FACTS = PartFacts("flowers", BOB.public_key, FINGERPRINT, images=40, sequence=3)
STATISTICS = b"statistics"
INVITE = InviteCode(
    bytes(range(16)),
    bytes(range(16, 32)),
    agent_id(ALICE.public_key),
    1_795_000_000,
    ("10.0.0.5:7448",),
)
RECIPE = Recipe(
    "resnet18", {"pad_type": "same"}, Preprocessing(64, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
)
NOTE = Note("2026-11-23T11:00:00Z", "alice")


@dataclass(frozen=True)
class GoldenFile:
    """One example.

    Attributes:
        name: title of its section.
        about: its content and where it is used, in sentences.
        data: its bytes.
        is_text: whether it is shown as text, and not as a dump of 16 bytes per row.
    """

    name: str
    about: str
    data: bytes
    is_text: bool = True

    def rows(self) -> list[str]:
        """Return the rows of the page that show the bytes."""
        if not self.is_text:
            return list(dump(self.data))
        lines = self.data.decode().removesuffix("\n").split("\n")
        return [line[i : i + ROW] for line in lines for i in range(0, len(line), ROW)]

    def bytes_of(self, rows: Sequence[str]) -> bytes:
        """Return the bytes that rows of the page show; the opposite of `rows`."""
        if not self.is_text:
            return bytes_of_dump(rows)
        text = "".join(row if len(row) == ROW else f"{row}\n" for row in rows)
        return (text if self.data.endswith(b"\n") else text.removesuffix("\n")).encode()


def trust() -> TrustState:
    """Return decisions: strangers wait, Alice is trusted and owns her alias, Bob is blocked."""
    blocked = {agent_id(BOB.public_key): Note(NOTE.time)}
    state = TrustState("ask", blocked=MappingProxyType(blocked))
    return state.with_agent(agent_id(ALICE.public_key), "trusted", NOTE)


def part() -> Part:
    """Return a part by Alice for Bob's task."""
    return sign_part(PART_FACTS, STATISTICS, ALICE)


def roster_facts() -> RosterFacts:
    """Return the content of Bob's roster after Alice's part."""
    members = frozenset({ALICE.public_key})
    parts = {part().id: ALICE.public_key}
    return RosterFacts("flowers", FINGERPRINT, RULE, members, sequence=2, parts=parts, skill=SKILL)


def bundle() -> bytes:
    """Return a bundle with Alice's tombstone."""
    tombstone = sign_tombstone(SKILL, ALICE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.tar"
        write_bundle(path, [(part_name("tombstones", tombstone.id), tombstone.data)])
        return path.read_bytes()


def golden_files() -> list[GoldenFile]:
    """Return all examples, in the order of the page."""
    tombstone = sign_tombstone(SKILL, ALICE).data
    recipe = json.dumps(RECIPE.to_json(), indent=1).encode()
    return [
        GoldenFile("Tombstone", "Alice withdraws the golden skill.", tombstone),
        GoldenFile(
            "Part",
            "Alice contributes 40 images to Bob's task `flowers`. The statistics are the ten bytes "
            "`statistics`: only their hash and their size belong to the signature.",
            part().data,
        ),
        GoldenFile(
            "Roster",
            "Bob invites Alice, and names her part and the golden skill.",
            sign_roster(roster_facts(), BOB).data,
        ),
        GoldenFile(
            "Bundle",
            "A tar file with Alice's tombstone. A row with `*` stands for rows equal to the one "
            "before.",
            bundle(),
            is_text=False,
        ),
        GoldenFile(
            "Invite",
            "Base32 of version 1, secret 00 ... 0f, certificate hash 10 ... 1f, agent id, time, "
            "addresses, and the first 4 bytes of the SHA-256 of all these.",
            str(INVITE).encode(),
        ),
        GoldenFile(
            "Decisions about authors",
            "`trust.json` of a home: strangers wait, Alice is trusted, Bob is blocked. `sha256` is "
            "the hash of `content` as JSON without spaces, with sorted keys.",
            trust().encode(),
        ),
        GoldenFile(
            "Recipe of a backbone",
            "The part of `backbone.json` that says how to build and feed a network. A reader "
            "ignores other keys.",
            recipe,
        ),
    ]


def reference() -> str:
    """Return the page."""
    return TITLE + "\n".join(map(_section, golden_files()))


def _section(example: GoldenFile) -> str:
    facts = f"{len(example.data):,} bytes, SHA-256 `{hashlib.sha256(example.data).hexdigest()}`"
    about = textwrap.fill(example.about, ROW)
    rows = "\n".join(example.rows())
    return f"## {example.name}\n\n{about}\n\n{facts}:\n\n```text\n{rows}\n```\n"


def dump(data: bytes) -> Iterator[str]:
    """Yield the lines of a dump, as `hexdump -C` writes it without text."""
    rows = [data[start : start + 16] for start in range(0, len(data), 16)]
    previous, starred = b"", False
    for number, row in enumerate(rows):
        if row != previous:
            yield f"{16 * number:08x}  {row.hex(' ')}"
        elif not starred:
            yield "*"
        previous, starred = row, row == previous
    yield f"{len(data):08x}"


def bytes_of_dump(lines: Sequence[str]) -> bytes:
    """Return the bytes of a dump.

    >>> bytes_of_dump(list(dump(bytes(40)))) == bytes(40)
    True
    """
    found, row = b"", b""
    for line in lines:
        if line == "*":
            continue
        place, _, text = line.partition("  ")
        while len(found) < int(place, 16):
            found += row
        row = bytes.fromhex(text)
        found += row
    return found


def main() -> None:
    """Write the reference to the file named on the command line."""
    os.umask(0o022)
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
