"""A running agent refuses broken and foreign skills with a reason, and keeps running."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.node import BankInventory, Node
from teachmesh.model.backbone_cards import export_backbone
from teachmesh.model.backbone_registry import add_timm, import_backbone
from teachmesh.sharing.gossip import Gossip
from tests.model.nets import needs_timm, random_timm
from tests.sharing.memory_transport import Hub, InMemoryTransport
from tests.sharing.meshes import wait_until


class _Forging(BankInventory):
    """Inventory that sends every skill with its last byte changed, under the new hash."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        import hashlib

        self._forged: dict[str, bytes] = {}
        for skill_id in agent.bank.ids():
            data = bytearray(agent.read(skill_id))
            data[-1] ^= 1
            self._forged[hashlib.sha256(data).hexdigest()] = bytes(data)

    def ids(self) -> frozenset[str]:
        return frozenset(self._forged)

    def digest(self) -> str:
        return "f" * 64

    def read(self, skill_id: str) -> bytes | None:
        return self._forged.get(skill_id)


def test_a_forged_skill_is_an_event_with_its_reason_and_honest_ones_still_arrive(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Mallory's skill is refused because of its signature; alice's skill is received."""
    alice, mallory, bob = (Agent(tmp_path / name) for name in ("alice", "mallory", "bob"))
    alice.learn(warm, allow_few=True)
    mallory.learn(cold, allow_few=True)
    hub = Hub()
    events: list[dict[str, Any]] = []
    others = [
        Gossip(BankInventory(alice), InMemoryTransport(hub, alice.id), alice.key, alias="alice"),
        Gossip(_Forging(mallory), InMemoryTransport(hub, mallory.id), mallory.key, alias="mallory"),
    ]
    for gossip in others:
        gossip.start()
    try:
        with Node(bob, InMemoryTransport(hub, bob.id), on_event=events.append) as node:
            stop = threading.Event()
            runner = threading.Thread(target=node.run, args=((), stop))
            runner.start()
            wait_until(
                lambda: {"refused", "received"} <= {event["event"] for event in events},
                "one skill is refused and the other received",
            )
            stop.set()
            runner.join()
    finally:
        for gossip in others:
            gossip.close()
    refused = next(event for event in events if event["event"] == "refused")
    assert refused["reason"] == "SIGNATURE"
    assert [entry.task for entry in bob.bank.entries()] == ["warm"]


@needs_timm
def test_a_skill_refused_for_its_backbone_comes_once_the_backbone_was_imported(
    tmp_path: Path, warm: Path
) -> None:
    """Another process imports it into the home of a running agent, without a restart."""
    weights = random_timm("mobilenetv3_small_050", tmp_path, half=True)
    home = Agent(tmp_path / "alice").home
    small: dict[str, Any] = {"size": 32, "dim": 24, "reference_images": 40}
    added = add_timm(home.backbones, "mobilenetv3_small_050", weights=weights, **small)
    alice = Agent(tmp_path / "alice", backbone=added.name)
    skill_id = alice.learn(warm, allow_few=True).skill_id
    bob = Agent(tmp_path / "bob")
    hub = Hub()
    events: list[dict[str, Any]] = []
    gossip = Gossip(
        BankInventory(alice), InMemoryTransport(hub, alice.id), alice.key, alias="alice"
    )
    gossip.start()
    try:
        with Node(bob, InMemoryTransport(hub, bob.id), on_event=events.append):
            wait_until(lambda: any(e["event"] == "refused" for e in events), "it is refused")
            assert not bob.bank.ids()
            data = export_backbone(home.backbones, added.name)
            import_backbone(bob.home.backbones, data, None)
            wait_until(lambda: skill_id in bob.bank.ids(), "it is here")
    finally:
        gossip.close()
    assert [event["reason"] for event in events if event["event"] == "refused"] == ["BACKBONE"]
