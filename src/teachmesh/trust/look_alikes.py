"""Names that look alike: equal skeletons after Unicode's UTS 39, with case folded.

Skeletons are compared and never shown, signed or stored.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_ASCII = str.maketrans({"I": "l", "1": "l", "|": "l", "0": "O", "m": "rn", "`": "'", '"': "''"})
"""The part of the table of confusable characters for names in ASCII."""
_IGNORED = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that look like nothing, other than format characters and variation selectors."""


@lru_cache(maxsize=65_536)
def skeleton(text: str) -> str:
    """Return a text that is equal for names that look alike.

    Case, width and invisible characters make no difference, and neither do characters of other
    scripts that look the same. "I", "i", "l" and "1" are equal, because fonts and case mix them.

    Examples:
        >>> skeleton("Alice") == skeleton("\u0410l\u0456ce")  # with Cyrillic letters
        True
        >>> skeleton("Alice") == skeleton("ALICE"), skeleton("box-1") == skeleton("box-2")
        (True, False)
    """
    visible = "".join(c for c in unicodedata.normalize("NFKD", text) if not _is_ignored(c))
    folded = unicodedata.normalize("NFKD", _prototypes(visible).casefold())
    return unicodedata.normalize("NFC", _prototypes(folded).replace("i", "l"))


def _is_ignored(character: str) -> bool:
    if character.isascii():
        return False
    is_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return is_selector or character in _IGNORED or unicodedata.category(character) == "Cf"


def _prototypes(text: str) -> str:
    return text.translate(_ASCII if text.isascii() else _table())


@lru_cache(maxsize=1)
def _table() -> Mapping[int, str]:
    """Return the text that stands for each confusable character."""
    # Imported here because the table is large and rarely needed.
    from confusable_homoglyphs.confusables import confusables_data

    pairs = [
        (character, _cleaned(other["c"]))
        for character, others in confusables_data.items()
        for other in others
        if len(character) == 1
    ]
    prototype = _representatives([pair for pair in pairs if len(pair[1]) == 1])
    table = {ord(character): text for character, text in prototype.items()}
    for character, text in pairs:
        if len(text) > 1:
            table[ord(character)] = "".join(prototype.get(c, c) for c in text)
    return table | _ASCII


def _cleaned(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def _representatives(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return one character for each set of characters that are pairwise confusable."""
    leader: dict[str, str] = {}

    def find(character: str) -> str:
        while leader.setdefault(character, character) != character:
            character = leader[character]
        return character

    for one, other in pairs:
        first, second = sorted((find(one), find(other)), key=_rank)
        leader[second] = first
    return {character: find(character) for character in list(leader)}


def _rank(character: str) -> tuple[bool, bool, bool, str]:
    """Sort lower-case ASCII letters first, then other ASCII letters, then the rest."""
    is_letter = character.isascii() and character.isalpha()
    return (
        not (is_letter and character.islower()),
        not is_letter,
        not character.isascii(),
        character,
    )
