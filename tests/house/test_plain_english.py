"""The rules for plain English, each on small texts that keep and break it."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.plain_english import (
    MAX_LINE,
    MAX_WORDS,
    SUMMARY_FROM_WORDS,
    SUMMARY_ITEMS,
    check_file,
    check_lines,
    check_sentence,
    check_summary,
    find_files,
    main,
    what_share,
)
from checks.sentences import find_sentences, paragraphs, split_sentences

MODULE = '''"""Fit heads.

Longer text of the module,
on two lines (Eq. 3). A second sentence.

    example = code()

- `first`: bullet with
  a second line.
- second bullet
"""

LIMIT = 3
"""A constant with a docstring."""


class Head:
    """A linear layer.

    Its second paragraph is indented like code is in a page.

    Attributes:
        weight: (C, D) float32, one row
            per class.
        n_classes, n_latents (int): sizes.

    >>> Head().weight
    No sentence, but output.
    """

    def fit(self):
        """Fit it.

        Args:
            **options: passed on.

        Returns:
            Loss: the lowest one of all epochs. Never
            negative.

        Raises:
            DataError: no image.

        A last paragraph.
        """
        "not prose" + "either"
'''
PAGE = """# A heading is no sentence

One sentence over
two lines. Another `one. With a dot` in code.
A hard break ends here,\\
and the sentence goes on.

| table | no prose |
|---|---|

```
Fenced code. Not prose.
```

    Indented code. Not prose.

1. A list item

   with a second paragraph.

       Code in a list item.

   - A nested item
     on two lines.
2. **Label**: the next item.

> A quotation.
"""


def texts(text: str, *, docstring: bool = False) -> list[str]:
    """Paragraphs without their lines."""
    return [paragraph for _, paragraph in paragraphs(text, docstring=docstring)]


def test_sentences_of_a_python_file(tmp_path: Path) -> None:
    """Every docstring counts; entries of sections lose their names, code is left out."""
    (tmp_path / "heads.py").write_text(MODULE, encoding="utf-8")
    found = list(find_sentences(tmp_path / "heads.py"))

    assert {sentence.text for sentence in found} == {
        "Fit heads.",
        "Longer text of the module, on two lines (Eq. 3).",
        "A second sentence.",
        "bullet with a second line.",
        "second bullet",
        "A constant with a docstring.",
        "A linear layer.",
        "Its second paragraph is indented like code is in a page.",
        "(C, D) float32, one row per class.",
        "sizes.",
        "Fit it.",
        "passed on.",
        "the lowest one of all epochs.",
        "Never negative.",
        "no image.",
        "A last paragraph.",
    }
    lines = MODULE.splitlines()
    for sentence in found:
        first_word = sentence.text.split()[0].strip("*`(,")
        # A paragraph of this module has two lines at most.
        assert first_word in " ".join(lines[sentence.line - 1 : sentence.line + 1]), sentence


def test_sentences_of_a_page() -> None:
    """Headings, tables and code of every kind are left out; list items are paragraphs."""
    assert texts(PAGE) == [
        "One sentence over two lines. Another `one. With a dot` in code. "
        "A hard break ends here, and the sentence goes on.",
        "A list item",
        "with a second paragraph.",
        "A nested item on two lines.",
        "the next item.",
        "A quotation.",
    ]
    assert [line for line, _ in paragraphs(PAGE)] == [3, 17, 19, 23, 25, 27]


def test_sections_are_known_in_docstrings_only() -> None:
    """A page may have a paragraph "Example:" with a block of code under it."""
    text = "Example:\n\n    name: value\n"
    assert texts(text, docstring=True) == ["value"]
    assert texts(text) == ["Example:"]


def test_an_example_in_a_section_is_code() -> None:
    """Blocks in a section are indented by four more columns."""
    text = "Args:\n    size: pixels.\n\n        code = 1\n\nEnd.\n"
    assert texts(text, docstring=True) == ["pixels.", "End."]


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("See Eq. 3 (Fig. 1), e.g. Sec. 2. Next.", ["See Eq. 3 (Fig. 1), e.g. Sec. 2.", "Next."]),
        ("It reads `a. B` first. `c` is next.", ["It reads `a. B` first.", "`c` is next."]),
        ("It is 0.5 of D. (It may be 1.) *End.*", ["It is 0.5 of D.", "(It may be 1.)", "*End.*"]),
        ("a file ends in .py or .md only", ["a file ends in .py or .md only"]),
        ("3 + 4. 5.", []),
    ],
)  # fmt: skip
def test_sentences_of_a_paragraph(paragraph: str, expected: list[str]) -> None:
    """A sentence ends before a capital, a digit, code or a bracket; parts without words go."""
    assert list(split_sentences(paragraph)) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "Return the ids of all skills.",
        "Whether nothing needs repair.",
        "Skills that a bank holds, with the ids `of what` it lists.",
        'The word "anew" is quoted.',
        " ".join(["word"] * MAX_WORDS) + ".",
        " ".join(["word"] * (MAX_WORDS - 1)) + " (not counted) `one word`.",
        "Offered kindly.",
    ],
)
def test_good_sentences(sentence: str) -> None:
    """Code, quotations and parentheses are free."""
    assert list(check_sentence(sentence)) == []


@pytest.mark.parametrize(
    ("sentence", "breach"),
    [
        ("What a bank knows.", "starts with 'What'"),
        ("Of these.", "starts with 'Of'"),
        ("**Which** files they are.", "starts with 'Which'"),
        ("Who delivers it?", "starts with 'Who'"),
        ("The map is fitted anew.", "avoid 'anew'"),
        ("It lies beside the file.", "avoid 'beside'"),
        ("The relatives of a class.", "avoid 'relatives'"),
        (" ".join(["word"] * (MAX_WORDS + 1)) + ".", f"{MAX_WORDS + 1} words"),
    ],
)
def test_bad_sentences(sentence: str, breach: str) -> None:
    """One breach, named with its word."""
    (found,) = check_sentence(sentence)
    assert breach in found


def test_long_lines_of_a_page() -> None:
    """Tables and code may be longer than the limit; list items may not."""
    long = "x" * MAX_LINE
    free = f"{long}\n| {long} |\n    {long}\n```\n{long}y\n```\n"
    assert list(check_lines(free)) == []
    assert [line for line, _ in check_lines(f"{free}{long}y\n- {long}\n")] == [7, 8]


def summary(n_items: int) -> str:
    """A page with a summary of some items."""
    items = "".join(f"- item {i}\n  on two lines\n" for i in range(n_items))
    return f"# Page\n\nLead.\n\n## In short\n\n{items}\n## Other\n\n- another list\n"


def test_long_pages_have_a_summary_first() -> None:
    """The first section is "In short", with one to six items or lines."""
    n_words = SUMMARY_FROM_WORDS + 1
    for page in (summary(1), summary(SUMMARY_ITEMS), "# Page\n\n## In short\n\nA.\nB.\n"):
        assert list(check_summary(page, n_words)) == []
    for page in (summary(0), summary(SUMMARY_ITEMS + 1), "# Page\n\n## Use\n\n## In short\n\nA.\n"):
        assert len(list(check_summary(page, n_words))) == 1
        assert list(check_summary(page, SUMMARY_FROM_WORDS)) == []


def test_breaches_name_their_file_and_line(tmp_path: Path) -> None:
    """A page is checked by every rule, and words are counted from its prose."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nWhat it is.\n\n" + "Good words here. \n\n" * 400, encoding="utf-8")
    first, second = check_file(page)
    assert first == f"{page}:3: a sentence starts with 'What': What it is."
    assert second.startswith(f"{page}:1: 1203 words")


def test_the_share_of_what(tmp_path: Path) -> None:
    """Per 10,000 words of docstrings; pages are not counted."""
    (tmp_path / "a.py").write_text('"""Say what it is."""\nWHAT = "what"\n', encoding="utf-8")
    (tmp_path / "a.md").write_text("what what", encoding="utf-8")
    assert what_share(find_files([str(tmp_path)])) == (2500.0, 4)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 for a breach; `--sample` draws the same sentences for a seed."""
    (tmp_path / "good.py").write_text('"""Fit heads. Save them."""\n', encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "prose: 0 breaches; 'what' 0.0 in 10,000 of 4 words\n"
    draws = []
    for _ in range(2):
        assert main([str(tmp_path), "--sample", "1", "--seed", "3"]) == 0
        draws.append(capsys.readouterr().out)
    assert draws[0] == draws[1]
    assert draws[0].count("\n") == 1
    (tmp_path / "bad.py").write_text('"""What it is."""\n', encoding="utf-8")
    assert main([str(tmp_path)]) == 1
