"""Names that are safe to show, store and compare, and suggestions for misspelt names.

Names come from folders, CSV files and other agents, and are shown in terminals, JSON and web pages.
A name is therefore normalised to Unicode NFC and has a length limit. Characters that move a cursor,
hide text or reorder it are rejected. Emoji, CJK and all other visible scripts are allowed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from teachmesh.errors import DataError

NAME_LIMIT = 128
"""Maximum length of a class or task name, in characters."""
REMARK_LIMIT = 256
"""Maximum length of a remark on a card, in characters."""

# Control, surrogate and private-use characters, line and paragraph separators, and format
# characters (such as bidirectional overrides) except the two joiners.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cf", "Zl", "Zp"})
# Zero-width (non-)joiner: Persian words and family emoji need them, between two of these.
_JOINERS = frozenset("\u200c\u200d")
_JOINED_CATEGORIES = frozenset({"Lo", "Mn", "Mc", "So", "Sk"})
# Fillers, vowels without a shape, and a blank symbol: letters and marks that show nothing.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_RESERVED_FILES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


# Absolute paths, drives and steps to a parent folder. "cat/dog" is a name.
_PATH = re.compile(r"^[/\\~]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.?([/\\]|$)")
PATH_START = re.compile(r"(?:^|[\s'\"(=:])(?:~|[A-Za-z]:)?[/\\]+")
"""Beginning of a path within a sentence."""


def is_visible(character: str) -> bool:
    """Return whether one character is allowed in a name."""
    if character in _BLANKS:
        return False
    return character in _JOINERS or unicodedata.category(character) not in _REFUSED_CATEGORIES


def shown(text: str, limit: int = 80) -> str:
    r"""Make any text safe for an error message: one short line without escape codes.

    Examples:
        >>> print(shown("cat" + chr(27) + "[31m"))
        cat\x1b[31m
    """
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(c if is_visible(c) else c.encode("unicode_escape").decode() for c in cut)


def check_name(kind: str, text: str, limit: int = NAME_LIMIT, *, as_file: bool = False) -> str:
    """Check that a text is a valid name, and return it in Unicode NFC.

    A caller that accepts only NFC must compare the result with `text`.

    Args:
        kind: kind of name, for the error message: "class", "task", "alias".
        text: the name to check.
        limit: maximum number of characters in NFC.
        as_file: whether the name may become part of a file name or of `name@alias`. Separators,
            a leading dot and names that Windows reserves are then rejected too.

    Returns:
        The name in NFC.

    Raises:
        DataError: the text is empty, too long, not printable, padded with spaces, or (as_file)
            not usable in a file name.
    """
    # NFC never shortens text to less than a quarter, so a huge name is rejected early.
    if len(text) > 4 * limit:
        raise DataError(_message(kind, text, f"it has {len(text)} characters, {limit} may be used"))
    name = unicodedata.normalize("NFC", text)
    if not name.strip():
        raise DataError(f"expected a {kind} name, got an empty one; give it a name")
    if len(name) > limit:
        raise DataError(_message(kind, text, f"it has {len(name)} characters, {limit} may be used"))
    for character in name:
        if not is_visible(character):
            code = f"U+{ord(character):04X}"
            raise DataError(_message(kind, text, f"it holds the unprintable character {code}"))
    if not _joins_properly(name):
        raise DataError(_message(kind, text, "it holds an invisible joiner between plain letters"))
    if name != name.strip():
        raise DataError(_message(kind, text, "it begins or ends with a space"))
    if as_file and name != _without_separators(name):
        raise DataError(_message(kind, text, "it cannot be used in a file name or before '@'"))
    return name


def _joins_properly(name: str) -> bool:
    """Return whether every joiner is between two characters of a script that uses joiners."""
    padded = f" {name} "
    return all(
        unicodedata.category(padded[i - 1]) in _JOINED_CATEGORIES
        and unicodedata.category(padded[i + 1]) in _JOINED_CATEGORIES
        for i, character in enumerate(padded)
        if character in _JOINERS
    )


def check_class_name(text: str, limit: int = NAME_LIMIT) -> str:
    """Check a class name as `check_name` does, and return it in NFC.

    Dots at the end ("Quercus sp.") and names that Windows reserves for devices ("CON") are
    allowed, because class names are never used as file names.

    Raises:
        DataError: the name is no valid name, or it is a path to another folder.
    """
    name = check_name("class", text, limit)
    if _PATH.search(name):
        raise DataError(_message("class", text, "it is a path to another folder"))
    return name


def remark(text: str, limit: int = REMARK_LIMIT) -> str:
    """Make a remark that a skill's card accepts: one line in NFC, short and without paths."""
    line = unicodedata.normalize("NFC", " ".join(shown(text, 4 * limit).split()))
    line = PATH_START.sub(lambda found: found[0].replace("/", "_").replace("\\", "_"), line)
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def clean_name(text: str, limit: int = NAME_LIMIT) -> str:
    """Turn any text, such as the stem of a path, into a name that `check_name` accepts.

    Returns:
        The text in NFC without unprintable characters and separators, with single spaces, cut to
        `limit`; "unnamed" if nothing is left.
    """
    normal = unicodedata.normalize("NFC", text[: 4 * limit])
    kept = "".join(c if is_visible(c) else " " for c in normal)
    if not _joins_properly(kept):
        kept = "".join(c for c in kept if c not in _JOINERS)
    name = _without_separators(" ".join(kept.split()))[:limit].strip(" .")
    return name or "unnamed"


def comparison_key(name: str) -> str:
    """Return the form in which names are compared: NFC and case-folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the known word that is closest to a misspelt word, or None if no known word is close.

    Examples:
        >>> closest("flwers", ["flowers", "digits"])
        'flowers'
    """
    import difflib  # slow to import, and only errors need it

    by_key = {comparison_key(known): known for known in sorted(words, reverse=True)}
    near = difflib.get_close_matches(comparison_key(word), sorted(by_key), n=1, cutoff=0.6)
    return by_key[near[0]] if near else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"`, or "" if no known word is close."""
    near = closest(word, words)
    return f" (did you mean '{shown(near)}'?)" if near is not None else ""


def _without_separators(name: str) -> str:
    name = re.sub(r'[/\\@:*?"<>|]+', "_", name).lstrip(".").rstrip(". ")
    return f"_{name}" if _RESERVED_FILES.fullmatch(name) else name


def _message(kind: str, text: str, reason: str) -> str:
    return f"expected a printable {kind} name, got '{shown(text, 60)}': {reason}; rename it"
