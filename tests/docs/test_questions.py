"""A stranger finds the answers to twenty questions within two clicks, or with one search."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.test_links import ROOT, anchors

DOCS = ROOT / "docs"
_ROW = re.compile(r"^\| (.+?) \| ([\w -]+) \| `(\S+)` \| \[.+\]\((\S+)\) \|$", flags=re.MULTILINE)
QUESTIONS = _ROW.findall(Path(__file__).with_name("questions.md").read_text("utf-8"))
ANSWERS = (DOCS / "answers.md").read_text("utf-8")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+\.md)")
_FENCED = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
CLICKS = 2


@cache
def two_clicks_away() -> dict[Path, int]:
    """Return the pages that links reach from the front page, without the list of questions."""
    found = {ROOT / "README.md": 0}
    for click in range(1, CLICKS + 1):
        for page in [page for page, clicks in found.items() if clicks == click - 1]:
            for link in _LINK.findall(page.read_text("utf-8")):
                found.setdefault((page.parent / link).resolve(), click)
        found.pop((DOCS / "answers.md").resolve(), None)
    return found


def section(page: Path, anchor: str) -> str:
    """Return the text of a section with its heading and the page's title."""
    text = _FENCED.sub(lambda block: block[0].replace("\n#", "\n"), page.read_text("utf-8"))
    parts = re.split(r"^(?=#+ )", text, flags=re.MULTILINE)
    return parts[1].partition("\n")[0] + next(part for part in parts if anchor in anchors(part))


def test_there_are_twenty_questions_from_other_trackers() -> None:
    """All different, each with its thread, and none from our own tracker."""
    assert len({question for question, *_ in QUESTIONS}) == 20
    assert len({thread for *_, thread in QUESTIONS}) >= 18
    for *_, thread in QUESTIONS:
        assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+/(issues|pull)/\d+", thread)


@pytest.mark.parametrize(
    ("question", "words", "target", "thread"), QUESTIONS, ids=[q[0] for q in QUESTIONS]
)
def test_each_answer_is_found(question: str, words: str, target: str, thread: str) -> None:
    """By links from the front page, by a search for its words, and on the page of questions."""
    name, _, anchor = target.partition("#")
    assert (DOCS / name).resolve() in two_clicks_away(), f"more than {CLICKS} clicks: {name}"
    text = section(DOCS / name, anchor).lower()
    assert [word for word in words.split() if word.lower() not in text] == []
    answer = ANSWERS.partition(f"\n## {question}\n")[2].partition("\n## ")[0]
    assert f"({target})" in answer
    assert thread in answer
