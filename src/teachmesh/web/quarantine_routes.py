"""Routes for skills that are stored and shown, but not used in answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from teachmesh.agent.known_skills.quarantine import quarantined_skills, release
from teachmesh.web import api_examples as examples
from teachmesh.web.json_answers import JsonAnswer, described, in_thread
from teachmesh.web.web_service import WebService


def quarantine_routes(router: APIRouter, service: WebService) -> None:
    """Add the routes of one server to those of its skills."""
    agent = service.agent

    @router.get(
        "/quarantine/list",
        summary="Skills in quarantine",
        responses=described(examples.QUARANTINE),
    )
    async def held() -> JsonAnswer:
        """Return the document of `teachmesh skills quarantine list --json`."""

        def read() -> dict[str, Any]:
            skills = [skill.to_json() for skill in quarantined_skills(agent)]
            return {"schema": "teachmesh.quarantine/1", "skills": skills}

        return await in_thread(read)

    @router.post(
        "/{skill}/release",
        summary="Use a skill in quarantine",
        responses=described(examples.RELEASED, 401, 422),
    )
    async def use(skill: str) -> JsonAnswer:
        """Return the document of `teachmesh skills quarantine release --json`."""

        def change() -> dict[str, Any]:
            info = release(agent, skill)
            return {"schema": "teachmesh.released/1", "id": info.id, "task": info.task}

        return await in_thread(change)
