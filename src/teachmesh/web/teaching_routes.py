"""Routes that take pictures class by class, and learn a task from them in the background."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from teachmesh.data.names import check_name
from teachmesh.web import api_examples as examples
from teachmesh.web.form_files import json_body, sent_files, some_files
from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.json_answers import JsonAnswer, body_of_files, body_of_json, described
from teachmesh.web.web_service import WebService


class TaskToLearn(BaseModel):
    """Request to learn the pictures of an upload.

    Attributes:
        upload: id of the upload.
        name: name of a new task.
        add_to: task of this agent that the pictures are added to, instead of `name`.
        replace: whether a task of the same name is replaced.
        private: whether the skill stays on this machine.
        allow_few: whether classes with fewer than 10 training images are shared.
        method: method of learning; by default the agent's.
        quality: preset, `fast` (one backbone pass) or `best` (with biases where they help).
        max_bytes: largest size of the skill in bytes.
    """

    upload: str
    name: str | None = None
    add_to: str | None = None
    replace: bool = False
    private: bool = False
    allow_few: bool = False
    method: str | None = None
    quality: Literal["fast", "best"] | None = None
    max_bytes: Annotated[int, Field(ge=1)] | None = None

    def options(self) -> dict[str, Any]:
        """Return the options of `Agent.learn`.

        Raises:
            HttpRefusal: not exactly one of `name` and `add_to` is given.
            DataError: the name is not valid.
        """
        if (self.name is None) == (self.add_to is None):
            raise HttpRefusal(400, "expected either name or add_to; give one of them")
        if self.name is not None:
            check_name("task", self.name, as_file=True)
        given = self.model_dump(exclude={"upload"}, exclude_none=True)
        return {key: value for key, value in given.items() if value is not False}


def teaching_routes(service: WebService) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(prefix="/v1", tags=["teaching"])
    _upload_routes(router, service)
    _job_routes(router, service)
    return router


def _upload_routes(router: APIRouter, service: WebService) -> None:
    @router.post(
        "/uploads",
        summary="Begin to collect pictures of a task",
        responses=described(examples.UPLOAD, 401, 429),
    )
    async def begin() -> JsonAnswer:
        """Return the id of a new, empty upload. It is deleted after an hour without use."""
        return JsonAnswer(service.uploads.create().to_json())

    @router.post(
        "/uploads/{upload_id}",
        summary="Add pictures of one class",
        responses=described(examples.UPLOAD, 400, 401, 404, 413, 415, 422, 429),
        openapi_extra=body_of_files("Pictures of the class, at most 64 per request."),
    )
    async def add(
        request: Request,
        upload_id: str,
        class_name: Annotated[str, Query(alias="class", description="Name of the class.")],
    ) -> JsonAnswer:
        """Save pictures; they are checked when they are learned."""
        upload = service.uploads.find(upload_id)
        async with sent_files(request, service.limits) as sent:
            files = some_files(sent)
            await asyncio.to_thread(upload.add, class_name, files, service.limits)
        return JsonAnswer(upload.to_json())

    @router.delete(
        "/uploads/{upload_id}",
        summary="Delete an upload",
        responses=described(examples.UPLOAD, 401, 404),
    )
    async def drop(upload_id: str) -> JsonAnswer:
        """Delete an upload with all its pictures."""
        upload = service.uploads.find(upload_id)
        await asyncio.to_thread(service.uploads.discard, upload)
        return JsonAnswer(upload.to_json())


def _job_routes(router: APIRouter, service: WebService) -> None:
    @router.post(
        "/learn",
        summary="Learn the pictures of an upload",
        responses=described(examples.JOB, 400, 401, 404, 415, 422, 429),
        openapi_extra=body_of_json(TaskToLearn, examples.LEARN),
    )
    async def learn(request: Request) -> JsonAnswer:
        """Start to learn in the background; follow the job with GET /v1/jobs/{job}."""
        asked = await json_body(request, TaskToLearn)
        options = asked.options()
        if service.jobs.unfinished() >= service.limits.jobs:
            raise HttpRefusal(429, "expected fewer learning jobs; wait until one is done")
        job = service.learn(service.uploads.take(asked.upload), options)
        return JsonAnswer(job.to_json(), status_code=202)

    @router.get("/jobs", summary="All learning jobs", responses=described({"jobs": [examples.JOB]}))
    async def jobs() -> JsonAnswer:
        """List waiting, running and the latest finished jobs, oldest first."""
        found = [job.to_json() for job in service.jobs.all()]
        return JsonAnswer({"schema": "teachmesh.jobs/1", "jobs": found})

    @router.get(
        "/jobs/{job_id}", summary="One learning job", responses=described(examples.JOB, 404)
    )
    async def job(job_id: str) -> JsonAnswer:
        """Return state and progress, and at the end the learned skill or the error."""
        return JsonAnswer(service.jobs.find(job_id).to_json())

    @router.delete(
        "/jobs/{job_id}",
        summary="Cancel a learning job",
        responses=described(examples.JOB, 401, 404),
    )
    async def cancel(job_id: str) -> JsonAnswer:
        """Stop a job before its next batch of images; nothing is saved then."""
        return JsonAnswer(service.jobs.cancel(job_id).to_json())
