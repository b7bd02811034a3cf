"""Names and number of the files under version control."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = "src/teachmesh/"
MAX_FILES = 362
MAX_LINES = 54_400
REPEATED = {"__init__.py", "__main__.py", "conftest.py", "py.typed", "pyproject.toml", "README.md"}
RETIRED = frozenset(
    {"kin", "relatives", "leaning", "offer", "asking", "looking", "looking_up"}
    | {"lessons", "learned", "same", "holder", "room", "rivals"}
)


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Paths of the files in git's index that are on the disk, relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [path for path in listing.split("\0") if path and (ROOT / path).is_file()]


def test_every_file_name_occurs_once(tracked: list[str]) -> None:
    """Packages, fixtures and folder pages share their names by convention."""
    counts = Counter(Path(path).name for path in tracked)
    assert [name for name, n in counts.items() if n > 1 and name not in REPEATED] == []


def test_no_file_of_the_product_has_a_retired_word_as_its_name(tracked: list[str]) -> None:
    """The field's words replaced them: match, prior, transfer, answer, source skill."""
    product = [path for path in tracked if path.startswith(PRODUCT)]
    assert product
    assert [path for path in product if Path(path).stem in RETIRED] == []


def test_the_product_keeps_its_size(tracked: list[str]) -> None:
    """At most 362 Python files with 54,400 lines in all."""
    files = [ROOT / path for path in tracked if re.fullmatch(rf"{PRODUCT}.*\.py", path)]
    n_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    assert (len(files) <= MAX_FILES, n_lines <= MAX_LINES) == (True, True), (len(files), n_lines)
