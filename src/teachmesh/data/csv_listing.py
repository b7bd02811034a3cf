"""Labelled images from a CSV file with the columns `path`, `label` and optionally `split`."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from teachmesh.data.images import ImageRef
from teachmesh.data.listing import SPLIT_WORDS, Item, Listing, SplitName, keep_readable
from teachmesh.data.names import did_you_mean, shown
from teachmesh.errors import DataError

_DELIMITERS = (",", ";", "\t")


def list_csv(path: Path) -> Listing:
    """List the images in a CSV file.

    The first line contains the column names; unknown columns are ignored. Paths are relative to the
    folder of the CSV file. The separator is a comma, semicolon or tab. Quotes and a byte order mark
    are allowed.

    Raises:
        DataError: the file is not UTF-8 or not CSV, a column or value is missing, a split is
            unknown, or an image has two labels.
    """
    rows = _rows(path)
    items: dict[str, Item] = {}
    for line, (image, label, split) in rows:
        parts = [part for part in image.replace("\\", "/").split("/") if part not in ("", ".")]
        item = _item(path, line, image, parts, label, split)
        known = items.setdefault("/".join(parts), item)
        if (known.label, known.split) != (item.label, item.split):
            raise _error(path, line, "one label and split per image", f"two for '{shown(image)}'")
    if len({item.split is None for item in items.values()}) > 1:
        raise _error(path, 1, "a split in every line or in none", "some empty ones")
    kept, unreadable = keep_readable(items.values())
    repeated = len(rows) - len(items)
    warnings = (f"{repeated} repeated lines ignored",) if repeated else ()
    empty = {item.label for item in items.values()} - {item.label for item in kept}
    return Listing(kept, tuple(sorted(empty)), unreadable, warnings)


def _item(path: Path, line: int, image: str, parts: Sequence[str], label: str, word: str) -> Item:
    split = _split(path, line, word)
    # Use the same name as in a listing of folders, so that equal tasks get equal splits.
    below_split = split is not None and len(parts) >= 3 and parts[0].casefold() in SPLIT_WORDS
    name = unicodedata.normalize("NFC", "/".join(parts[1:] if below_split else parts))
    return Item(split, label, name, ImageRef(path.parent / image))


def _rows(path: Path) -> list[tuple[int, tuple[str, str, str]]]:
    """Return (line number, (path, label, split)) for every line that is not blank."""
    try:
        # utf-8-sig drops the byte order mark that spreadsheets write.
        text = path.read_bytes().decode("utf-8-sig")
        lines = StringIO(text, newline="")
        header = lines.readline()
        delimiter = next((d for d in _DELIMITERS if len(_columns(header, d)) > 1), ",")
        columns = _columns(header, delimiter)
        for needed in ("path", "label"):
            if needed not in columns:
                got = shown(", ".join(columns)) or "an empty line"
                raise _error(path, 1, "the columns path,label and perhaps split", got)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        return [
            (reader.line_num + 1, _values(path, reader.line_num + 1, row, columns))
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except UnicodeDecodeError as error:
        raise _error(path, 1, "UTF-8 text", f"byte {error.object[error.start]:#x}") from error
    except csv.Error as error:
        raise _error(path, 1, "comma-separated values", f"'{shown(str(error))}'") from error
    except OSError as error:
        raise _error(path, 1, "a readable file", f"'{error.strerror}'") from error


def _columns(header: str, delimiter: str) -> list[str]:
    return [cell.strip().casefold() for cell in next(csv.reader([header], delimiter=delimiter), [])]


def _values(
    path: Path, line: int, row: Sequence[str], columns: Sequence[str]
) -> tuple[str, str, str]:
    if len(row) > len(columns):
        raise _error(
            path, line, f"{len(columns)} values (quote a label with commas)", str(len(row))
        )
    cells = dict(zip(columns, (cell.strip() for cell in row), strict=False))
    image, label = cells.get("path", ""), cells.get("label", "")
    if not image or not label or "\0" in image:
        raise _error(path, line, "a path and a label", "an empty value")
    return image, label, cells.get("split", "")


def _split(path: Path, line: int, word: str) -> SplitName | None:
    if not word:
        return None
    split = SPLIT_WORDS.get(word.casefold())
    if split is None:
        guess = did_you_mean(word, SPLIT_WORDS)
        raise _error(path, line, "the split train, val or test", f"'{shown(word)}'{guess}")
    return split


def _error(path: Path, line: int, expected: str, got: str) -> DataError:
    where = f"'{shown(str(path), 200)}', line {line}"
    return DataError(f"expected {expected} in {where}, got {got}; correct the file")
