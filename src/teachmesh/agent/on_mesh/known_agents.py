"""The agents that an agent has heard of, and decisions about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from teachmesh.packet.signing import agent_id
from teachmesh.trust.policy import Standing, find_agent

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.sharing.publications import Publication

DECISIONS = ("trust", "block", "unblock", "forget")


@dataclass(frozen=True)
class KnownAgent:
    """An agent that taught skills, is connected, or was decided about.

    Attributes:
        id: agent id.
        alias: its alias; empty if it is not known.
        standing: what happens to its skills.
        decided: UTC time of the decision; None if only the policy decides.
        stranger: whether another agent used this alias, or a look-alike, before.
        own: whether it is this agent itself.
        skills: number of its skills that are stored here.
        last_seen_s: seconds since it was heard of; None if it is not connected now.
        in_sync: whether it has the same skills; None if it is not connected now.
    """

    id: str
    alias: str
    standing: Standing
    decided: str | None
    stranger: bool
    own: bool
    skills: int
    last_seen_s: float | None = None
    in_sync: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the agent as a JSON object."""
        return asdict(self)


def known_agents(view: BankView) -> list[KnownAgent]:
    """Return all agents that an agent has heard of: itself first, then by alias and id.

    Raises:
        StorageError: the bank or the trust book cannot be read.
    """
    entries, state, own = view.bank.entries(), view.trust.state(), view.own_author()
    own_id = None if own is None else agent_id(own)
    live = set(view.bank.ids())
    counts = Counter(agent_id(e.author) for e in entries if e.id in live)
    running = view.running() or {"peers": []}
    peers = {peer["id"]: peer for peer in running["peers"] if "id" in peer}
    aliases = {
        agent: note.alias for agent, note in (*state.trusted.items(), *state.blocked.items())
    }
    aliases |= {agent_id(entry.author): entry.alias for entry in entries}
    aliases |= {agent: peer["alias"] for agent, peer in peers.items()}
    if own_id is not None:
        aliases[own_id] = view.alias
    found = []
    for agent, alias in aliases.items():
        note, peer = state.trusted.get(agent) or state.blocked.get(agent), peers.get(agent, {})
        found.append(
            KnownAgent(
                agent,
                alias,
                view.trust.standing(agent),
                None if note is None else note.time,
                view.trust.is_stranger(alias, agent),
                agent == own_id,
                counts[agent],
                peer.get("last_seen_s"),
                peer.get("in_sync"),
            )
        )
    return sorted(found, key=lambda one: (not one.own, one.alias, one.id))


def withheld(view: BankView, publications: Iterable[Publication]) -> list[dict[str, Any]]:
    """Return the authors that announced more skills than came, for example with newer versions.

    Args:
        view: the agent that receives.
        publications: statements of authors.
    """
    found = []
    for one in publications:
        here = view.bank.published(one.author)
        if here < one.published and view.trust.standing(one.author) == "trusted":
            names = {"id": agent_id(one.author), "alias": one.alias}
            found.append({**names, "announced": one.published, "here": here})
    return found


def peers_document(view: BankView) -> dict[str, Any]:
    """Return the document of `teachmesh peers list --json`; see `known_agents` for errors."""
    agents = [agent.to_json() for agent in known_agents(view)]
    return {"schema": "teachmesh.peers/1", "policy": view.trust.policy, "agents": agents}


def pending_document(view: BankView) -> dict[str, Any]:
    """Return the document of `teachmesh peers pending --json`."""
    authors = view.pending_agents()
    skills = [info.to_json() for info in view.active_infos() if info.author in authors]
    return {"schema": "teachmesh.pending/1", "skills": skills}


def decide(view: BankView, selector: str, decision: str) -> KnownAgent:
    """Trust, block, unblock or forget an agent; its skills follow at once, in every process.

    Args:
        view: the agent that decides.
        selector: id of the other agent, or its first characters if it is known here.
        decision: one of `DECISIONS`.

    Returns:
        The other agent after the decision.

    Raises:
        UsageError: no agent fits, or several do, or it is this agent itself.
        StorageError: the decision cannot be saved.
    """
    before = known_agents(view)
    agent = find_agent(selector, [one.id for one in before])
    alias = _alias_of(before, agent)
    if decision in ("trust", "block"):
        getattr(view.trust, decision)(agent, alias)
    else:
        getattr(view.trust, decision)(agent)
    view.bank.follow_decisions()
    after = [one for one in known_agents(view) if one.id == agent]
    standing = view.trust.standing(agent)
    return after[0] if after else KnownAgent(agent, alias, standing, None, False, False, 0)


def _alias_of(agents: Iterable[KnownAgent], agent: str) -> str:
    return next((one.alias for one in agents if one.id == agent), "")
