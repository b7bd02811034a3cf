"""Find the sentences in Google-style docstrings and Markdown pages.

Code (fenced and indented blocks, doctests), tables (rows that start with "|") and headings (lines
that start with "#") are skipped.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODE_INDENT = 4
_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples?|Notes?):")
_ENTRY = re.compile(r"\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*(?: \([^)]*\))?: +(?=\S)")
_BULLET = re.compile(r"(?:[-*+]|\d+[.)]) +")
_LABEL = re.compile(r"(?:`[^`]+`|\*\*[^*]+\*\*)(?:, `[^`]+`)*: +")
_NO_PROSE = re.compile(r"\||#|<|\$ |python -m |\[[^]]+\]: |[-=*_ ]+$")
_CODE_SPAN = re.compile(r"`[^`]*`")
_END = re.compile(r"[.!?][\"')*]*(?P<gap>\s+)(?=[A-Z0-9`\"'(*\[])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|cf|al|Eqs?|Secs?|Figs?|Tab|No|pp?)\.$")
_LETTER = re.compile(r"[A-Za-z]")


@dataclass(frozen=True)
class Sentence:
    """A sentence and its location.

    Attributes:
        path: path of the file.
        line: number of the line where the sentence's paragraph begins, counted from 1.
        text: the sentence, joined into one line.
    """

    path: Path
    line: int
    text: str


def find_sentences(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a Python file's docstrings, or of a Markdown page."""
    for first, text in find_texts(path):
        for line, paragraph in paragraphs(text, first, docstring=path.suffix == ".py"):
            for sentence in split_sentences(paragraph):
                yield Sentence(path, line, sentence)


def find_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (first line number, text) for every docstring of a Python file, or for a whole page."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, content
        return
    for node in ast.walk(ast.parse(content)):
        # Standalone strings: docstrings of modules, classes, functions and constants.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                first, _, rest = text.partition("\n")
                yield node.lineno, f"{first}\n{textwrap.dedent(rest)}"


def paragraphs(text: str, line: int = 1, *, docstring: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line number, paragraph) for a text; list items and section entries are paragraphs.

    Args:
        text: a page, or a docstring without the indentation of its code.
        line: line number of the text's first line.
        docstring: whether sections such as "Args:" have entries ("name: description").
    """
    parts: list[str] = []
    start = line
    for number, shown, begins in _prose_lines(text, line, docstring):
        if begins and parts:
            yield start, " ".join(parts)
            parts = []
        if shown:
            start = start if parts else number
            parts.append(shown)
    if parts:
        yield start, " ".join(parts)


def _prose_lines(text: str, first: int, docstring: bool) -> Iterator[tuple[int, str, bool]]:
    """For each line, yield its number, its prose, and whether a paragraph ends before it."""
    base, in_section = 0, False  # base: column from which the indentation of code is counted
    fenced = doctest = is_open = False
    for number, raw in enumerate(text.splitlines(), start=first):
        shown, indent = raw.strip(), len(raw) - len(raw.lstrip())
        is_fence = shown.startswith(("```", "~~~"))
        fenced ^= is_fence
        doctest = bool(shown) and (doctest or shown.startswith(">>>"))
        if shown and indent < base:
            base, in_section = 0, in_section and indent > 0
        if docstring and indent == 0 and _SECTION.fullmatch(shown):
            base, in_section, shown = CODE_INDENT, True, ""
        is_code = fenced or is_fence or doctest or (not is_open and indent >= base + CODE_INDENT)
        if is_code or _NO_PROSE.match(shown):
            shown = ""
        begins, shown, base = _begin(shown, indent, base, in_section)
        is_open = bool(shown)
        yield number, shown, begins


def _begin(shown: str, indent: int, base: int, in_section: bool) -> tuple[bool, str, int]:
    """Return whether a line begins a paragraph, its text without markers, and the new `base`."""
    shown = shown.removeprefix("> ")
    if bullet := _BULLET.match(shown):
        shown = shown[bullet.end() :]
        label = _LABEL.match(shown)
        return True, shown[label.end() if label else 0 :], indent + bullet.end()
    if in_section and indent == CODE_INDENT and (entry := _ENTRY.match(shown)):
        return True, shown[entry.end() :], CODE_INDENT
    return not shown, shown.removesuffix("\\"), base


def split_sentences(paragraph: str) -> Iterator[str]:
    """Yield the sentences of a paragraph; no sentence ends at a dot in code or after "Eq"."""
    masked = _CODE_SPAN.sub(lambda span: "`" + "x" * (len(span[0]) - 2) + "`", paragraph)
    start = 0
    for end in _END.finditer(masked):
        if not _ABBREVIATION.search(masked, start, end.start() + 1):
            yield from _with_words(paragraph[start : end.start("gap")])
            start = end.end()
    yield from _with_words(paragraph[start:])


def _with_words(text: str) -> list[str]:
    return [text.strip()] if _LETTER.search(text) else []
