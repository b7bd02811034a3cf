"""A page is short enough to be read: at most 1,200 words."""

from __future__ import annotations

import re

import pytest

from tests.docs.page_blocks import PAGES, ROOT

MAX_WORDS = 1200
EXCEPTED = {
    "docs/api.md": "written from the code: the docstrings of all names, to be searched",
    "docs/paper_map.md": "one table with a row per equation, figure and table of the paper",
}
"""Pages that may be longer, and the reason of each."""
_FENCED = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)


def count_words(page: str) -> int:
    r"""Count words that have a letter, tables included, blocks of code left out.

    >>> count_words("# One title\n\n| 1 | two |\n")
    3
    """
    words = _FENCED.sub("", page).split()
    return sum(re.search("[A-Za-z]", word) is not None for word in words)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_at_most_1200_words(page: str) -> None:
    """Longer pages are split, or excepted with a reason that still holds."""
    n_words = count_words((ROOT / page).read_text("utf-8"))
    assert (n_words > MAX_WORDS) == (page in EXCEPTED), n_words


def test_the_front_page_has_at_most_120_lines() -> None:
    """README: three sentences, a picture, commands, a table of results, links."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
