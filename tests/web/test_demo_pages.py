"""`teachmesh demo --web`: the links to the pages of the agents that still run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from teachmesh_lab.demo.agent_pages import links_of
from tests.web.web_agents import served


def test_each_agent_that_runs_has_a_link_with_its_token(tmp_path: Path) -> None:
    """A killed agent has none; the token is behind the sign that browsers do not send."""
    with served(tmp_path / "alice") as caller:
        agents: list[Any] = [
            SimpleNamespace(name="alice", home=tmp_path / "alice", killed=False),
            SimpleNamespace(name="bob", home=tmp_path / "bob", killed=True),
        ]
        links = links_of(agents)
        address, token = links["alice"].split("#token=")
        assert (list(links), address) == (["alice"], caller.server.url)
        headers = {"authorization": f"Bearer {token}"}
        assert caller.http.post("/v1/uploads", headers=headers).status_code == 200
