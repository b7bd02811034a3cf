"""The documentation site: `make docs` builds it without a warning, and it needs no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LOADED = re.compile(
    r"""<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)=["'](https?:[^"']+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once, with the command of `make docs`."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    return folder


def test_each_page_of_the_repository_is_on_the_site(site: Path) -> None:
    """Also those at the root of the repository."""
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert built >= pages | {Path("index.md"), Path("changelog.md"), Path("contributing.md")}


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    """No script, picture or style sheet: the site works in a closed network."""
    loaded = {
        address
        for page in site.rglob("*.html")
        for address in _LOADED.findall(page.read_text("utf-8"))
    }
    assert loaded == set()


def test_interfaces_have_their_docstrings(site: Path) -> None:
    """The names in `docs/interfaces.md` are replaced by methods and their arguments."""
    page = (site / "interfaces.html").read_text("utf-8")
    assert ":::" not in page
    assert 'id="teachmesh.mapping.own_mapper.OwnMapper.familiarity"' in page


def test_search_finds_a_word_of_each_section(site: Path) -> None:
    """The index has headings of how-to, reference and results."""
    index = (site / "search" / "search_index.json").read_text("utf-8")
    for words in ("teachmesh bench run", "Beneficial biases, measured", "Tombstone"):
        assert words in index
