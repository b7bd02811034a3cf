"""Routes for the skills of the bank: list, card, history, restore, withdraw, export, import."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from teachmesh.agent.known_skills.catalogue import SkillInfo
from teachmesh.errors import DataError, UnknownSkillError
from teachmesh.web import api_examples as examples
from teachmesh.web.form_files import json_body, sent_files, some_files
from teachmesh.web.json_answers import (
    JsonAnswer,
    body_of_files,
    body_of_json,
    described,
    in_thread,
)
from teachmesh.web.quarantine_routes import quarantine_routes
from teachmesh.web.web_service import WebService


class VersionToRestore(BaseModel):
    """Request to make an earlier version active again.

    Attributes:
        version: number of the version, or the start of its id; null for the one before.
    """

    version: str | int | None = None


def skill_routes(service: WebService) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(prefix="/v1/skills", tags=["skills"])
    _reading_routes(router, service)
    _changing_routes(router, service)
    quarantine_routes(router, service)
    return router


def known(service: WebService, selector: str) -> SkillInfo:
    """Return the skill that a name or the start of an id stands for.

    Raises:
        UnknownSkillError: no skill has this name, or several have.
    """
    try:
        return service.agent.find(selector)
    except DataError as error:
        raise UnknownSkillError(str(error)) from None


def _reading_routes(router: APIRouter, service: WebService) -> None:
    agent = service.agent

    @router.get("", summary="List skills", responses=described(examples.SKILLS))
    async def listed(
        all_versions: Annotated[
            bool, Query(alias="all", description="Also list replaced and withdrawn skills.")
        ] = False,
    ) -> JsonAnswer:
        """Return the document of `teachmesh skills list --json`."""

        def read() -> dict[str, Any]:
            skills = [info.to_json() for info in agent.infos() if all_versions or info.active]
            ids, reasons = {skill["id"] for skill in skills}, agent.withheld.reasons()
            withheld = {skill: reason for skill, reason in reasons.items() if skill in ids}
            document = {"digest": agent.digest(), "skills": skills, "withheld": withheld}
            return {"schema": "teachmesh.skills/1", **document}

        return await in_thread(read)

    @router.get("/{skill}", summary="One skill", responses=described(examples.CARD, 404))
    async def card(skill: str) -> JsonAnswer:
        """Return the document of `teachmesh skills show --json`, and the entry of the list."""

        def read() -> dict[str, Any]:
            info = known(service, skill)
            return {
                "schema": "teachmesh.skill-card/1",
                "id": info.id,
                "card": agent.card(info.id),
                "skill": {**info.to_json(), "own": info.author == agent.id},
            }

        return await in_thread(read)

    @router.get("/{skill}/history", summary="Versions", responses=described(examples.HISTORY, 404))
    async def history(skill: str) -> JsonAnswer:
        """Return the document of `teachmesh skills history --json`, newest version first."""

        def read() -> dict[str, Any]:
            known(service, skill)
            versions = [version.to_json() for version in agent.history(skill)]
            return {"schema": "teachmesh.history/1", "versions": versions}

        return await in_thread(read)

    @router.get(
        "/{skill}/export",
        summary="Signed bytes of a skill",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def export(skill: str) -> Response:
        """Return the file that `teachmesh skills export` writes."""
        info = await asyncio.to_thread(known, service, skill)
        data = await asyncio.to_thread(agent.read, info.id)
        name = quote(f"{info.file_stem}.skill")
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}"}
        return Response(data, media_type="application/octet-stream", headers=headers)


def _changing_routes(router: APIRouter, service: WebService) -> None:
    agent = service.agent

    @router.post(
        "/{skill}/restore",
        summary="Make an earlier version active",
        responses=described(examples.RESTORED, 400, 401, 404),
        openapi_extra=body_of_json(VersionToRestore, {"version": 1}),
    )
    async def restore(request: Request, skill: str) -> JsonAnswer:
        """Return the document of `teachmesh skills restore --json`."""
        asked = await json_body(request, VersionToRestore)

        def change() -> dict[str, Any]:
            known(service, skill)
            return agent.restore(skill, asked.version).to_json()

        return await in_thread(change)

    @router.post(
        "/{skill}/withdraw",
        summary="Withdraw a task of this agent everywhere",
        responses=described(examples.WITHDRAWN, 400, 401, 404),
    )
    async def withdraw(skill: str) -> JsonAnswer:
        """Return the document of `teachmesh skills withdraw --json`."""

        def change() -> dict[str, Any]:
            known(service, skill)
            return {"schema": "teachmesh.withdrawn/1", **agent.withdraw(skill).to_json()}

        return await in_thread(change)

    @router.post(
        "/{skill}/share",
        summary="Share a task that this agent kept back",
        responses=described(examples.SHARED, 400, 401, 404),
    )
    async def share(
        skill: str,
        allow_few: Annotated[
            bool, Query(description="Also classes with fewer than 10 training images.")
        ] = False,
    ) -> JsonAnswer:
        """Return the document of `teachmesh skills share --json`."""

        def change() -> dict[str, Any]:
            known(service, skill)
            shared = agent.share_task(skill, allow_few=allow_few)
            return {"schema": "teachmesh.shared/1", **shared.to_json()}

        return await in_thread(change)

    @router.delete(
        "/{skill}",
        summary="Remove a skill from this agent only",
        responses=described(examples.REMOVED, 401, 404),
    )
    async def remove(skill: str) -> JsonAnswer:
        """Return the document of `teachmesh skills remove --json`."""

        def change() -> dict[str, Any]:
            info = known(service, skill)
            agent.remove(info.id)
            return {"schema": "teachmesh.removed/1", "id": info.id, "task": info.display_name}

        return await in_thread(change)

    @router.post(
        "",
        summary="Import skills",
        responses=described(examples.IMPORTED, 400, 401, 413, 415, 422),
        openapi_extra=body_of_files("Files that `skills export` wrote."),
    )
    async def take(request: Request) -> JsonAnswer:
        """Check skills as if a peer had sent them, and add them to the bank."""
        async with sent_files(request, service.limits) as sent:
            files = some_files(sent)

            def change() -> dict[str, Any]:
                entries = [(name, agent.receive(file.read())) for name, file in files]
                skills = [{"id": e.id, "task": e.task, "file": name} for name, e in entries]
                return {"schema": "teachmesh.imported/1", "skills": skills, "failed": []}

            return await in_thread(change)
