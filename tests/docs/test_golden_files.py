"""The golden examples on the page are read for ever, and written byte for byte."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from teachmesh.bank.bundle_files import read_bundle
from teachmesh.model.backbone_recipe import Recipe
from teachmesh.packet.part import read_part
from teachmesh.packet.roster import read_roster
from teachmesh.packet.tombstone import read_tombstone
from teachmesh.sharing.invite_code import read_invite
from teachmesh.trust.trust_state import decode_state
from teachmesh_lab.cli import golden_reference as golden

PAGE = (Path(__file__).parents[2] / "docs" / "golden_files.md").read_text("utf-8")
SECTION = re.compile(r"^## (.+?)\n.*?```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
SHOWN = dict(SECTION.findall(PAGE.removeprefix(golden.TITLE)))
FILES = {example.name: example for example in golden.golden_files()}
FIXED = {
    "Tombstone": "7f7f987477ec7401e47bc737cbab1b3a01787ecc921b8b0156a07f5b11e34f72",
    "Part": "b3103028f08538f5f61d030872a855b21e153c0a4c50ccea6297e960b9b11cb7",
    "Roster": "11775a859f1dbcf83734d557b9b81d08b8288d688e3d0cea0c0c7fbc424f2ef3",
    "Bundle": "f3279e45ef5d6344946eada9db2ac38cda90541533fd410429299137e063b89e",
    "Invite": "34554fea5cd8d2c29c2c95906b25b06613b7d8dccaffb76e1f7aa1d1cad99d8f",
    "Decisions about authors": "999719ea0484e9e72e6b1fecbb1bc6db5fd355239803d3152361036a053976da",
    "Recipe of a backbone": "84131aecd0fd3188b0e0a85bf95cfdeaf5063efa296ff6283879828a3a18567a",
}
"""SHA-256 of each example; files that agents have written must stay readable."""


def tombstone(data: bytes) -> None:
    """Alice withdraws the golden skill."""
    found = read_tombstone(data)
    assert (found.author, found.skill) == (golden.ALICE.public_key, golden.SKILL)


def part(data: bytes) -> None:
    """Facts and statistics of Alice's part."""
    found = read_part(data)
    assert (found.author, found.facts) == (golden.ALICE.public_key, golden.PART_FACTS)
    assert found.payload == golden.STATISTICS


def roster(data: bytes) -> None:
    """Members, parts and rule of Bob's roster."""
    found = read_roster(data)
    assert (found.owner, found.facts) == (golden.BOB.public_key, golden.roster_facts())


def bundle(data: bytes, folder: Path) -> None:
    """One file, which is the tombstone."""
    path = folder / "bundle.tar"
    path.write_bytes(data)
    (only,) = read_bundle(path, lambda *_: False)
    assert (only.folder, only.id) == ("tombstones", FIXED["Tombstone"])
    assert only.data is not None
    tombstone(only.data)


def invite(data: bytes) -> None:
    """Secret, certificate, agent, time and address."""
    assert read_invite(data.decode()) == golden.INVITE


def trust(data: bytes) -> None:
    """Policy, decisions and owner of the alias."""
    assert decode_state(data) == golden.trust()


def recipe(data: bytes) -> None:
    """Architecture, options and preprocessing; other keys make no difference."""
    document = json.loads(data)
    assert Recipe.from_json(document) == Recipe.from_json({**document, "x": 1}) == golden.RECIPE


READERS: dict[str, Callable[..., None]] = dict(
    zip(FIXED, (tombstone, part, roster, bundle, invite, trust, recipe), strict=True)
)


@pytest.mark.parametrize("name", FIXED)
def test_the_bytes_on_the_page_are_read_and_written_for_ever(name: str, tmp_path: Path) -> None:
    """They have the fixed hash, are those of the code, and mean what the page says."""
    data = FILES[name].bytes_of(SHOWN[name].split("\n"))
    assert hashlib.sha256(data).hexdigest() == FIXED[name]
    assert data == FILES[name].data
    READERS[name](data, *([tmp_path] if name == "Bundle" else []))


def test_the_page_is_that_of_the_code() -> None:
    """After a change of an example, run `make docs`."""
    assert golden.reference() == PAGE
    assert set(FILES) == set(SHOWN) == set(FIXED)
