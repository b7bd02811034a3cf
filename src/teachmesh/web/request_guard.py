"""ASGI middleware around every request: access, limits of the body, headers and counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from teachmesh.web.http_errors import HttpRefusal, body_of_status

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from teachmesh.web.access import Access
    from teachmesh.web.request_counts import RequestCounts
    from teachmesh.web.web_limits import WebLimits

READERS = 64
"""Bodies that are received at the same time."""
_DRAIN_S = 2.0
_DRAIN_BYTES = 64 << 20
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)


class RequestGuard:
    """Middleware that lets a request through only if it is allowed and within the limits.

    Args:
        app: the application behind the guard.
        access: rules for callers.
        limits: limits of bodies.
        counts: counter of answers for `/metrics`.
    """

    def __init__(
        self, app: ASGIApp, access: Access, limits: WebLimits, counts: RequestCounts
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._counts = counts
        self._readers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; anything but HTTP is passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers_of(scope)
        body = _Body(receive, self._limits, ended=not _has_body(headers))
        sending = _Sending(send, scope, self._counts, body)
        try:
            self._access.check(scope["method"], scope["path"], headers)
            _check_length(headers, self._limits.body_bytes)
            await self._with_place(scope, body, sending)
        except HttpRefusal as refusal:
            await sending.refuse(refusal)

    async def _with_place(self, scope: Scope, body: _Body, sending: _Sending) -> None:
        """Pass a request on, unless too many bodies are received at the same time."""
        if not body.ended:
            if self._readers >= READERS:
                raise HttpRefusal(429, "expected fewer requests at the same time; try again soon")
            self._readers += 1
            body.on_end = self._release
        try:
            await self._app(scope, body.receive, sending.send)
        finally:
            body.end()

    def _release(self) -> None:
        self._readers -= 1


class _Body:
    """Body of a request, with limits of size and time."""

    def __init__(self, receive: Receive, limits: WebLimits, *, ended: bool) -> None:
        self._receive = receive
        self._limits = limits
        self._size = 0
        self._deadline_s = asyncio.get_running_loop().time() + limits.body_s
        self.ended = ended
        self.on_end: Callable[[], None] | None = None

    async def receive(self) -> Message:
        """Return the next part.

        Raises:
            HttpRefusal: 413 if the body is too large, 408 if it takes too long.
        """
        if self.ended:
            return await self._receive()  # waits until the caller leaves
        try:
            message = await self._part(self._deadline_s)
        except asyncio.TimeoutError:
            raise HttpRefusal(
                408, f"expected the whole request within {self._limits.body_s:g} s; send it again"
            ) from None
        if self._size > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)
        return message

    async def drain(self) -> None:
        """Drop the rest, for a short time: callers read an answer only after they sent all."""
        deadline_s = asyncio.get_running_loop().time() + _DRAIN_S
        most = self._size + _DRAIN_BYTES
        with suppress(asyncio.TimeoutError):
            while not self.ended and self._size < most:
                await self._part(deadline_s)

    async def _part(self, deadline_s: float) -> Message:
        left_s = deadline_s - asyncio.get_running_loop().time()
        message = await asyncio.wait_for(self._receive(), max(left_s, 0.001))
        self._size += len(message.get("body", b""))
        if not message.get("more_body", False):
            self.end()
        return message

    def end(self) -> None:
        """Free the place of this reader; later calls do nothing."""
        self.ended = True
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()


class _Sending:
    """Answer of a request, with the headers of every answer."""

    def __init__(self, send: Send, scope: Scope, counts: RequestCounts, body: _Body) -> None:
        self._send = send
        self._body = body
        self._scope = scope
        self._counts = counts
        self._started = False

    async def send(self, message: Message) -> None:
        """Send one message, with more headers at the start."""
        if message["type"] == "http.response.start":
            self._started = True
            if message["status"] != 408:
                await self._body.drain()
            self._counts.count(self._scope["method"], message["status"])
            own = list(message.get("headers", []))
            known = {name.lower() for name, _ in own}
            policy = (b"content-security-policy", PAGE_POLICY.encode())
            more = [pair for pair in (*_HEADERS, policy) if pair[0] not in known]
            message = {**message, "headers": [*own, *more]}
        await self._send(message)

    async def refuse(self, refusal: HttpRefusal) -> None:
        """Send the body of a refusal, unless the answer has begun."""
        if self._started:
            return
        body = json.dumps(body_of_status(refusal.status, str(refusal))).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if refusal.status == 429:
            headers.append((b"retry-after", b"1"))
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": body})


def too_large(limit_bytes: int) -> HttpRefusal:
    """Return the refusal of a body beyond the limit."""
    return HttpRefusal(
        413, f"expected at most {limit_bytes >> 20} MiB in one request; send fewer or smaller files"
    )


def _has_body(headers: Mapping[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by name; those of one name are joined, so that no check sees only one."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _check_length(headers: Mapping[str, str], limit_bytes: int) -> None:
    text = headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit():
        raise HttpRefusal(400, "expected a whole number in the header Content-Length; correct it")
    if len(text) > 18 or int(text) > limit_bytes:
        raise too_large(limit_bytes)
