"""Clean class names, so that they can be compared.

`TShirt`, `t_shirt` and `t-shirt` are one name; "class 7", "0001" and an empty name mean nothing.
A name is compared only with names of the same form in its task. The "3" of "plate 3" is a symbol
because there is also a "plate 8"; the zero-padded "07" of "object 07" is an index. Names of another
form have no influence, so a meaningless name changes no other name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 128
"""Longer names are cut."""
PROMPT = "a photo of a {}."
"""Input of a text encoder (CLIP's own prompt, which the paper uses in Fig. 11)."""

_GENERIC = frozenset(
    (
        *("category", "class", "cls", "folder", "group", "id", "image", "img", "index", "item"),
        *("kind", "label", "misc", "miscellaneous", "na", "name", "no", "none", "nothing"),
        *("number", "object", "other", "others", "photo", "picture", "sample", "set", "type"),
        *("undefined", "unknown", "unlabeled", "unlabelled", "untitled"),
    )
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_LETTER_NUMBER = re.compile(r"(?<=[^\W\d_]{2})(?=[0-9])|(?<=[0-9])(?=[^\W\d_]{3})")
_SIGN_INSIDE = re.compile(r"[+#]+(?=\w)")
_CODE = re.compile(r"n[0-9]{8}|(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}")
_INDEX = re.compile(r"0[0-9]+")
_SYMBOL = re.compile(r"[^\W_][+#]*|[0-9]{1,3}")
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)
"""Code points that choose how an emoji is drawn."""


@dataclass(frozen=True)
class Label:
    """One class name, cleaned.

    Attributes:
        raw: the name as given.
        words: lower-case words, joined by single spaces; empty for a name without letters or
            digits and for a meaningless name.
        symbol: the single characters or short numbers that distinguish it from names of the same
            form ("3" of "plate 3"). Such names are equal or different, never similar.
    """

    raw: str
    words: str
    symbol: str | None = None

    @property
    def prompt(self) -> str:
        """Sentence for the text encoder."""
        return PROMPT.format(self.words)


def clean(name: str) -> str:
    """Return the words of a name, lower case and joined by spaces; empty if there are none.

    >>> clean("TShirt"), clean("t_shirt"), clean("Sour-Cream"), clean("character02"), clean("!?")
    ('t shirt', 't shirt', 'sour cream', 'character 02', '')
    >>> clean("C++"), clean("C#"), clean("rock+roll")
    ('c++', 'c#', 'rock roll')
    """
    text = unicodedata.normalize("NFKC", name[:MAX_CHARACTERS])
    text = unicodedata.normalize("NFKC", _CAMEL.sub(" ", text).casefold())
    text = _LETTER_NUMBER.sub(" ", text)  # after case folding: one letter may have become two
    text = _SIGN_INSIDE.sub(" ", _spaced(text))
    return " ".join(text.split())[:MAX_CHARACTERS].strip()


def _spaced(text: str) -> str:
    """Replace every character that is not part of a word by a space.

    Combining marks are kept: in many scripts they are vowels and tones, and without them "day" and
    "gift" are one word in Hindi. Signs after a letter are kept to distinguish "C++" from "C#".
    """
    kept = [" "]
    for character in text:
        after = kept[-1]
        stays = character.isalnum() or (
            after != " " and (_is_mark(character) or (character in "+#" and not after.isdecimal()))
        )
        kept.append(character if stays else " ")
    return "".join(kept)


def _is_mark(character: str) -> bool:
    return (
        unicodedata.category(character) in {"Mn", "Mc"}
        and ord(character) not in _VARIATION_SELECTORS
    )


def read_labels(classes: Sequence[str]) -> tuple[Label, ...]:
    """Clean the class names of one task, each in the context of the others.

    Args:
        classes: C names in label order.

    >>> [label.words for label in read_labels(["dog", "class 7", "0001", ""])]
    ['dog', '', '', '']
    >>> [label.symbol for label in read_labels(["plate 3", "plate A", "dog"])]
    ['3', 'a', None]
    """
    cleaned = [clean(name) for name in classes]
    forms = Counter(_form(words) for words in set(cleaned) if _signs(words))
    without_index = Counter(_without_index(words) for words in cleaned)
    labels = []
    for raw, words in zip(classes, cleaned, strict=True):
        form = _form(words) if forms[_form(words)] > 1 else ()
        if _means_nothing(words, form, without_index):
            labels.append(Label(raw, ""))
        else:
            labels.append(Label(raw, words, _symbol(words) if form else None))
    return tuple(labels)


def _signs(words: str) -> tuple[str, ...]:
    """Return the numbers and single characters among the words."""
    return tuple(word for word in words.split() if _is_sign(word))


def _form(words: str) -> tuple[str, ...]:
    """Return the other words, which names of one form have in common."""
    return tuple(word for word in words.split() if not _is_sign(word))


def _is_sign(word: str) -> bool:
    return word.isdecimal() or _SYMBOL.fullmatch(_bare(word)) is not None


def _bare(word: str) -> str:
    """Remove combining marks, so that a syllable of one letter counts as one sign."""
    return "".join(character for character in word if not _is_mark(character))


def _symbol(words: str) -> str | None:
    """Return the signs of a name; None without signs or if one is too long for a symbol."""
    signs = _signs(words)
    return " ".join(signs) if signs and all(_SYMBOL.fullmatch(_bare(s)) for s in signs) else None


def _without_index(words: str) -> str:
    return " ".join(word for word in words.split() if not _INDEX.fullmatch(word))


def _means_nothing(words: str, form: tuple[str, ...], without_index: Counter[str]) -> bool:
    parts = words.split()
    if all(part in _GENERIC or part.isdecimal() or _CODE.fullmatch(part) for part in parts):
        return True  # also if there are no parts
    if _signs(words) and any(part in _GENERIC for part in form):
        return True
    rest = _without_index(words)
    return rest != words and without_index[rest] > 1
