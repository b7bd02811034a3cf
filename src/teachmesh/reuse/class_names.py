"""Clean class names before they are compared.

`TShirt`, `t_shirt` and `t-shirt` become the same name; "class 7", "0001" and "" are meaningless.
Whether a number matters depends on the task's other names of the same form. The "3" of "plate 3" is
a symbol if there is also a "plate 8", but the zero-padded "07" of "object 07" is only an index.
Names of other forms have no effect, so a meaningless name does not change how they are cleaned.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 128
"""Maximum length of a name; longer names are truncated."""
PROMPT = "a photo of a {}."
"""Template for the input of a text encoder: CLIP's prompt, as in Fig. 11 of the paper."""

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
"""Code points that select how an emoji is drawn."""


@dataclass(frozen=True)
class Label:
    """A cleaned class name.

    Attributes:
        raw: original name.
        words: lower-case words, joined by single spaces; empty if the name means nothing or has
            no letters or digits.
        symbol: single characters or short numbers that distinguish the name from other names of
            the same form ("3" of "plate 3"), or None. Symbols are only compared for equality.
    """

    raw: str
    words: str
    symbol: str | None = None

    @property
    def prompt(self) -> str:
        """Input sentence for the text encoder."""
        return PROMPT.format(self.words)


def clean(name: str) -> str:
    """Return the words of a name in lower case, joined by spaces; empty if it has none.

    >>> clean("TShirt"), clean("t_shirt"), clean("Sour-Cream"), clean("character02"), clean("!?")
    ('t shirt', 't shirt', 'sour cream', 'character 02', '')
    >>> clean("C++"), clean("C#"), clean("rock+roll")
    ('c++', 'c#', 'rock roll')
    """
    text = unicodedata.normalize("NFKC", name[:MAX_CHARACTERS])
    text = unicodedata.normalize("NFKC", _CAMEL.sub(" ", text).casefold())
    text = _LETTER_NUMBER.sub(" ", text)  # after case folding, which may turn a letter into two
    text = _SIGN_INSIDE.sub(" ", _spaced(text))
    return " ".join(text.split())[:MAX_CHARACTERS].strip()


def _spaced(text: str) -> str:
    """Replace every character that is not part of a word with a space.

    Combining marks are kept because many scripts use them for vowels and tones. Without them, the
    Hindi words for "day" and "gift" would be equal. Signs after letters distinguish C++ from C#.
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
    """Clean the class names of one task, taking the task's other names into account.

    Args:
        classes: C class names in label order.

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
    """Return the signs of a name: its words that are numbers or single characters."""
    return tuple(word for word in words.split() if _is_sign(word))


def _form(words: str) -> tuple[str, ...]:
    """Return the form of a name: its words that are not signs."""
    return tuple(word for word in words.split() if not _is_sign(word))


def _is_sign(word: str) -> bool:
    return word.isdecimal() or _SYMBOL.fullmatch(_bare(word)) is not None


def _bare(word: str) -> str:
    """Remove combining marks, so that a letter with marks counts as a single character."""
    return "".join(character for character in word if not _is_mark(character))


def _symbol(words: str) -> str | None:
    """Return the signs of a name, or None if there are none or any is too long."""
    signs = _signs(words)
    return " ".join(signs) if signs and all(_SYMBOL.fullmatch(_bare(s)) for s in signs) else None


def _without_index(words: str) -> str:
    return " ".join(word for word in words.split() if not _INDEX.fullmatch(word))


def _means_nothing(words: str, form: tuple[str, ...], without_index: Counter[str]) -> bool:
    parts = words.split()
    if all(part in _GENERIC or part.isdecimal() or _CODE.fullmatch(part) for part in parts):
        return True  # also for an empty name
    if _signs(words) and any(part in _GENERIC for part in form):
        return True
    rest = _without_index(words)
    return rest != words and without_index[rest] > 1
