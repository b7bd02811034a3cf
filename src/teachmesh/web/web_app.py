"""The application: routes, errors and the guard in front of them."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from teachmesh.errors import TeachmeshError
from teachmesh.version import __version__
from teachmesh.web.answer_routes import answer_routes
from teachmesh.web.http_errors import HttpRefusal, body_of, body_of_status, status_of
from teachmesh.web.invite_routes import invite_routes
from teachmesh.web.json_answers import JsonAnswer
from teachmesh.web.mesh_routes import mesh_routes
from teachmesh.web.page_routes import page_routes
from teachmesh.web.peer_routes import peer_routes
from teachmesh.web.request_guard import RequestGuard
from teachmesh.web.skill_routes import skill_routes
from teachmesh.web.teaching_routes import teaching_routes
from teachmesh.web.web_service import WebService

_log = logging.getLogger(__name__)
_ROUTES = (
    answer_routes,
    teaching_routes,
    skill_routes,
    peer_routes,
    invite_routes,
    mesh_routes,
    page_routes,
)
_DESCRIPTION = (
    "Ask, teach and inspect one agent. Every change needs the header `Authorization: Bearer "
    "TOKEN`, with the token in the file `web.token` of the agent's home. An error has the codes of "
    "the command line."
)


def make_app(service: WebService) -> FastAPI:
    """Return the application for one agent.

    Args:
        service: the agent, and what its routes share.
    """
    app = FastAPI(
        title="teachmesh",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    for routes in _ROUTES:
        app.include_router(routes(service))
    _handle_errors(app)
    app.add_middleware(
        RequestGuard, access=service.access, limits=service.limits, counts=service.counts
    )
    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(TeachmeshError)
    async def known(_request: Request, error: TeachmeshError) -> JsonAnswer:
        return JsonAnswer(body_of(error), status_code=status_of(error))

    @app.exception_handler(HttpRefusal)
    async def refused(_request: Request, error: HttpRefusal) -> JsonAnswer:
        return _refusal(error.status, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JsonAnswer:
        first = error.errors()[0]
        name = first["loc"][-1]
        return _refusal(
            400, f"expected another value of {name}: {first['msg']}; see /v1/openapi.json"
        )

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> JsonAnswer:
        text = f"{error.detail}; see /v1/openapi.json for the addresses and methods of this agent"
        return _refusal(error.status_code, text)

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, error: Exception) -> JsonAnswer:
        _log.error("an unexpected error in a request", exc_info=error)
        text = f"an unexpected error, please report it: {type(error).__name__}"
        return _refusal(500, text)


def _refusal(status: int, message: str) -> JsonAnswer:
    headers = {"retry-after": "1"} if status == 429 else None
    return JsonAnswer(body_of_status(status, message), status_code=status, headers=headers)
