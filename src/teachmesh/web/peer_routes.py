"""Routes for other agents: who they are, and decisions whose skills are used."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path

from teachmesh.agent.on_mesh.known_agents import DECISIONS, decide, peers_document, pending_document
from teachmesh.errors import UsageError
from teachmesh.web import api_examples as examples
from teachmesh.web.json_answers import JsonAnswer, described
from teachmesh.web.web_service import WebService


def peer_routes(service: WebService) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(prefix="/v1/peers", tags=["mesh"])
    agent = service.agent

    @router.get("", summary="Other agents", responses=described(examples.PEERS))
    async def peers() -> JsonAnswer:
        """Return the document of `teachmesh peers list --json`."""
        return JsonAnswer(await asyncio.to_thread(peers_document, agent))

    @router.get("/pending", summary="Skills that wait", responses=described(examples.PENDING))
    async def pending() -> JsonAnswer:
        """Return the document of `teachmesh peers pending --json`."""
        return JsonAnswer(await asyncio.to_thread(pending_document, agent))

    @router.post(
        "/{peer}/{decision}",
        summary="Decide about an agent",
        responses=described(examples.PEER, 400, 401),
    )
    async def about(
        peer: Annotated[str, Path(description="Id of the agent, or its beginning.")],
        decision: Annotated[str, Path(description="trust, block, unblock or forget.")],
    ) -> JsonAnswer:
        """Return the document of `teachmesh peers trust --json` and the like."""

        def change() -> dict[str, Any]:
            if decision not in DECISIONS:
                raise UsageError(f"expected a decision of {', '.join(DECISIONS)}, got another one")
            done = decide(agent, peer, decision).to_json()
            return {"schema": "teachmesh.peer/1", "decision": decision, "agent": done}

        return JsonAnswer(await asyncio.to_thread(change))

    return router
