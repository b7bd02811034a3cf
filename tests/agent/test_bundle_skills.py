"""A bundle carries what the network would, through the same checks, to a machine without one."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent.agent import Agent
from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.agent.on_mesh.bundle_skills import export_bundle, import_bundle
from teachmesh.agent.on_mesh.node import Node
from teachmesh.errors import StorageError
from teachmesh.model.backbone_cards import embedded_card
from teachmesh.model.embedded_backbone import LAST_WIDTH
from teachmesh.packet.signing import AgentKey, VerifiedSkill, sign
from teachmesh.packet.skill import Skill
from tests.cli.test_commands import run, run_json
from tests.packet.sample_skills import ALICE, BOB, LATENT_SIZE, sample_skill
from tests.sharing.memory_transport import Hub, InMemoryTransport


def made(key: AgentKey, task: str, **changes: object) -> VerifiedSkill:
    """A skill of the embedded backbone; tasks differ by their names."""
    card = {"backbone_fingerprint": embedded_card()["fingerprint"], "author": key.public_key}
    small = sample_skill(seed=len(task), task=task, **{**card, **changes})
    wide = {
        name: np.tile(array, (1, LAST_WIDTH // LATENT_SIZE)) if array.ndim == 2 else array
        for name, array in small.tensors.items()
    }
    return sign(Skill(small.card, wide), key)


@pytest.fixture
def teacher(tmp_path: Path) -> BankView:
    """An agent with skills of others, a replaced and a withdrawn one of its own."""
    view = BankView(tmp_path / "teacher")
    for key, task in ((ALICE, "asters"), (ALICE, "lilies"), (BOB, "asters")):
        view.bank.put(made(key, task))
    old = view.bank.put(made(view.key, "screws"))
    view.bank.put(made(view.key, "screws", replaces=old.id))
    view.bank.put(made(view.key, "mistakes"))
    view.withdraw("mistakes")
    return view


def results(view: BankView, path: Path) -> list[str]:
    """The result of each file."""
    return [result.result for result in import_bundle(view, path)]


@pytest.mark.parametrize("name", ["skills.bundle", "stick"])
def test_a_bundle_gives_the_bank_that_the_network_gives(
    teacher: BankView, tmp_path: Path, name: str
) -> None:
    """Equal skills and tombstones, from a file and from a folder; a second time changes nothing."""
    path = tmp_path / name
    if name == "stick":
        path.mkdir()
    done = export_bundle(teacher, path)
    assert (done.skills, done.tombstones, done.damaged) == (4, 2, ())
    by_bundle = BankView(tmp_path / "by bundle")
    assert results(by_bundle, path) == ["saved"] * 6
    assert results(by_bundle, path) == ["known"] * 6
    by_net, hub = Agent(tmp_path / "by net"), Hub()
    nodes = [
        Node(agent, InMemoryTransport(hub, agent.id), lambda _event: None)
        for agent in (Agent(teacher.home.path), by_net)
    ]
    with nodes[0], nodes[1]:
        nodes[1].wait_for_peers()
    assert by_bundle.digest() == by_net.digest() == teacher.digest()
    assert by_bundle.bank.withdrawals.ids() == by_net.bank.withdrawals.ids()
    assert [e.task for e in by_bundle.bank.active()] == [e.task for e in by_net.bank.active()]


def test_a_bundle_that_travels_on_is_the_same_file(teacher: BankView, tmp_path: Path) -> None:
    """Equal banks give equal bytes, which tar programs can read."""
    first, second = tmp_path / "first", tmp_path / "second"
    export_bundle(teacher, first)
    view = BankView(tmp_path / "student")
    results(view, first)
    export_bundle(view, second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        names = archive.getnames()
    assert len(names) == 6
    assert names == sorted(names)


def test_a_withdrawal_reaches_an_agent_that_had_the_skill(
    teacher: BankView, tmp_path: Path
) -> None:
    """The task is gone after the second bundle; so are files of replaced versions."""
    student, stick = BankView(tmp_path / "student"), tmp_path / "stick"
    student.bank.put(made(teacher.key, "mistakes"))
    assert [e.task for e in student.bank.active()] == ["mistakes"]
    export_bundle(teacher, stick)
    results(student, stick)
    assert "mistakes" not in [e.task for e in student.bank.active()]
    assert student.digest() == teacher.digest()


def test_every_file_passes_the_checks_for_peers(teacher: BankView, tmp_path: Path) -> None:
    """Removed here, another backbone, a changed byte, a wrong name, too large."""
    stick = tmp_path / "stick"
    stick.mkdir()
    export_bundle(teacher, stick)
    view = BankView(tmp_path / "student")
    removed = view.bank.put(made(ALICE, "asters")).id
    view.remove(removed)
    foreign = made(BOB, "roses", backbone_fingerprint="ab" * 32)
    (stick / "skills" / f"{foreign.id}.skill").write_bytes(foreign.data)
    lilies = next(e.id for e in teacher.bank.entries() if e.task == "lilies")
    file = stick / "skills" / f"{lilies}.skill"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (stick / "skills" / "notes.txt").write_text("hello")
    (stick / "skills" / f"{'0' * 64}.skill").write_bytes(bytes((16 << 20) + 1))
    (stick / "tombstones" / f"{'1' * 64}.json").write_text("{}")
    found = {result.file.split("/")[1][:12]: result for result in import_bundle(view, stick)}
    reasons = {name: result.reason for name, result in found.items() if result.is_failure}
    assert reasons == {
        removed[:12]: "AUTHOR",
        foreign.id[:12]: "BACKBONE",
        lilies[:12]: "HASH",
        "notes.txt": "",
        "0" * 12: "",
        "1" * 12: reasons["1" * 12],
    }
    assert reasons["1" * 12] != ""
    assert "at most 16777216 bytes" in found["0" * 12].message
    assert removed not in view.bank.ids()


def _cut(data: bytes) -> Iterator[bytes]:
    """Yield a bundle that is cut or changed in many places."""
    for n in range(0, len(data), len(data) // 60):
        yield data[:n]
    for place in (124, 125, 135, 136, 148, 156, 257):  # size, checksum and kind of the first file
        for value in (b"\x80", b"\xff", b"7", b"\0", b"5"):
            yield data[:place] + value + data[place + 1 :]
    huge = tarfile.TarInfo("skills/" + "2" * 64 + ".skill")
    for size in (1 << 39, 1 << 62, -512):
        huge.size = size
        yield huge.tobuf(tarfile.GNU_FORMAT) + data
    link = tarfile.TarInfo("skills/" + "3" * 64 + ".skill")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    yield link.tobuf(tarfile.USTAR_FORMAT) + data


def test_a_damaged_bundle_gives_all_that_is_intact(teacher: BankView, tmp_path: Path) -> None:
    """No error but the one sentence for a file that is no bundle at all, and no endless loop."""
    whole, path = tmp_path / "whole", tmp_path / "cut"
    export_bundle(teacher, whole)
    ids, view = set(teacher.bank.ids()), BankView(tmp_path / "student")
    saved: list[int] = []
    for data in _cut(whole.read_bytes()):
        path.write_bytes(data)
        with suppress(StorageError):  # no bundle at all
            saved.append(results(view, path).count("saved"))
        assert set(view.bank.ids()) <= ids
    assert sum(saved) >= 5
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(whole, "whole")
    path.write_bytes(packed.getvalue())
    with pytest.raises(StorageError, match="without compression"):
        results(view, path)


def test_the_commands_report_each_file(teacher: BankView, tmp_path: Path) -> None:
    """Text and JSON; 9 if a file was not saved; nothing is left after a full disk or a bad path."""
    home, other = str(teacher.home.path), str(tmp_path / "other")
    stick = tmp_path / "usb" / "all.bundle"
    assert "its folder does not exist" in run("bundle", "export", str(stick), code=8).stderr
    stick.parent.mkdir()
    told = run("bundle", "export", str(stick), "--home", home).stdout
    assert told.startswith("wrote 4 skills and 2 withdrawals")
    assert [path.name for path in stick.parent.iterdir()] == ["all.bundle"]
    lines = run("bundle", "import", str(stick), "--home", other).stdout.splitlines()
    assert len([line for line in lines if line.startswith("saved")]) == 6
    assert lines[-1] == "6 saved, 0 known before, 0 not saved"
    folder = shutil.copytree(stick.parent, tmp_path / "folder")
    (folder / "skills").mkdir()
    (folder / "skills" / "junk").write_text("x")
    document = run_json("bundle", "import", str(folder), "--home", other, code=9)
    assert (document["failed"], document["files"][0]["result"]) == (1, "unreadable")
    assert "expected a bundle" in run("bundle", "import", str(tmp_path), code=8).stderr
    assert run_json("bundle", "export", str(stick), "--home", home)["skills"] == 4
