"""The drill `poison`: forged skills take the real way into a bank, and are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.agent import Agent
from teachmesh.learning.skill_bytes import packing_of
from teachmesh.mapping.packed_moments import Packing
from teachmesh.packet.codec import decode
from teachmesh.packet.signing import verify
from teachmesh_lab.drill.honest_tasks import HonestTask, learn_honest_tasks
from teachmesh_lab.drill.poison_attacks import Attack, Attacker
from teachmesh_lab.drill.poison_drill import PoisonDrill
from tests.conftest import write_task


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """An agent with the embedded backbone."""
    return Agent(tmp_path_factory.mktemp("learner"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of two tasks."""
    folder = tmp_path_factory.mktemp("tasks")
    for name in ("warm", "cold"):
        write_task(folder, name, per_class=10)
    return folder


@pytest.fixture(scope="module")
def tasks(learner: Agent, folder: Path) -> list[HonestTask]:
    """Two honest tasks by two authors."""
    return learn_honest_tasks(learner, folder, 0, None, lambda _line: None)


def test_attacks_are_signed_files_with_names_of_their_own(tasks: list[HonestTask]) -> None:
    """All but the pills are valid skills, whose bytes an agent admits."""
    attacks = list(Attacker(tasks, flood=3, many_classes=9).attacks())
    assert len({attack.name for attack in attacks}) == len(attacks) >= 16
    honest = {task.skill.skill.card.author for task in tasks}
    for attack in attacks:
        if any(word in attack.name for word in ("pills", "replay")):
            continue
        for data in attack.skills:
            skill = verify(decode(data))
            assert skill.skill.card.author not in honest


def test_attacks_on_small_skills_are_signed_files(learner: Agent, folder: Path) -> None:
    """Forged skills have the tensors of one way of writing, whatever the victim's is."""
    small = learn_honest_tasks(learner, folder, 0, None, lambda _line: None, Packing(2, 8, 4))
    assert [packing_of(task.skill.skill) for task in small] == [Packing(2, 8, 4)] * 2
    ways = {
        attack.name: packing_of(verify(decode(attack.skills[0])).skill)
        for attack in Attacker(small, flood=3, many_classes=9).attacks()
        if attack.name.startswith(("copies in", "2 exact copies"))
    }
    assert ways.pop("copies in 8 bits per number") is None
    assert ways.pop("copies in 1 bit per number") == Packing(1, 8, 2)
    assert set(ways.values()) == {Packing(2, 8, 4)}


def test_copies_cost_nothing_with_defences(
    learner: Agent, tasks: list[HonestTask], tmp_path: Path
) -> None:
    """Exact copies and copies of single classes cost nothing; no honest task is quarantined.

    Without defences, a task of one class wins: the class has the whole probability of its task.
    Between exact copies, ids and rounding decide.
    """
    drill = PoisonDrill(learner, tasks, tmp_path)
    assert drill.honest_quarantined() == []
    attacks = list(Attacker(tasks, flood=3, many_classes=9).attacks())
    copies = drill.run(next(attack for attack in attacks if "exact copies" in attack.name))
    assert copies.honest_defended == copies.honest_before > 0.8
    assert copies.stopped_by == "quarantined: DUPLICATE (2)"
    single = drill.run(next(attack for attack in attacks if attack.name == "one-class copies: 10"))
    assert single.honest_defended == single.honest_before
    assert single.honest_undefended < 0.2 * single.honest_before
    assert single.stopped_by == "quarantined: DUPLICATE (6)"
    advised = drill.run(next(attack for attack in attacks if attack.advised))
    assert advised.honest_defended == advised.honest_before
    pills = next(attack for attack in attacks if "pills" in attack.name)
    swallowed = drill.run(Attack("pills", pills.skills))
    assert swallowed.honest_undefended == swallowed.honest_before
    assert swallowed.stopped_by == "refused: FORMAT (5), refused: VALUE (3)"
