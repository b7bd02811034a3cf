"""Routes that invite other agents, and with which this agent joins others."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from teachmesh.agent.on_mesh.mesh_invites import make_invite
from teachmesh.bank.invites import InviteBook
from teachmesh.errors import ConfigError, NetworkError, UsageError
from teachmesh.sharing.endpoints import parse_endpoint
from teachmesh.sharing.invite_code import is_invite, read_invite
from teachmesh.web import api_examples as examples
from teachmesh.web.form_files import json_body
from teachmesh.web.json_answers import JsonAnswer, body_of_json, described, in_thread
from teachmesh.web.qr_path import qr_path
from teachmesh.web.web_service import WebService


class MeshToJoin(BaseModel):
    """Request to join other agents.

    Attributes:
        join: an invite, or an endpoint of an agent.
    """

    join: str = Field(max_length=2000)

    def check(self) -> None:
        """Check the text before anything is connected.

        Raises:
            UsageError: it is neither an invite nor an endpoint.
        """
        try:
            read_invite(self.join) if is_invite(self.join) else parse_endpoint(self.join)
        except NetworkError as error:
            raise UsageError(str(error)) from None


def invite_routes(service: WebService) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(prefix="/v1", tags=["mesh"])
    _inviting_routes(router, service)
    _joining_route(router, service)
    return router


def _inviting_routes(router: APIRouter, service: WebService) -> None:
    agent = service.agent

    @router.get("/invites", summary="Invites of this agent", responses=described(examples.INVITES))
    async def invites() -> JsonAnswer:
        """Return the document of `teachmesh invite --list --json`, which has no secret."""

        def read() -> dict[str, Any]:
            found, now_s = InviteBook(agent.home.path).invites(), time.time()
            shown = [invite.to_json(now_s) for invite in found]
            return {"schema": "teachmesh.invites/1", "invites": shown}

        return await in_thread(read)

    @router.post(
        "/invites",
        summary="Invite another agent",
        responses=described(examples.INVITE, 400, 401, 409),
    )
    async def invite(
        minutes: Annotated[float, Query(description="Time until the invite expires.")] = 60.0,
        at: Annotated[
            list[str] | None,
            Query(description="Addresses at which others reach this machine.", max_length=4),
        ] = None,
    ) -> JsonAnswer:
        """Return the document of `teachmesh invite --json`, with the QR code as an SVG path."""

        def make() -> dict[str, Any]:
            made = make_invite(agent, 60 * minutes, tuple(at or ())).to_json()
            return {"schema": "teachmesh.invite/1", **made, "qr": qr_path(made["invite"])}

        return await in_thread(make)

    @router.delete(
        "/invites/{invite_id}",
        summary="Revoke an invite",
        responses=described(examples.REVOKED, 400, 401),
    )
    async def revoke(invite_id: str) -> JsonAnswer:
        """Return the document of `teachmesh invite --revoke --json`."""

        def change() -> dict[str, Any]:
            revoked = InviteBook(agent.home.path).revoke(invite_id)
            return {"schema": "teachmesh.revoked/1", "id": revoked.id}

        return await in_thread(change)


def _joining_route(router: APIRouter, service: WebService) -> None:
    @router.post(
        "/join",
        summary="Join other agents",
        responses=described(examples.JOINED, 400, 401, 409),
        openapi_extra=body_of_json(MeshToJoin, examples.JOIN),
    )
    async def join(request: Request) -> JsonAnswer:
        """Use an invite or an endpoint, as `teachmesh up --join` does, without ending the agent.

        With an invite, the agent leaves its mesh. The events tell when it is connected.
        """
        asked = await json_body(request, MeshToJoin)
        asked.check()
        session = service.session
        if session is None:
            raise ConfigError(
                "expected an agent that `teachmesh up` started; start this one with: "
                "teachmesh up --join INVITE"
            )

        def change() -> dict[str, Any]:
            return {"schema": "teachmesh.joined/1", "endpoints": [*session.join(asked.join)]}

        return await in_thread(change)
