"""Choose between the agent that runs in a home and an agent of the command's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from teachmesh.web.running_agent import RunningAgent

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.agent.known_skills.bank_view import BankView


def view_of(home: Path | None, *, local: bool) -> RunningAgent | BankView:
    """Return the running agent of a home, or a view of its bank.

    Args:
        home: value of `--home`.
        local: value of `--local`.
    """
    running = None if local else RunningAgent.of(home)
    if running is not None:
        return running
    from teachmesh.agent.known_skills.bank_view import BankView

    return BankView(home, reading=True)


def agent_of(
    home: Path | None,
    *,
    backbone: str | None,
    method: str | None,
    device: str,
    local: bool,
    arithmetic: tuple[str, str],
) -> RunningAgent | Agent:
    """Return the running agent of a home, or an agent that only reads.

    Args:
        home: value of `--home`.
        backbone: value of `--backbone`.
        method: value of `--method`.
        device: value of `--device`.
        local: value of `--local`.
        arithmetic: values of `--engine` and `--dtype`, for an agent of the command's own; the
            running agent keeps its own.
    """
    running = (
        None if local else RunningAgent.of(home, backbone=backbone, method=method, device=device)
    )
    if running is not None:
        return running
    from teachmesh.agent import Agent

    engine, dtype = arithmetic
    return Agent(
        home,
        backbone=backbone,
        mapper=method,
        device=device,
        engine=engine,
        dtype=dtype,
        reading=True,
    )
