"""Content that an agent does not want, such as that of blocked authors, keeps it in sync."""

from __future__ import annotations

from teachmesh.errors import SkillRefused
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import Mesh, wait_until
from tests.sharing.test_convergence import wait_in_sync


class BlockingInventory(BytesInventory):
    """Blocks the author of the items in `refuse`, which is known only after they came."""

    def admit(self, skill_id: str, data: bytes) -> None:
        """Refuse blocked items."""
        if skill_id in self.refuse:
            raise SkillRefused("BLOCKED", "blocked on purpose")
        super().admit(skill_id, data)


def test_an_agent_that_blocks_is_in_sync_and_fetches_again_when_it_changes_its_mind(
    mesh: Mesh,
) -> None:
    """The peer, which has more, is not: it cannot know that its skills are not wanted."""
    giver, blocker = BytesInventory(b"good", b"bad", b"worse"), BlockingInventory()
    blocker.refuse = {id_of(b"bad")}
    blocker.unwanted = {id_of(b"worse")}
    first, second = mesh.agent("giver", giver), mesh.agent("blocker", blocker)
    wait_in_sync(second, 1)
    assert blocker.ids() == {id_of(b"good")}
    wait_until(lambda: [p.in_sync for p in first.stats().peers] == [False], "the peer knows")
    blocker.add(b"own")
    second.notify()
    wait_until(lambda: id_of(b"own") in giver.ids(), "the own skill reached the peer")
    wait_in_sync(second, 1)
    blocker.refuse, blocker.unwanted = set(), set()
    second.forget()
    wait_in_sync(first, 1)
    assert len(blocker.ids()) == 4
