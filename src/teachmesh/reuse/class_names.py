"""Class names as people wrote them -> words that can be compared.

`TShirt`, `t_shirt` and `t-shirt` are one name; "class 7", "0001" and an empty name are none. A
name is judged among its like in its task: the "3" of "plate 3" is a symbol because there is a
"plate 8" too, and the zero-padded "07" of "object 07" is an index. Names of another form have no
say in it, so that a name that means nothing changes no other.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 128
"""More of a name is not read: nothing that names a class is longer."""
PROMPT = "a photo of a {}."
"""What an encoder is asked (CLIP's own prompt, as the paper's Fig. 11 uses it)."""

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
"""Marks that choose how an emoji is drawn."""


@dataclass(frozen=True)
class Label:
    """One class name, cleaned.

    Attributes:
        raw: as it was given.
        words: lower-case words, joined by single spaces; empty for a name without letters or
            digits, or one that means nothing.
        symbol: what tells it from its like if that is single characters or short numbers ("3" of
            "plate 3"): such names are equal or different, never similar.
    """

    raw: str
    words: str
    symbol: str | None = None

    @property
    def prompt(self) -> str:
        """The sentence that is encoded."""
        return PROMPT.format(self.words)


def clean(name: str) -> str:
    """The words of a name, lower case and joined by spaces; empty if there are none.

    >>> clean("TShirt"), clean("t_shirt"), clean("Sour-Cream"), clean("character02"), clean("!?")
    ('t shirt', 't shirt', 'sour cream', 'character 02', '')
    >>> clean("C++"), clean("C#"), clean("rock+roll")
    ('c++', 'c#', 'rock roll')
    """
    text = unicodedata.normalize("NFKC", name[:MAX_CHARACTERS])
    text = unicodedata.normalize("NFKC", _CAMEL.sub(" ", text).casefold())
    text = _LETTER_NUMBER.sub(" ", text)  # of folded letters: one may have become two
    text = _SIGN_INSIDE.sub(" ", _spaced(text))
    return " ".join(text.split())[:MAX_CHARACTERS].strip()


def _spaced(text: str) -> str:
    """Text with a space for every character that is no part of a word.

    Vowels and tones of many scripts are combining marks: without them "day" and "gift" are one
    word in Hindi. What follows a letter in "C++" and "C#" tells these apart.
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
    """Clean the class names of one task, each among its neighbours.

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
    """The numbers and single characters among the words."""
    return tuple(word for word in words.split() if _is_sign(word))


def _form(words: str) -> tuple[str, ...]:
    """The other words: what names of one kind have in common."""
    return tuple(word for word in words.split() if not _is_sign(word))


def _is_sign(word: str) -> bool:
    return word.isdecimal() or _SYMBOL.fullmatch(_bare(word)) is not None


def _bare(word: str) -> str:
    """A word without marks: a syllable of one letter is one sign."""
    return "".join(character for character in word if not _is_mark(character))


def _symbol(words: str) -> str | None:
    """The signs of a name, or None if there are none or a number is too long to be one."""
    signs = _signs(words)
    return " ".join(signs) if signs and all(_SYMBOL.fullmatch(_bare(s)) for s in signs) else None


def _without_index(words: str) -> str:
    return " ".join(word for word in words.split() if not _INDEX.fullmatch(word))


def _means_nothing(words: str, form: tuple[str, ...], without_index: Counter[str]) -> bool:
    parts = words.split()
    if all(part in _GENERIC or part.isdecimal() or _CODE.fullmatch(part) for part in parts):
        return True  # also without any part
    if _signs(words) and any(part in _GENERIC for part in form):
        return True
    rest = _without_index(words)
    return rest != words and without_index[rest] > 1
