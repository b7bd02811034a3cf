"""Check docstrings and docs against the rules for plain English; `make lint` runs it.

python -m checks.plain_english                        # list every breach, exit code 1 if any
python -m checks.plain_english src/teachmesh/agent    # some folders or files only
python -m checks.plain_english --sample 60 --seed 0   # print random docstring sentences
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCES = ("src", "pretraining", "benchmarks", "checks")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs")
GENERATED = ("docs/cli.md",)
MAX_WORDS = 25
MAX_LINE = 120
MAX_WHAT = 15.0
"""Occurrences of "what" per 10,000 words of docstrings."""
SUMMARY_FROM_WORDS = 1000
"""Pages with more words than this start with a summary."""
BAD_START = re.compile(r"(What|Of|That which|Whoever|Who|Which|Whether or not|As ever)\b")
BAD_WORDS = re.compile(
    r"\b(anew|likelier|whoever|as ever|that is none|that are there|of what|beside|"
    r"kin|relatives|leaning)\b",
    re.IGNORECASE,
)
_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples|Example|Note):$")
_ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*|\w+(?:\.\w+)+)(?: \([^)]*\))?: (.*)")
_BULLET = re.compile(r"(?:[-*]|\d+\.) ")
_END = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z`(\"'0-9])")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


@dataclass(frozen=True)
class Sentence:
    """A sentence and its place.

    Attributes:
        path: the file.
        line: number of the line where its paragraph begins, from 1.
        text: the sentence on one line.
    """

    path: Path
    line: int
    text: str


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (first line, text) of every docstring of a Python file, constants included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for part in body:
            if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
                text = part.value.value
                if isinstance(text, str):
                    yield part.lineno, text


def paragraphs(text: str, line: int = 1) -> Iterator[tuple[int, str]]:
    """Yield (line, paragraph) of a docstring or page, without code, tables and headings."""
    held: list[str] = []
    start, fenced, doctest = line, False, False
    for number, raw in enumerate([*text.splitlines(), ""], start=line):
        shown = raw.strip()
        fenced ^= shown.startswith("```")
        doctest = (doctest or shown.startswith(">>>")) and bool(shown)
        # Four spaces more than the text around: code in a docstring or a page.
        code = fenced or doctest or (raw.startswith("    ") and not held and "`" not in raw)
        entry = _ENTRY.fullmatch(shown)
        ends = not shown or code or bool(entry) or bool(_BULLET.match(shown))
        ends = ends or bool(_SECTION.fullmatch(shown)) or shown.startswith(("|", "#", "```"))
        if ends:
            if held:
                yield start, " ".join(held)
            held = []
        if entry and not fenced and not doctest:
            shown = entry[2]
        elif code or _SECTION.fullmatch(shown) or shown.startswith(("|", "#", "```")):
            continue
        if shown:
            if not held:
                start = number
            held.append(_BULLET.sub("", shown, count=1) if ends else shown)


def sentences(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a Python file's docstrings, or of a Markdown page."""
    texts = docstrings(path) if path.suffix == ".py" else [(1, path.read_text(encoding="utf-8"))]
    for first, text in texts:
        for line, paragraph in paragraphs(text, first):
            for part in _END.split(paragraph):
                if _WORD.search(part):
                    yield Sentence(path, line, part.strip())


def breaches(path: Path) -> Iterator[str]:
    """Yield one line per breach of a rule in a file."""
    for sentence in sentences(path):
        where = f"{path}:{sentence.line}"
        # Quoted code is no prose.
        prose = re.sub(r"`[^`]*`|\([^)]*\)|\"[^\"]*\"|https?://\S+", " x ", sentence.text)
        words = len(_WORD.findall(prose))
        if words > MAX_WORDS:
            yield f"{where}: {words} words in one sentence, at most {MAX_WORDS}: {sentence.text}"
        if found := BAD_START.match(sentence.text):
            yield f"{where}: a sentence starts with {found[1]!r}: {sentence.text}"
        if found := BAD_WORDS.search(prose):
            yield f"{where}: avoid {found[1]!r}: {sentence.text}"
    if path.suffix == ".md":
        yield from _page_breaches(path)


def _page_breaches(path: Path) -> Iterator[str]:
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fenced ^= line.startswith("```")
        table = line.lstrip().startswith("|")
        if len(line) > MAX_LINE and not table and not fenced and not line.startswith("    "):
            yield f"{path}:{number}: {len(line)} characters in a line, at most {MAX_LINE}"


def what_share(paths: Sequence[Path]) -> tuple[float, int]:
    """Return the occurrences of "what" per 10,000 docstring words, and the number of words."""
    words = [
        word.lower()
        for path in paths
        if path.suffix == ".py"
        for _, text in docstrings(path)
        for word in _WORD.findall(text)
    ]
    return (1e4 * words.count("what") / len(words) if words else 0.0), len(words)


def find_files(asked: Sequence[str]) -> list[Path]:
    """Return the Python files and pages under some paths, sorted; by default all that count."""
    found: set[Path] = set()
    for root in map(Path, asked or (*SOURCES, *PAGES)):
        found |= {root} if root.is_file() else {*root.rglob("*.py"), *root.rglob("*.md")}
    return sorted(path for path in found if path.as_posix() not in GENERATED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print breaches, or a sample; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("paths", nargs="*", help="files or folders; default: everything")
    parser.add_argument("--sample", type=int, help="print this many random docstring sentences")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    options = parser.parse_args(arguments)
    paths = find_files(options.paths)
    if options.sample:
        pool = [s for path in paths if path.suffix == ".py" for s in sentences(path)]
        for found in random.Random(options.seed).sample(pool, options.sample):
            print(f"{found.path}:{found.line}: {found.text}")
        return 0
    found_breaches = [breach for path in paths for breach in breaches(path)]
    share, n_words = what_share(paths)
    print("\n".join(found_breaches), end="\n" if found_breaches else "")
    print(f"prose: {len(found_breaches)} breaches; 'what' {share:.1f} in 10,000 of {n_words} words")
    return 1 if found_breaches or share > MAX_WHAT else 0


if __name__ == "__main__":
    sys.exit(main())
