"""The pages of the demo's agents, shown until a person has seen enough."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Callable, Sequence

from teachmesh.errors import NetworkError
from teachmesh.web.running_web import RunningWeb
from teachmesh_lab.demo.agent_processes import AgentProcess

_WAIT_S = 60.0


def links_of(agents: Sequence[AgentProcess]) -> dict[str, str]:
    """Return the link to the page of each agent that runs, with its token, by name.

    Raises:
        NetworkError: an agent serves no page in time.
    """
    return {agent.name: _link_of(agent) for agent in agents if not agent.killed}


def _link_of(agent: AgentProcess) -> str:
    deadline_s = time.monotonic() + _WAIT_S
    while (found := RunningWeb(agent.home).read()) is None:
        if time.monotonic() > deadline_s:
            raise NetworkError(
                f"expected a page of {agent.name}, got none; install it with: "
                'pip install "teachmesh[web]"'
            )
        time.sleep(0.1)
    return f"{found.url}#token={found.token}"


def show_pages(agents: Sequence[AgentProcess], log: Callable[[str], None]) -> None:
    """Show the links, open the first one in a browser, and wait for Ctrl-C.

    Args:
        agents: the agents; killed ones have no page.
        log: called with one line per agent.

    Raises:
        NetworkError: an agent serves no page in time.
    """
    links = links_of(agents)
    for name, link in links.items():
        log(f"page of {name}: {link}")
    webbrowser.open(next(iter(links.values())))
    log("look around; Ctrl-C ends the pages, and the demo goes on")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        log("the pages are closed")
