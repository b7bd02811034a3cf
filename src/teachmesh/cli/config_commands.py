"""`teachmesh config`: show and change the settings of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, plain, say
from teachmesh.cli.shared_options import HomeOption, JsonOption

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = application("Settings of this agent: its alias, its policy for strangers, and sharing.")
    app.add_typer(group, name="config")
    command(group, "alias", "teachmesh config alias", "teachmesh config alias box-1")(alias)
    command(group, "policy", "teachmesh config policy", "teachmesh config policy ask")(policy)
    command(group, "share", "teachmesh config share", "teachmesh config share ask")(share)


def alias(
    name: Annotated[
        str | None, typer.Argument(help="New alias. Default: show the alias.", show_default=False)
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show or change the name of this agent; others see it next to the agent's id.

    The new name is on skills that are learned from now on.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home)
    if name is not None:
        set_alias(view, name)
    _show("alias", view.alias, view, json_output=json_output)


def set_alias(view: BankView, name: str) -> None:
    """Save the alias of an agent.

    Raises:
        ConfigError: the alias is not a valid name.
    """
    view.home.change_config(alias=name)
    view.trust.pin(name, view.key.public_key)


def policy(
    name: Annotated[
        str | None,
        typer.Argument(help="ask, invited or open. Default: show the policy.", show_default=False),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show or change the policy for skills of agents that nobody decided about.

    open uses them. ask stores them until `teachmesh peers trust`. invited refuses them. The policy
    is open until the agent listens or joins outside this machine; then it becomes ask.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home)
    if name is not None:
        view.trust.set_policy(name)
        view.bank.follow_decisions()
    _show("policy", view.trust.policy, view, json_output=json_output)


def share(
    name: Annotated[
        str | None,
        typer.Argument(help="all, ask or none. Default: show the setting.", show_default=False),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show or change whether peers get the tasks that this agent learns from now on.

    all sends them. ask waits for `teachmesh skills share TASK`. none keeps them, and new versions
    of shared tasks too; `skills share` still shares one. Tasks learned before stay as they are.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home)
    if name is not None:
        view.home.change_config(share=name)
    _show("share", view.home.config.share, view, json_output=json_output)


def _show(setting: str, value: str, view: BankView, *, json_output: bool) -> None:
    if json_output:
        emit({"schema": "teachmesh.setting/1", "id": view.id, setting: value})
    else:
        say(f"{setting}: {plain(value)} (agent {view.id})")
