"""Class names as people wrote them -> words that can be compared.

`TShirt`, `t_shirt` and `t-shirt` are one name; "class 7", "0001" and an empty name are none. A
name is judged among the other names of its task: the "3" of "plate 3" is a symbol because all its
neighbours are called "plate", and the zero-padded "07" of "object 07" is an index.
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
_NOT_A_WORD = re.compile(r"[^\w]+|_+")
_CODE = re.compile(r"n[0-9]{8}|(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}")
_INDEX = re.compile(r"0[0-9]+")
_SYMBOL = re.compile(r"[^\W_]|[0-9]{1,3}")


@dataclass(frozen=True)
class Label:
    """One class name, cleaned.

    Attributes:
        raw: as it was given.
        words: lower-case words, joined by single spaces; empty for a name without letters or
            digits, or one that means nothing.
        symbol: what tells it from its neighbours if that is a single character or a short number
            ("3" of "plate 3"): such names are equal or different, never similar.
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
    """
    text = unicodedata.normalize("NFKC", name[:MAX_CHARACTERS])
    text = _CAMEL.sub(" ", text)
    text = _LETTER_NUMBER.sub(" ", text)
    return " ".join(_NOT_A_WORD.sub(" ", text).casefold().split())[:MAX_CHARACTERS].strip()


def read_labels(classes: Sequence[str]) -> tuple[Label, ...]:
    """Clean the class names of one task, each among its neighbours.

    Args:
        classes: C names in label order.

    >>> [label.words for label in read_labels(["dog", "class 7", "0001", ""])]
    ['dog', '', '', '']
    >>> [label.symbol for label in read_labels(["plate 3", "plate A"])]
    ['3', 'a']
    """
    cleaned = [clean(name) for name in classes]
    shared = _shared_words(cleaned)
    without_index = Counter(_without_index(words) for words in cleaned)
    labels = []
    for raw, words in zip(classes, cleaned, strict=True):
        own = [word for word in words.split() if word not in shared]
        if _means_nothing(words, shared, without_index):
            labels.append(Label(raw, ""))
        elif len(own) == 1 and shared and _SYMBOL.fullmatch(own[0]):
            labels.append(Label(raw, words, own[0]))
        else:
            labels.append(Label(raw, words))
    return tuple(labels)


def _shared_words(cleaned: Sequence[str]) -> frozenset[str]:
    """Words of every name of a task that has several; they say what the task is about."""
    if len(cleaned) < 2:
        return frozenset()
    return frozenset.intersection(*(frozenset(words.split()) for words in cleaned))


def _without_index(words: str) -> str:
    return " ".join(word for word in words.split() if not _INDEX.fullmatch(word))


def _means_nothing(words: str, shared: frozenset[str], without_index: Counter[str]) -> bool:
    parts = words.split()
    if all(part in _GENERIC or part.isdecimal() or _CODE.fullmatch(part) for part in parts):
        return True  # also without any part
    if any(part in _GENERIC for part in shared) and all(
        part in shared or part.isdecimal() or len(part) == 1 for part in parts
    ):
        return True
    rest = _without_index(words)
    return rest != words and without_index[rest] > 1
