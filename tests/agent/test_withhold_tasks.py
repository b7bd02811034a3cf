"""Private tasks never leave an agent, by any byte; the others do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from teachmesh import Agent, UsageError
from teachmesh.agent.on_mesh.node import BankInventory
from tests.cli.test_commands import run, run_json
from tests.conftest import write_task
from tests.sharing.meshes import wait_until
from tests.sharing.recording_proxy import RecordingProxy


def _parts(data: bytes) -> list[bytes]:
    """Return parts of a skill's tensors that no other skill has."""
    return [data[start : start + 24] for start in range(len(data) // 2, len(data) - 24, 4096)]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders warm and cold, and the home of an agent that learned them, cold in private."""
    place = tmp_path_factory.mktemp("learned")
    made = Agent(place / "home")
    made.learn(write_task(place, "warm", per_class=18))
    made.learn(write_task(place, "cold", per_class=18), name="cold-secret", private=True)
    made.bank.close()
    return place


@pytest.fixture
def alice(tmp_path: Path, learned: Path) -> Agent:
    """An agent with the public task warm and the private task cold-secret."""
    shutil.copytree(learned / "home", tmp_path / "alice")
    return Agent(tmp_path / "alice")


def test_no_byte_of_a_private_task_is_sent(tmp_path: Path, learned: Path, alice: Agent) -> None:
    """A relay records all bytes of both directions, and sees the public task."""
    bob, cold = Agent(tmp_path / "bob"), learned / "cold"
    old, public = alice.find("cold-secret").id, alice.find("warm").id
    new = alice.learn(cold, name="cold-secret", replace=True, force=True, seed=1).skill_id
    gone = alice.learn(cold, name="gone-secret", private=True).skill_id
    alice.withdraw("gone-secret")
    buried = alice.bank.withdrawals.named_by(alice.key.public_key)
    assert set(buried.values()) == {old, gone}
    assert BankInventory(alice).published() == 1  # the number of private tasks stays here, too
    secret = [b"secret", *_parts(alice.read(old)), *_parts(alice.read(new))]
    for identity in (old, new, gone, *buried):  # a tombstone names its skill
        secret += [identity.encode(), bytes.fromhex(identity)]
    with (
        alice.share() as mine,
        RecordingProxy(mine.endpoints[0]) as relay,
        bob.share(listen=(), join=relay.endpoint) as theirs,
    ):
        theirs.wait_for_peers()
        seen = relay.recorded()
        assert bob.bank.ids() == [public]
        assert all(part in seen for part in (b"warm", public.encode(), *_parts(alice.read(public))))
        assert [part for part in secret if part in seen] == []
        for kind, identity in [("skill", s) for s in (old, new, gone)] + [
            ("tombstone", t) for t in buried
        ]:
            assert theirs.transport.request(alice.id, kind, identity, 5) is None

        alice.share_task("cold-secret")
        wait_until(lambda: new in bob.bank.ids(), "the shared task comes")
        assert all(part in relay.recorded() for part in (b"cold-secret", *_parts(alice.read(new))))
        assert bob.bank.ids() == sorted([public, new])


def test_a_task_with_few_images_waits_for_allow_few(tmp_path: Path) -> None:
    """The sentence names the option, and the option shares the task."""
    few = write_task(tmp_path, "warm", per_class=6)
    home = ("--home", str(tmp_path / "home"))
    learned = run("learn", str(few), *home)
    assert "not shared: a class has fewer than 10 training images" in learned.stdout
    assert "teachmesh skills share warm --allow-few" in learned.stdout
    agent = Agent(tmp_path / "home")
    (skill,) = agent.bank.ids()
    assert BankInventory(agent).ids() == frozenset()
    assert not BankInventory(agent).wants(skill)
    assert run_json("skills", "list", *home)["withheld"] == {skill: "few"}
    assert "expected --allow-few" in run("skills", "share", "warm", *home, code=2).stderr
    assert run_json("skills", "share", "warm", "--allow-few", *home)["skills"] == [skill]
    assert BankInventory(agent).ids() == {skill}
    agent.learn(few, replace=True, force=True, seed=2)
    assert BankInventory(agent).ids() == set(agent.bank.ids())
    allowed = run_json("learn", str(few), "--name", "b", "--allow-few", *home)
    assert allowed["withheld"] is None


def test_the_home_decides_about_new_tasks(tmp_path: Path) -> None:
    """With ask a task waits for `skills share`; `unshare` says which copies stay."""
    warm, home = write_task(tmp_path, "warm", per_class=18), ("--home", str(tmp_path / "home"))
    assert run("config", "share", *home).stdout.startswith("share: all")
    assert (
        "expected share to be one of all, ask, none"
        in run("config", "share", "sometimes", *home, code=3).stderr
    )
    assert run_json("config", "share", "ask", *home)["share"] == "ask"
    learned = run_json("learn", str(warm), *home)
    assert learned["withheld"] == "ask"
    inventory = BankInventory(Agent(tmp_path / "home"))
    assert inventory.ids() == frozenset()
    assert "teachmesh skills share warm" in run("skills", "list", *home).stdout
    assert "shared warm" in run("skills", "share", "warm", *home).stdout
    assert inventory.ids() == {learned["skill"]}
    unshared = run("skills", "unshare", "warm", *home).stdout
    assert "copies that peers have stay" in unshared
    assert "teachmesh skills withdraw warm" in unshared
    assert inventory.ids() == frozenset()
    # Peers may have a copy, so its withdrawal is sent.
    run("skills", "withdraw", "warm", "--yes", *home)
    assert len(inventory.tombstones()) == 1


def test_a_private_version_does_not_take_the_shared_one_from_peers(
    learned: Path, alice: Agent
) -> None:
    """Peers keep the version that they got, because they would lose the task otherwise."""
    public = alice.find("warm").id
    alice.learn(learned / "warm", replace=True, private=True, seed=1)
    with alice.share():
        assert BankInventory(alice).ids() == {public}
        assert BankInventory(alice).tombstones() == frozenset()
    alice.share_task("warm")
    with alice.share():
        assert BankInventory(alice).ids() == {alice.find("warm").id}
        assert len(BankInventory(alice).tombstones()) == 1


def test_a_task_learned_from_a_private_one_stays_too(alice: Agent) -> None:
    """The card of a combined skill names its sources."""
    made = alice.combine("both", ["orange", "blue"])
    assert alice.withheld.reasons()[made.skill_id] == "source"
    with pytest.raises(UsageError, match="share that first, or learn it again without --reuse"):
        alice.share_task("both")
    alice.share_task("cold-secret")
    assert alice.share_task("both").skills == (made.skill_id,)
    assert json.dumps(alice.share_task("both").to_json())
