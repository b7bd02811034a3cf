"""Check docstrings and docs against the rules for plain English; `make lint` runs this check.

python -m checks.plain_english                        # list every breach, exit code 1 if any
python -m checks.plain_english src/teachmesh/agent    # check only some folders or files
python -m checks.plain_english --sample 60 --seed 0   # print random docstring sentences
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from checks.sentences import Sentence, find_sentences, find_texts

SOURCES = ("src", "pretraining", "benchmarks", "checks", "examples")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs")
GENERATED = ("docs/cli.md",)
MAX_WORDS = 25
MAX_LINE = 120
MAX_WHAT = 15.0
"""Maximum number of occurrences of "what" per 10,000 words of docstrings."""
SUMMARY_FROM_WORDS = 1000
"""Maximum words of prose in a page that does not begin with a section "In short"."""
SUMMARY_ITEMS = 6
BAD_START = re.compile(r"\W*(What|Of|That which|Whoever|Who|Which|Whether or not|As ever)\b")
BAD_WORDS = re.compile(
    r"\b(anew|likelier|whoever|as ever|that is none|that are there|of what|beside|"
    r"kin|relatives|leaning)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"`[^`]*`|\"[^\"]*\"|https?://\S+")
_PARENTHESIS = re.compile(r"\([^)]*\)")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_FIRST_SECTION = re.compile(r"^## (.*)\n((?:(?!#).*\n?)*)", re.MULTILINE)
_ITEM = re.compile(r"^(?:[-*+]|\d+\.) ", re.MULTILINE)


def check_file(path: Path) -> list[str]:
    """Return one line per breach of a rule in a file."""
    found = list(find_sentences(path))
    breaches = [
        f"{path}:{sentence.line}: {breach}: {sentence.text}"
        for sentence in found
        for breach in check_sentence(sentence.text)
    ]
    if path.suffix == ".md":
        page = path.read_text(encoding="utf-8")
        breaches += [f"{path}:{line}: {breach}" for line, breach in check_lines(page)]
        n_words = sum(len(_WORD.findall(sentence.text)) for sentence in found)
        breaches += [f"{path}:1: {breach}" for breach in check_summary(page, n_words)]
    return breaches


def check_sentence(text: str) -> Iterator[str]:
    """Yield the breaches in a sentence; code and quotations count as single words."""
    prose = _PARENTHESIS.sub(" ", _CODE.sub(" x ", text))
    n_words = len(_WORD.findall(prose))
    if n_words > MAX_WORDS:
        yield f"{n_words} words in one sentence, at most {MAX_WORDS}"
    if found := BAD_START.match(text):
        yield f"a sentence starts with {found[1]!r}"
    if found := BAD_WORDS.search(prose):
        yield f"avoid {found[1]!r}"


def check_lines(page: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, breach) for each long line of a page, except in tables and code."""
    # Fenced code keeps its line feeds, so that line numbers stay correct.
    plain = _FENCED.sub(lambda block: "\n" * block[0].count("\n"), page)
    for number, line in enumerate(plain.splitlines(), start=1):
        if len(line) > MAX_LINE and not line.lstrip().startswith("|") and line[:4] != "    ":
            yield number, f"{len(line)} characters in a line, at most {MAX_LINE}"


def check_summary(page: str, n_words: int) -> Iterator[str]:
    """Yield a breach if a long page does not begin with a short summary.

    Args:
        page: the text of the page.
        n_words: number of words of prose, without code and tables.
    """
    if n_words <= SUMMARY_FROM_WORDS:
        return
    section = _FIRST_SECTION.search(page)
    if section is None or section[1].strip() != "In short":
        yield f"{n_words} words without a first section '## In short'"
        return
    n_items = len(_ITEM.findall(section[2])) or len(section[2].strip().splitlines())
    if not 1 <= n_items <= SUMMARY_ITEMS:
        yield f"{n_items} items in 'In short', expected 1 to {SUMMARY_ITEMS}"


def what_share(paths: Sequence[Path]) -> tuple[float, int]:
    """Return the frequency of "what" per 10,000 docstring words, and the number of these words."""
    words = [
        word.lower()
        for path in paths
        if path.suffix == ".py"
        for _, text in find_texts(path)
        for word in _WORD.findall(text)
    ]
    return (1e4 * words.count("what") / len(words) if words else 0.0), len(words)


def find_files(roots: Sequence[str]) -> list[Path]:
    """Return the sorted Python files and pages under some paths; by default, under all paths."""
    found: set[Path] = set()
    for root in map(Path, roots or (*SOURCES, *PAGES)):
        found |= {root} if root.is_file() else {*root.rglob("*.py"), *root.rglob("*.md")}
    return sorted(path for path in found if path.as_posix() not in GENERATED)


def draw_sample(paths: Sequence[Path], count: int, seed: int) -> list[Sentence]:
    """Draw at most `count` random sentences from docstrings."""
    pool = [s for path in paths if path.suffix == ".py" for s in find_sentences(path)]
    return random.Random(seed).sample(pool, min(count, len(pool)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the breaches or a sample, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("paths", nargs="*", help="files or folders; default: everything")
    parser.add_argument("--sample", type=int, help="print this many random docstring sentences")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    options = parser.parse_args(arguments)
    if missing := [path for path in options.paths if not Path(path).exists()]:
        parser.error(f"expected files or folders, got {', '.join(missing)}")
    paths = find_files(options.paths)
    if not paths:
        parser.error("expected Python files or pages, found none; run it in the repository")
    if options.sample:
        for found in draw_sample(paths, options.sample, options.seed):
            print(f"{found.path}:{found.line}: {found.text}")
        return 0
    breaches = [breach for path in paths for breach in check_file(path)]
    share, n_words = what_share(paths)
    print("\n".join(breaches), end="\n" if breaches else "")
    print(f"prose: {len(breaches)} breaches; 'what' {share:.1f} in 10,000 of {n_words} words")
    return 1 if breaches or share > MAX_WHAT else 0


if __name__ == "__main__":
    sys.exit(main())
