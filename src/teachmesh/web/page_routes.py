"""The page: one HTML document from templates, and its scripts and styles."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from teachmesh.version import __version__
from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.web_service import WebService

PAGE = Path(__file__).parent / "page"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


def page_routes(service: WebService) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(include_in_schema=False)
    html = _render(is_local=service.access.is_local)
    files = {
        path.name: (path.read_bytes(), _KINDS[path.suffix])
        for path in (PAGE / "static").iterdir()
        if path.suffix in _KINDS
    }

    @router.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(html)

    @router.head("/")
    async def head() -> HTMLResponse:
        return HTMLResponse(html)

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in files:
            raise HttpRefusal(404, "expected a file of the page; reload the page")
        data, kind = files[name]
        return Response(data, headers={"content-type": kind})

    return router


def _render(*, is_local: bool) -> str:
    """Return the HTML of the page, with all values escaped."""
    templates = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined
    )
    return templates.get_template("index.html").render(version=__version__, is_local=is_local)
