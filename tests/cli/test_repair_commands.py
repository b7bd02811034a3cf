"""`teachmesh check` finds a skill that is damaged on the disk, and `repair` sets it aside."""

from __future__ import annotations

from pathlib import Path

from teachmesh.bank.store import Bank
from tests.cli.test_commands import run, run_json
from tests.packet.sample_skills import sample_signed


def test_check_and_repair_as_a_person_and_a_program_read_them(tmp_path: Path) -> None:
    """The exit code of `check` is 8 until the repair, which changes nothing else."""
    home = tmp_path / "home"
    run("repair", "--home", str(home))
    with Bank(home / "bank") as bank:
        good, bad = bank.put(sample_signed()), bank.put(sample_signed(seed=1))
    path = home / "bank" / "skills" / f"{bad.id}.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    text = run("check", "--home", str(home), code=8).stdout
    assert f"damaged: {bad.id}" in text
    assert "repair with: teachmesh repair" in text
    document = run_json("check", "--home", str(home), code=8)
    assert (document["clean"], document["skills"], document["damaged"]) == (False, 1, [bad.id])

    text = run("repair", "--home", str(home)).stdout
    assert f"damaged: {bad.id}" in text
    assert "teachmesh up" in text
    document = run_json("check", "--home", str(home))
    assert (document["schema"], document["clean"]) == ("teachmesh.check/1", True)
    assert "intact skills: 1" in run("check", "--home", str(home)).stdout
    with Bank(home / "bank") as bank:
        assert bank.ids() == [good.id]
