"""A real browser that shows the page of an agent, and pictures of what it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.web.web_agents import Caller

FOLDER_VARIABLE = "TEACHMESH_SCREENSHOTS"
"""Folder for pictures of the page; without it, none are kept."""
WIDE = {"width": 1000, "height": 720}
PHONE = {"width": 390, "height": 780}
VIEWS = {
    f"{name}-{scheme}": {"viewport": size, "color_scheme": scheme}
    for name, size in (("wide", WIDE), ("phone", PHONE))
    for scheme in ("light", "dark")
}
CHECKED = ("wide-light", "phone-dark")
_FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
_WAIT_MS = 60_000


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the distribution's Chromium, or skip with the reason why there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: make browser")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium: make browser")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield started
        started.close()


@contextmanager
def opened(started: Browser, caller: Caller, part: str = "ask", **view: Any) -> Iterator[Page]:
    """Show a part of the page with the token; every error of a script fails the test."""
    view = {"viewport": WIDE, "color_scheme": "light", **view}
    context = started.new_context(**view)
    context.set_default_timeout(_WAIT_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if is_fault(said) else None)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    token = caller.server.service.access.token
    page.goto(f"{caller.server.url}#token={token}")
    page.goto(f"{caller.server.url}#{part}")
    yield page
    context.close()
    assert errors == []
    assert {host for host in hosts if host} == {caller.server.url.split("/")[2]}


def is_fault(said: Any) -> bool:
    """Whether a line of the console is a fault of the page, not a refusal that it shows."""
    return said.type == "error" and "the server responded with a status of 4" not in said.text


def violations(page: Page) -> list[str]:
    """The faults that axe-core finds in the page as it is."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="make browser")
    found = axe.Axe().run(page).response["violations"]
    return [f"{fault['id']}: {fault['nodes'][0]['html'][:120]}" for fault in found]


def take_pictures(page: Page, name: str) -> None:
    """Check the page with axe-core, wide and as a phone shows it, light and dark.

    With a folder for them, save pictures of the page in each view.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    for view, options in VIEWS.items():
        if not folder and view not in CHECKED:
            continue
        page.emulate_media(color_scheme=options["color_scheme"])
        page.set_viewport_size(options["viewport"])
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), view
        if view in CHECKED:
            found = violations(page)
            assert not found, f"{view}: {found}"
        if folder:
            place_message(page, "static")  # in a picture of all it would hide the middle
            save_picture(page.screenshot(full_page=True), Path(folder) / f"page-{name}-{view}.png")
            place_message(page, "")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)


def place_message(page: Page, position: str) -> None:
    """Set the CSS position of the page's message; an empty text takes that of the style sheet."""
    page.evaluate(
        "(value) => { document.querySelector('.says').style.position = value; }", position
    )


def save_picture(data: bytes, path: Path) -> None:
    """Save a picture of the page with few colours, which makes its file small."""
    picture = Image.open(BytesIO(data)).convert("RGB")
    picture.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
