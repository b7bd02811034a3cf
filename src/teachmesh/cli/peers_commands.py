"""`teachmesh peers`: the agents that this one has heard of, and decisions about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, plain, say, table
from teachmesh.cli.shared_options import HomeOption, JsonOption, LocalOption
from teachmesh.cli.which_agent import view_of
from teachmesh.web.running_agent import RunningAgent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from teachmesh.agent.known_skills.catalogue import SkillInfo
    from teachmesh.agent.on_mesh.known_agents import KnownAgent

AgentArgument = Annotated[
    str,
    typer.Argument(
        metavar="AGENT", help="Id of the agent, such as K7QM-2F3D-ABCD-EFGH, or its beginning."
    ),
]
_TEXTS = {"trusted": "trusted", "pending": "not trusted yet", "blocked": "blocked"}


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = application("Other agents: list them, and decide whose skills to use.")
    app.add_typer(group, name="peers")
    command(group, "list", "teachmesh peers list", "teachmesh peers list --json")(list_agents)
    command(group, "pending", "teachmesh peers pending", "teachmesh peers pending --json")(pending)
    for function in (trust, block, unblock, forget):
        name = function.__name__
        examples = (f"teachmesh peers {name} K7QM-2F3D", f"teachmesh peers {name} K7QM --json")
        command(group, name, *examples)(function)


def list_agents(
    local: LocalOption = False, home: HomeOption = None, json_output: JsonOption = False
) -> None:
    """List the agents that taught skills, are connected, or were decided about.

    An agent is named by its id, a hash of its key. Anybody may choose any alias.
    """
    from teachmesh.agent.on_mesh.known_agents import KnownAgent, peers_document

    view = view_of(home, local=local)
    document = view.peers() if isinstance(view, RunningAgent) else peers_document(view)
    if json_output:
        emit(document)
        return
    say(f"policy for strangers: {document['policy']}; change it with: teachmesh config policy")
    rows = [_row(KnownAgent(**agent)) for agent in document["agents"]]
    say(table(["agent", "alias", "standing", "skills", "seen"], rows) if rows else "no agent yet")


def _row(agent: KnownAgent) -> list[str]:
    alias = f"{agent.alias} (a stranger with this alias)" if agent.stranger else agent.alias
    seen = "-" if agent.last_seen_s is None else f"{agent.last_seen_s:.0f} s ago"
    standing = "this agent" if agent.own else _TEXTS[agent.standing]
    return [agent.id, plain(alias), standing, str(agent.skills), seen]


def pending(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """List the skills of agents that are not trusted yet; no answer uses them."""
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home, reading=True)
    authors = view.pending_agents()
    skills = [info for info in view.active_infos() if info.author in authors]
    if json_output:
        documents = [skill.to_json() for skill in skills]
        emit({"schema": "teachmesh.pending/1", "skills": documents})
        return
    if not skills:
        say("no skill waits for a decision")
        return
    say(table(["author", "alias", "task", "classes", "id"], list(_pending_rows(skills))))
    say("use the skills of an author with: teachmesh peers trust AUTHOR")


def _pending_rows(skills: Iterable[SkillInfo]) -> Iterable[list[str]]:
    for skill in sorted(skills, key=lambda skill: (skill.author, skill.task)):
        names = [plain(skill.alias), plain(skill.task)]
        yield [skill.author, *names, str(skill.n_classes), skill.id[:12]]


def trust(agent: AgentArgument, home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Use the skills of an agent from now on, also in a running `teachmesh up`.

    Compare the id with the one that `teachmesh status` shows on the other machine.
    """
    _decide(agent, "trust", home, json_output=json_output)


def block(agent: AgentArgument, home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Remove all that an agent taught, as if it had never come; it is not fetched again.

    Skills of other authors are still accepted from this agent. `unblock` takes the block back.
    """
    _decide(agent, "block", home, json_output=json_output)


def unblock(agent: AgentArgument, home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Take the block of an agent back; its skills return, and the policy decides about them."""
    _decide(agent, "unblock", home, json_output=json_output)


def forget(agent: AgentArgument, home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Drop the decision about an agent; it is a stranger again, and the policy decides."""
    _decide(agent, "forget", home, json_output=json_output)


def _decide(selector: str, decision: str, home: HomeOption, *, json_output: bool) -> None:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.on_mesh.known_agents import decide

    done = decide(BankView(home), selector, decision)
    if json_output:
        emit({"schema": "teachmesh.peer/1", "decision": decision, "agent": done.to_json()})
        return
    alias = f" ({plain(done.alias)})" if done.alias else ""
    count = f"{done.skills} of its skills are here" if done.skills else "none of its skills is here"
    say(f"{done.id}{alias} is {_TEXTS[done.standing]}; {count}")
