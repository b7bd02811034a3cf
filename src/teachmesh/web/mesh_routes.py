"""Routes that show the agent itself: status, peers, events, reports and metrics."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from teachmesh.bank.atomic import storage_errors
from teachmesh.web import api_examples as examples
from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.json_answers import JsonAnswer, described
from teachmesh.web.request_counts import metrics_text
from teachmesh.web.request_guard import REPORT_POLICY
from teachmesh.web.web_service import WebService

_MOST_RUNS = 200


def mesh_routes(service: WebService) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(tags=["mesh"])
    _state_routes(router, service)
    _event_routes(router, service)
    _report_routes(router, service)
    return router


def _state_routes(router: APIRouter, service: WebService) -> None:
    agent = service.agent

    @router.get("/v1/status", summary="State of the agent", responses=described(examples.STATUS))
    async def status() -> JsonAnswer:
        """Return the document of `teachmesh status --json`."""
        return JsonAnswer(await asyncio.to_thread(agent.status))

    @router.get("/v1/agent", summary="Settings of this server", responses=described(examples.AGENT))
    async def settings() -> JsonAnswer:
        """Return the settings that decide whether a command may use this agent."""
        config = await asyncio.to_thread(lambda: agent.home.config)
        return JsonAnswer(
            {
                "schema": "teachmesh.agent/1",
                "home": str(agent.home.path),
                "backbone": agent.backbone_name,
                "method": agent.variant.name,
                "device": service.device,
                "configured": {"backbone": config.backbone, "method": config.method},
                "limits": {
                    "body_bytes": service.limits.body_bytes,
                    "files": service.limits.files,
                },
            }
        )

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Return counts of requests, images, skills, peers and traffic."""
        document = await asyncio.to_thread(agent.status)
        text = metrics_text(
            service.counts, document, service.events.stats, service.jobs.unfinished()
        )
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _event_routes(router: APIRouter, service: WebService) -> None:
    readers: set[object] = set()

    @router.get("/v1/events", summary="Events as they happen", response_class=StreamingResponse)
    async def events(
        request: Request, last_event_id: Annotated[str, Header()] = ""
    ) -> StreamingResponse:
        """Stream server-sent events: the kept ones first, then each new one.

        The data of each is a JSON object of schema `teachmesh.event/1`.
        """
        if len(readers) >= service.limits.streams:
            raise HttpRefusal(429, "expected fewer readers of events; close one")
        is_number = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 18
        number = int(last_event_id) if is_number else 0

        async def lines() -> Any:
            readers.add(request)
            try:
                async for line in service.events.stream(number):
                    yield line
            finally:
                readers.discard(request)

        return StreamingResponse(lines(), media_type="text/event-stream")


def _report_routes(router: APIRouter, service: WebService) -> None:
    @router.get("/v1/runs", summary="Reports in the home", responses=described(examples.RUNS))
    async def runs() -> JsonAnswer:
        """List the reports that `evaluate`, `bench` and `demo` wrote into the agent's home."""
        found = await asyncio.to_thread(find_reports, service.agent.home.path)
        documents = [
            {"name": name, "size_bytes": path.stat().st_size, "written_s": path.stat().st_mtime}
            for name, path in found.items()
        ]
        return JsonAnswer({"schema": "teachmesh.runs/1", "runs": documents})

    @router.get("/runs/{name:path}", summary="One report", response_class=Response)
    async def report(name: str) -> Response:
        """Return a report as a page that can run no script and load nothing."""
        path = (await asyncio.to_thread(find_reports, service.agent.home.path)).get(name)
        if path is None:
            raise HttpRefusal(404, "expected the name of a report; see GET /v1/runs")
        with storage_errors("could not read the report"):
            data = await asyncio.to_thread(path.read_bytes)
        headers = {"content-security-policy": REPORT_POLICY}
        return Response(data, media_type="text/html; charset=utf-8", headers=headers)


def find_reports(home: Path) -> dict[str, Path]:
    """Return the HTML reports of a home by name, newest first; links are not followed.

    Args:
        home: the agent's home folder.
    """
    found = [
        path
        for pattern in ("*.html", "runs/*.html", "runs/*/*.html")
        for path in home.glob(pattern)
        if path.is_file()
        and not path.is_symlink()
        and path.resolve().is_relative_to(home.resolve())
    ]
    newest = sorted(found, key=lambda path: (-path.stat().st_mtime, path))[:_MOST_RUNS]
    return {path.relative_to(home).as_posix(): path for path in newest}
