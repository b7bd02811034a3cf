"""Requests that are wrong, too large or hostile get 4xx, and the agent goes on answering.

The numbers are those of the list of bad inputs in the notes about trust.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import zlib
from collections import Counter
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from teachmesh.web import request_guard
from teachmesh.web.access import Access
from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.web_limits import WebLimits
from tests.web.web_agents import Caller, png, served


def jpeg() -> bytes:
    """A small JPEG file."""
    file = BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "JPEG")
    return file.getvalue()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture in a format."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file whose header announces a size, with few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


REFUSED = {
    "66 text": b"not an image",
    "67 truncated JPEG": jpeg()[:200],
    "68 bomb": png_of_size(13_000, 13_000),
    "69 long": png_of_size(60_000, 2_000),
    "71 no pixels": png_of_size(0, 0),
    "74 EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "74 SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "74 PDF": b"%PDF-1.7",
    "empty": b"",
}
FRAMES = [Image.new("P", (20, 20), n) for n in range(3)]
ACCEPTED = {
    "70 one pixel": png(1, 1),
    "72 many frames": saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
    "73 CMYK": saved(Image.new("CMYK", (20, 20)), "JPEG"),
    "73 16 bits": saved(Image.new("I;16", (20, 20)), "PNG"),
    "73 grey and alpha": saved(Image.new("LA", (20, 20)), "PNG"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_no_pictures_are_refused(caller: Caller, name: str) -> None:
    """The body is that of the command line, without a path of the server."""
    found = caller.predict(REFUSED[name], code=422)
    assert (found["error"], found["exit_code"]) == ("DataError", 4)


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_pictures_are_answered(caller: Caller, name: str) -> None:
    """Colours are converted; the first frame counts."""
    assert caller.predict(ACCEPTED[name])["predictions"][0]["task"] == "warm"


@pytest.fixture
def _patient_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that the machine stops while it sends is not cut off."""
    monkeypatch.setattr(request_guard, "_DRAIN_S", 60.0)


@pytest.mark.usefixtures("_patient_server")
def test_bodies_beyond_the_limits_are_refused(caller: Caller) -> None:
    """Size with and without a length (76), number of parts (77), and type (78)."""
    large = b"x" * (1 << 20)
    assert caller.predict(large, code=413)["exit_code"] == 4

    def parts() -> Any:
        yield from (b"x" * 65536 for _ in range(17))

    kind = {"content-type": "image/png"}
    assert caller.http.post("/v1/predict", content=parts(), headers=kind).status_code == 413
    assert caller.predict(*[png(2, 2)] * 17, code=413)["schema"] == "teachmesh.error/1"
    many = [("files", (f"{n}.png", b"x")) for n in range(1000)]
    assert caller.http.post("/v1/predict", files=many).status_code == 413
    fields = {f"f{n}": "x" for n in range(40)}
    assert caller.http.post("/v1/predict", data=fields, files={"a": b"b"}).status_code == 413
    for wrong in ("text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = caller.http.post("/v1/predict", content=b"x", headers={"content-type": wrong})
        assert answer.status_code in (400, 415), wrong
    assert caller.predict(png(8, 8))["skipped"] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.com"}, 421),
        ({"host": ""}, 421),
        ({"host": "127.0.0.1.evil.com:80"}, 421),
        ({"origin": "https://evil.com"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_requests_of_other_pages_are_refused(
    caller: Caller, headers: dict[str, str], status: int
) -> None:
    """Even with the token, reading included (79): no answer allows another origin."""
    for method, path in (("GET", "/v1/skills"), ("POST", "/v1/uploads")):
        answer = caller.http.request(method, path, headers=caller.token | headers)
        assert answer.status_code == status
        assert not [name for name in answer.headers if name.startswith("access-control")]


CHANGES = (
    ("POST", "/v1/uploads"),
    ("POST", "/v1/learn"),
    ("POST", "/v1/correct"),
    ("DELETE", "/v1/jobs/x"),
    ("POST", "/v1/skills"),
    ("DELETE", "/v1/skills/warm"),
    ("POST", "/v1/skills/warm/restore"),
    ("POST", "/v1/skills/warm/withdraw"),
    ("POST", "/v1/skills/warm/release"),
    ("POST", "/v1/skills/warm/share"),
    ("POST", "/v1/peers/K7QM-2F3D-ABCD-EFGH/trust"),
    ("POST", "/v1/invites"),
    ("DELETE", "/v1/invites/3f9a5c0d"),
    ("POST", "/v1/join"),
)


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_no_change_without_the_token(
    caller: Caller, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    """Neither a wrong one nor one in the address helps (80), and no log has it."""
    token = caller.token["authorization"].removeprefix("Bearer ")
    with caplog.at_level(logging.DEBUG):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {token}"}):
            assert caller.http.request(method, path, headers=headers).status_code == 401
        assert caller.http.request(method, path, params={"t": "wrong"}).status_code == 401
        caller.http.request(method, path + "/../..", headers=caller.token)
    assert token not in caplog.text


def test_every_changing_route_needs_the_token(caller: Caller) -> None:
    """The list above is complete: only predictions send data without changing anything."""
    rules = Access("x" * 20)
    for path, methods in caller.get("/v1/openapi.json")["paths"].items():
        for method in {name.upper() for name in methods} - {"GET"} if path != "/v1/predict" else ():
            with pytest.raises(HttpRefusal, match="token"):
                rules.check(method, path, {"host": "localhost"})


@pytest.mark.parametrize(
    "path",
    [
        "/v1/skills/..%2F..%2Fetc%2Fpasswd",
        "/v1/skills/%00",
        "/static/..%2Findex.html",
        "/static/%2e%2e/index.html",
        "/runs/..%2Fagent.key",
        "/runs/agent.key",
        "/runs//etc/passwd",
        "/v1/jobs/..%2Fx",
        "/v1/uploads/../../x",
        "/nothing",
    ],
)
def test_no_path_leads_out(caller: Caller, path: str) -> None:
    """Names are looked up, never joined to a folder (81)."""
    answer = caller.http.get(path)
    assert answer.status_code in (404, 405)
    assert answer.json()["schema"] == "teachmesh.error/1"


@pytest.mark.parametrize(
    "body",
    [
        b'{"upload": NaN, "name": "x"}',
        b'{"upload": "x", "name": Infinity}',
        b"[" * 100_000,
        b"{",
        b"\xff\xfe",
        b'{"upload": 5, "name": {}}',
        b'{"upload": "x"}',
        b'{"upload": "x", "name": "a", "add_to": "b"}',
        b'{"upload": "none", "name": "../evil"}',
        b'{"upload": "none", "name": "a"}',
    ],
)
def test_json_that_is_not_as_expected_is_refused(caller: Caller, body: bytes) -> None:
    """Not a number (82), too deep, not UTF-8, other types, names that are paths."""
    headers = caller.token | {"content-type": "application/json"}
    answer = caller.http.post("/v1/learn", content=body, headers=headers)
    assert answer.status_code in (400, 404, 422)
    assert json.loads(answer.content)["message"]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "BREW"])
def test_other_methods_are_refused(caller: Caller, method: str) -> None:
    """None of them works on the API (85)."""
    answer = caller.http.request(method, "/v1/predict", headers=caller.token)
    assert answer.status_code == 405


@pytest.mark.parametrize("name", ["../up", "a\0b", "a\nb", "\u202eevil", "", "x" * 200, "/etc"])
def test_names_of_classes_are_checked(caller: Caller, name: str) -> None:
    """A class has no control characters and is no path."""
    upload = caller.ask("POST", "/v1/uploads")["upload"]
    try:
        form = {"files": ("../../a.png", png(9, 9))}
        path = f"/v1/uploads/{upload}"
        found = caller.ask("POST", path, 422, files=form, params={"class": name})
        assert found["exit_code"] == 4
    finally:
        caller.ask("DELETE", f"/v1/uploads/{upload}")


def test_uploads_have_limits(caller: Caller) -> None:
    """Number of uploads, and of their pictures."""
    first = caller.ask("POST", "/v1/uploads")["upload"]
    second = caller.ask("POST", "/v1/uploads")["upload"]
    caller.ask("POST", "/v1/uploads", 429)
    for _ in range(5):
        files = [("files", (f"{n}.png", b"x")) for n in range(8)]
        caller.ask("POST", f"/v1/uploads/{first}", files=files, params={"class": "a"})
    form = {"files": ("1.png", b"x")}
    caller.ask("POST", f"/v1/uploads/{first}", 413, files=form, params={"class": "a"})
    for upload in (first, second):
        caller.ask("DELETE", f"/v1/uploads/{upload}")


def test_a_slow_body_ends(tmp_path: Path) -> None:
    """One byte, and then nothing (83): 408 after the time that the limits allow."""
    with served(tmp_path, limits=WebLimits(body_s=0.3)) as caller:
        url = caller.http.base_url
        with socket.create_connection((url.host, url.port or 80), timeout=60) as slow:
            head = f"POST /v1/predict HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: image/png\r\n"
            slow.sendall(f"{head}Content-Length: 100\r\n\r\nx".encode())
            assert caller.get("/v1/skills")["skills"] == []
            assert b" 408 " in slow.recv(4096)


def test_slow_heads_of_requests_end(tmp_path: Path) -> None:
    """Silence, half a line, a trickle, and half a line after an answer; a stream goes on."""
    limits = WebLimits(head_s=1.0)
    with served(tmp_path, limits=limits) as slow, ExitStack() as opened:
        place = ("127.0.0.1", httpx.URL(slow.server.url).port)
        stream, silent, half, trickle, kept = (
            opened.enter_context(connected(place)) for _ in range(5)
        )
        stream.sendall(head("/v1/events"))
        kept.sendall(head("/v1/status"))
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 200")
        for connection in (half, kept):
            connection.sendall(b"GET /v1/st")
        while not ended(trickle, wait_s=0.1):
            with suppress(OSError):  # it may have ended just now
                trickle.sendall(b"x")
        assert all(ended(connection, wait_s=60) for connection in (silent, half, kept))
        slow.server.events.add({"event": "probe"})
        while b"probe" not in (found := stream.recv(1 << 16)):
            assert found
        assert slow.get("/v1/status")


def test_further_connections_are_closed(tmp_path: Path) -> None:
    """Those that are open are answered, and new ones are once others have ended."""
    limits = WebLimits(connections=3, head_s=1000.0)
    with served(tmp_path, limits=limits) as small, ExitStack() as opened:
        place = ("127.0.0.1", httpx.URL(small.server.url).port)
        held = [opened.enter_context(connected(place)) for _ in range(3)]
        with connected(place) as further:
            assert ended(further, wait_s=60)
        held[0].sendall(head("/v1/status"))
        assert held[0].recv(1 << 16).startswith(b"HTTP/1.1 200")
        for connection in held:
            connection.close()
        while not answers(place):
            pass


def connected(place: tuple[str, int | None]) -> socket.socket:
    """A connection that waits for a minute at most."""
    return socket.create_connection(place, timeout=60)


def head(path: str) -> bytes:
    """The head of a request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def ended(connection: socket.socket, *, wait_s: float) -> bool:
    """Whether the server ends a connection within this time."""
    connection.settimeout(wait_s)
    try:
        while connection.recv(1 << 16):
            pass  # the rest of an answer
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def answers(place: tuple[str, int | None]) -> bool:
    """Whether the server answers a new connection."""
    with connected(place) as connection:
        try:
            connection.sendall(head("/v1/status"))
            return bool(connection.recv(1 << 16))
        except OSError:
            return False


@pytest.mark.usefixtures("_patient_server")
def test_many_predictions_at_once_are_answered_or_refused(caller: Caller) -> None:
    """200 parallel ones: none is lost, the excess gets 429, and the page stays live (84)."""
    image, pages = png(64, 64), []

    async def send() -> list[httpx.Response]:
        several = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(
            base_url=caller.http.base_url, limits=several, timeout=100
        ) as http:
            calls = [http.post("/v1/predict", files={"files": image}) for _ in range(200)]
            found = asyncio.gather(*calls)
            while not found.done():
                pages.append((await http.get("/")).status_code)
                await asyncio.sleep(0.1)
            return await found

    answers = asyncio.run(send())
    counts = Counter(answer.status_code for answer in answers)
    assert (set(counts) <= {200, 429}, sum(counts.values())) == (True, 200)
    tasks = {a.json()["predictions"][0]["task"] for a in answers if a.status_code == 200}
    assert (tasks, set(pages)) == ({"warm"}, {200})
    assert all("retry-after" in a.headers for a in answers if a.status_code == 429)
    assert caller.predict(image)["skipped"] == []


def test_every_answer_forbids_what_a_page_does_not_need(caller: Caller) -> None:
    """Policy of contents, no frames, no guessing of types, no referrer, no cache."""
    for path in ("/", "/v1/skills", "/nothing", "/static/page.css"):
        headers = caller.http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
