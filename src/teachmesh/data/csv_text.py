"""Text and paths of CSV files as spreadsheets and other machines write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = (",", ";", "\t")


def decode_csv(data: bytes) -> tuple[str, str]:
    """Decode a CSV file, and return a remark if its encoding was guessed.

    Byte order marks decide; without one, UTF-8 is tried before Windows' code page 1252.

    Raises:
        UnicodeDecodeError: the bytes are neither UTF-8 nor code page 1252, or not the UTF-16 that
            their mark announces.
    """
    if data.startswith(UTF16_MARKS):
        return data.decode("utf-16"), ""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return data.decode("cp1252"), "the CSV file is not UTF-8: read as Windows code page 1252"


def without_separator_line(text: str) -> tuple[str, str | None]:
    """Return the text after Excel's line "sep=;", and the separator that it names, if any."""
    first, _, rest = text.partition("\n")
    word = first.strip('\r\ufeff "')
    if word.lower().startswith("sep=") and len(word) == 5:
        return rest, word[-1]
    if word.lower() == "sep=" and "\t" in first:
        return rest, "\t"
    return text, None


def delimiter_of(header: str) -> str:
    """Return the separator that a header line has most often; a comma if it has none."""
    counts = {delimiter: header.count(delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: counts[delimiter])
    return best if counts[best] else ","


def path_parts(text: str) -> list[str]:
    """Split a path of Windows or of another system into its parts, without "."."""
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]


def is_absolute(text: str) -> bool:
    """Return whether a path is absolute on this machine or on Windows."""
    return text.startswith(("/", "\\")) or bool(PureWindowsPath(text).drive)


def locate(folder: Path, text: str) -> Path:
    """Return the file of a path in a CSV file, which need not exist.

    Relative paths are below the CSV file's folder, with either kind of slash.
    """
    whole = folder / text
    return whole if whole.exists() or "\\" not in text else folder / "/".join(path_parts(text))


def moved_prefix(folder: Path, paths: Sequence[str]) -> int:
    """Return how many leading parts lie only on the machine that wrote absolute paths.

    Returns:
        The smallest number of parts to leave out, so that the first path is a file below
        `folder`; 0 if there is none.
    """
    parts = path_parts(paths[0]) if paths else []
    found = (n for n in range(1, len(parts)) if folder.joinpath(*parts[n:]).is_file())
    return next(found, 0)
