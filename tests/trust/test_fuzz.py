"""Hostile bytes are refused with a reason, or are exactly what their author signed.

Many more: make fuzz
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trust.fuzz import fuzz_file, fuzz_message

NUMBERS = st.integers(0, 2**63)
FEW = settings(max_examples=250, deadline=None, derandomize=True, database=None)


@FEW
@given(NUMBERS)
def test_no_file_gets_past_the_checks(number: int) -> None:
    """Damaged bytes, and wrong cards, headers and numbers with a valid signature."""
    fuzz_file(number)


@FEW
@given(NUMBERS)
def test_no_message_raises_an_error(number: int) -> None:
    """Tombstones, announcements, lists of ids and requests."""
    fuzz_message(number)
