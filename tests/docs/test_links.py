"""Links between the pages: every relative link and every anchor resolves."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = sorted(
    path
    for folder in ("src", "tests", "pretraining", "benchmarks", "checks")
    for path in (ROOT / folder).rglob("*.py")
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)
_MENTION = re.compile(r"\bdocs/[\w/-]+\.md\b")


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, spelled as GitHub spells them."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCED.sub("", page)):
        kept = (c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add("".join(kept).replace(" ", "-"))
    return found


def broken_links(page: Path) -> list[str]:
    """Return the links of a page whose file or anchor does not exist."""
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_each_relative_link_and_anchor_resolves(page: Path) -> None:
    """Files exist, and anchors are headings of the linked page."""
    assert broken_links(page) == []


def test_pages_that_are_named_in_code_and_text_exist() -> None:
    """A mention such as `docs/bench.md` outside a link names an existing page, too."""
    mentions = {
        (path.relative_to(ROOT), mention)
        for path in (*PAGES, *CODE)
        for mention in _MENTION.findall(path.read_text("utf-8"))
    }
    assert [str(path) for path, name in sorted(mentions) if not (ROOT / name).exists()] == []


def test_no_two_pages_have_the_same_file_name() -> None:
    """A page can be found by its name alone."""
    names = [page.name for page in PAGES]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    """The check itself: a missing file, a missing anchor, and links that are right."""
    (tmp_path / "a.md").write_text("# One: two\n```\n# no heading\n```\n")
    page = tmp_path / "b.md"
    page.write_text("[1](a.md) [2](a.md#one-two) [3](c.md) [4](a.md#no-heading) [5](#x)\n")
    assert broken_links(page) == ["c.md", "a.md#no-heading", "#x"]
