"""`skills withdraw` and `skills prune` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_commands import run, run_json


def test_withdraw_and_prune_as_a_program_reads_them(warm: Path) -> None:
    """One document each; counts in `status`; the answer of `predict` changes at once."""
    old = run_json("learn", str(warm))["skill"]
    new = run_json("learn", str(warm), "--replace")["skill"]
    image = str(sorted((warm / "red").iterdir())[0])
    assert run_json("predict", image)["predictions"][0]["task"] == "warm"
    document = run_json("skills", "withdraw", "warm")
    assert document == {"schema": "teachmesh.withdrawn/1", "task": "warm", "skills": [old, new]}
    assert run_json("predict", image, code=4)["error"] == "DataError"
    status = run_json("status")
    assert (status["skills"], status["usable"], status["withdrawn"]) == (0, 0, 2)
    assert "2 withdrawn or replaced" in run("status").stdout
    assert run_json("skills", "withdraw", "warm", code=4)["error"] == "DataError"
    pruned = run_json("skills", "prune")
    assert {skill["id"] for skill in pruned["skills"]} == {old, new}
    assert pruned["size_bytes"] == sum(skill["size_bytes"] for skill in pruned["skills"])
    assert run_json("skills", "prune")["skills"] == []


@pytest.mark.usefixtures("warm_is_known")
def test_a_person_is_asked_and_told(warm: Path) -> None:
    """Without a yes nothing happens; then each command says its count and the next step."""
    assert (
        "withdraw warm (1 version) everywhere?" in run("skills", "withdraw", "warm", code=1).stderr
    )
    assert run_json("status")["skills"] == 1
    said = run("skills", "withdraw", "warm", "--yes").stdout
    assert (
        said == "withdrew warm (1 version)\npeers hear of it when this agent runs: teachmesh up\n"
    )
    run("skills", "prune", code=1)
    assert run("skills", "prune", "-y").stdout.startswith("deleted 1 version (")
    assert run("skills", "prune", "-y").stdout == "deleted 0 versions (0 B)\n"


@pytest.mark.parametrize(("command", "code"), [("withdraw x", 4), ("prune", 0)])
def test_nothing_is_created_in_a_mistyped_home(command: str, code: int, tmp_path: Path) -> None:
    """The error is one sentence; where nothing is, nothing is deleted."""
    result = run("skills", *command.split(), "--yes", "--home", str(tmp_path / "typo"), code=code)
    assert result.stderr.count("\n") == (code != 0)
    assert not (tmp_path / "typo").exists()
