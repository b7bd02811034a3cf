"""Every block of code on every page runs, or gives the reader a reason."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from tests.conftest import write_task
from tests.docs.page_blocks import (
    NOT_RUN,
    PAGES,
    Block,
    blocks,
    commands,
    indented,
    modules,
    page_text,
    parse,
)
from tests.docs.page_runner import Reader

ELSEWHERE = {
    "docs/api.md": "signatures, and examples that the doctests run",
    "docs/architecture.md": "source text that tests/walks compares",
    "docs/extending.md": "tests/extending installs and runs its packages",
    "docs/onnx.md": "tests/agent/test_onnx_export.py runs the script of the page",
    "docs/own_mapper.md": "tests/extending installs and runs its packages",
    "docs/own_baseline.md": "tests/extending installs and runs its packages",
}
"""Pages whose blocks other tests check."""
MEASURED = "docs/results/"
"""Commands of these pages take minutes to days: they are parsed. `how_measured.md` states it."""
RUNNABLE = [
    page
    for page in PAGES
    if page not in ELSEWHERE
    and not page.startswith(MEASURED)
    and any(b.language in ("sh", "python") and not b.reason for b in blocks(page))
]
KNOWN = {"docs/skills.md": ("tiles", "tiles")}
"""Tasks that the reader of a page has learned before, in order."""
SHOWN = {
    "docs/tutorials/shop_floor.md": (
        "unknown, nearest: surfaces",
        "new/grass/000.png: surfaces / grass",
        "learned as grass of surfaces, no longer as brick",
        "new/gravel/000.png: surfaces / gravel",
        "withdrew surfaces",
    ),
    "README.md": ("taught by",),
}
"""Text that the commands of a page print."""
pytestmark = pytest.mark.usefixtures("forked_programs")


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos and latents that all pages share."""
    folder = tmp_path_factory.mktemp("stock")
    for name in ("screws", "tiles", "rooms", "faces"):
        write_task(folder / "photos", "warm", per_class=16).rename(folder / "photos" / name)
    for name in ("nails", "traffic_signs"):
        write_task(folder / "photos", "cold").rename(folder / "photos" / name)
    monday = write_task(folder / "photos", "warm", per_class=19)
    for photo in monday.glob("*/*.png"):
        if int(photo.stem) < 16:
            photo.unlink()
    monday.rename(folder / "photos" / "monday")
    (folder / "cache").mkdir()
    return folder


@pytest.fixture
def reader(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader in a folder with photos and a home of its own."""
    copytree(stock / "photos", tmp_path / "photos")
    part = sorted((tmp_path / "photos" / "screws" / "red").iterdir())[0]
    (tmp_path / "part.jpg").write_bytes(part.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = Reader(tmp_path, stock / "cache", monkeypatch)
    yield found
    found.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUNNABLE)
def test_each_block_of_a_page_runs(page: str, reader: Reader) -> None:
    """In the order of the page, as its reader would type them."""
    for task in KNOWN.get(page, ()):
        reader.learn(task)
    if any("import ray" in block.text for block in blocks(page)):
        pytest.importorskip("ray", reason="needs the extra ray")
    for block in blocks(page):
        reader.run(block)
    for text in SHOWN.get(page, ()):
        assert text in reader.shown, text


@pytest.mark.parametrize("page", PAGES)
def test_each_block_that_is_not_run_has_a_reason_and_is_right(page: str) -> None:
    """Commands, options and modules exist; the reader sees why the tests do not run them."""
    for block in blocks(page):
        assert block.language, f"{page}: a block without a language: {block.text[:60]}"
        if block.language == "bash" and not page.startswith(MEASURED):
            assert len(block.reason.split()) > 1, f"{page}: expected {NOT_RUN!r} and a reason"
        if block.language in ("bash", "sh") and page not in ELSEWHERE:
            _check(block.text)
    lines = indented(page)
    if page.startswith(MEASURED):
        _check("\n".join(lines))
        assert page.endswith("how_measured.md") or "(how_measured.md)" in page_text(page)
    elif not page.startswith("docs/decisions/"):
        assert [line for line in lines if _is_code(line)] == []


def test_wrong_commands_are_found() -> None:
    """The check itself: a missing command, option and module."""
    for line in ("teachmesh lern x", "teachmesh learn x --metod maha", "python -m benchmarks.no"):
        with pytest.raises(Exception, match="lern|metod|benchmarks.no"):
            _check(line)
    _check("alice$ teachmesh learn x --method maha  # and a remark")
    assert Block("a.md", "bash", f"{NOT_RUN}needs root\nls\n").reason == "needs root"


def _check(text: str) -> None:
    for arguments in commands(text):
        parse(arguments)
    for module in modules(text):
        assert importlib.util.find_spec(module) is not None, module


def _is_code(line: str) -> bool:
    return line.startswith(("teachmesh ", "python ", "make ", "pip ", "agent.", "$ "))
