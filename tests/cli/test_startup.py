"""Commands that only look at a home start fast: they load no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from teachmesh.agent.backbones import describe_backbone, describe_backbones
from teachmesh.bank.home import Home
from teachmesh.bank.store import Bank
from teachmesh.model.backbone_cards import embedded_card
from teachmesh.model.backbone_registry import add_timm
from teachmesh.model.embedded_backbone import LAST_WIDTH
from teachmesh.packet.signing import sign
from teachmesh.packet.skill import Skill
from tests.model.nets import needs_timm, random_timm
from tests.packet.sample_skills import ALICE, LATENT_SIZE, sample_signed, sample_skill

RUN = """
import contextlib, io, json, os, sys
from teachmesh.cli.main import run
heavy, seen, program = {"torch", "PIL", "zenoh", "safetensors", "timm"}, set(), sys.argv[0]
for arguments, variables in json.load(sys.stdin):
    os.environ.update(variables)
    sys.argv, code = [program, *arguments], None
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            run()
        except SystemExit as end:
            code = end.code
    for name in variables:
        del os.environ[name]
    assert not code, (code, arguments)
    loaded = heavy & set(sys.modules)
    print(json.dumps([output.getvalue(), sorted(loaded - seen)]))
    seen |= loaded
"""
COMMANDS = (
    ("--help",),
    ("--version",),
    ("status",),
    ("status", "--json"),
    ("skills", "--help"),
    ("skills", "list"),
    ("skills", "list", "--json"),
    ("skills", "show", "roses"),
    ("skills", "history", "roses"),
    ("skills", "export", "roses"),
    ("skills", "remove", "daisies", "--yes"),
    ("backbone", "list"),
    ("backbone", "list", "--json"),
    ("backbone", "export", "net"),
    ("bench", "--help"),
    ("learn", "--help"),
)
IMPORT = ("skills", "import", "peer.skill")
COMPLETIONS = {
    "teachmesh ": ("status", "skills", "bench"),
    "teachmesh sk": ("skills",),
    "teachmesh skills ": ("list", "export"),
    "teachmesh backbone e": ("export",),
    "teachmesh bench r": ("run", "report"),
    "teachmesh status --": ("--home", "--json"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with skills and a side-loaded backbone; tests rely on `roses` only."""
    folder = tmp_path_factory.mktemp("startup")
    opened = Home(folder / "home")
    with Bank(opened.bank) as bank:
        for seed, task in enumerate(("roses", "tulips", "daisies")):
            bank.put(sample_signed(seed=seed, task=task))
    name = "mobilenetv3_small_050"
    few = {"size": 32, "dim": 24, "reference_images": 33}
    add_timm(opened.backbones, name, alias="net", weights=random_timm(name, folder), **few)
    return opened.path


class Ran(NamedTuple):
    """The output of a command, and the heavy packages that it was the first to load."""

    output: str
    loaded: list[str]


@pytest.fixture(scope="module")
def ran(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """All command lines and completions, run one after the other in one fresh process."""
    place = tmp_path_factory.mktemp("ran")
    write_peer_skill(place / "peer.skill")
    calls: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
        (" ".join(command), command, {}) for command in (*COMMANDS, IMPORT)
    ]
    calls += [(line, (), completion(line)) for line in COMPLETIONS]
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps([call[1:] for call in calls]),
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env={**os.environ, "TEACHMESH_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    found = [Ran(*json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip((name for name, *_ in calls), found, strict=True))


def write_peer_skill(file: Path) -> None:
    """Write a skill of the embedded backbone."""
    fingerprint = embedded_card()["fingerprint"]
    small = sample_skill(seed=9, task="asters", backbone_fingerprint=fingerprint)
    # The latents of the embedded backbone have another size than those of the sample.
    wide = {
        name: np.tile(array, (1, LAST_WIDTH // LATENT_SIZE)) if array.ndim == 2 else array
        for name, array in small.tensors.items()
    }
    file.write_bytes(sign(Skill(small.card, wide), ALICE).data)


def completion(line: str) -> dict[str, str]:
    """Return the variables with which a shell asks for the ends of a line."""
    return {
        "_TEACHMESH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }


@needs_timm
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_that_only_look_load_no_torch(
    ran: dict[str, Ran], command: tuple[str, ...]
) -> None:
    """They load no packages for images, network or weights either."""
    output, loaded = ran[" ".join(command)]
    assert output
    assert loaded == []


@needs_timm
def test_importing_a_skill_loads_no_torch(ran: dict[str, Ran]) -> None:
    """It is decoded, verified and admitted as a skill from a peer."""
    output, loaded = ran[" ".join(IMPORT)]
    assert "saved asters" in output
    assert loaded == []


@needs_timm
@pytest.mark.parametrize("line", COMPLETIONS)
def test_completion_loads_no_torch(ran: dict[str, Ran], line: str) -> None:
    """Commands, sub-commands and options are completed, including those of the laboratory."""
    output, loaded = ran[line]
    assert set(COMPLETIONS[line]) <= set(output.split())
    assert loaded == []


@needs_timm
def test_backbones_are_listed_as_they_would_be_when_loaded(home: Path) -> None:
    """The description on each card equals that of the loaded network."""
    listed = describe_backbones(home)
    assert [document["name"] for document in listed] == ["embedded", "net"]
    assert listed == [describe_backbone(home, document["name"]) for document in listed]


@needs_timm
def test_a_backbone_without_a_stored_description_is_loaded_to_list_it(home: Path) -> None:
    """A description with another fingerprint is not used either."""
    card = home / "backbones" / "net" / "backbone.json"
    text = card.read_text()
    expected = describe_backbones(home)[1]["macs_per_image"]
    try:
        for changed in ('"other": {', '"description": {"fingerprint": "x", "macs_per_image": 1, '):
            card.write_text(text.replace('"description": {', changed))
            assert describe_backbones(home)[1]["macs_per_image"] == expected
    finally:
        card.write_text(text)
