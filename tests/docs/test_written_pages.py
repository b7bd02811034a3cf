"""Pages that `make docs` writes from the code are up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from teachmesh.errors import RefusalReason
from teachmesh_lab.cli import cli_reference, error_reference, http_reference

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "reference"),
    [
        ("cli.md", cli_reference.reference),
        ("errors.md", error_reference.reference),
        ("http_api.md", http_reference.reference),
    ],
)
def test_a_page_from_the_code_is_up_to_date(page: str, reference: Callable[[], str]) -> None:
    """Whoever changes an option or an error runs `make docs`."""
    assert (DOCS / page).read_text("utf-8") == reference()


def test_each_error_and_each_reason_has_a_remedy() -> None:
    """None is forgotten, and none is invented."""
    names = [error.__name__ for error in error_reference.error_classes()]
    assert names == list(error_reference.REMEDIES)
    assert set(get_args(RefusalReason)) == set(error_reference.REASONS)
