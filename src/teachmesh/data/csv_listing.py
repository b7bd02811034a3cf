"""Labelled images from a CSV file with the columns `path`, `label` and optionally `split`."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from teachmesh.data.csv_text import (
    decode_csv,
    delimiter_of,
    is_absolute,
    locate,
    moved_prefix,
    path_parts,
    without_separator_line,
)
from teachmesh.data.images import ImageRef
from teachmesh.data.layouts import SPLIT_WORDS, SplitName, split_word
from teachmesh.data.listing import Item, Listing, keep_readable
from teachmesh.data.names import did_you_mean, shown
from teachmesh.data.source_files import counted
from teachmesh.errors import DataError


def list_csv(path: Path) -> Listing:
    """List the images in a CSV file.

    The first line contains the column names; unknown columns are ignored. Paths are relative to the
    folder of the CSV file, with either kind of slash. The separator is a comma, semicolon or tab,
    or the one of Excel's first line "sep=;". The text is UTF-8, UTF-16 with a mark, or cp1252.

    Raises:
        DataError: the file is not text or not CSV, has no lines, or lacks a column or value. Also
            raised if a split is unknown, or an image has two labels.
    """
    rows, remark = _rows(path)
    moved, prefix = _moved(path.parent, [image for _, (image, _, _) in rows])
    items: dict[str, Item] = {}
    for line, (image, label, split) in rows:
        parts = path_parts(image)[prefix if image in moved else 0 :]
        item = _item(path, line, moved.get(image, image), parts, label, split)
        known = items.setdefault("/".join(parts), item)
        if (known.label, known.split) != (item.label, item.split):
            raise _error(path, line, "one label and split per image", f"two for '{shown(image)}'")
    if len({item.split is None for item in items.values()}) > 1:
        raise _error(path, 1, "a split in every line or in none", "some empty ones")
    kept, unreadable, remarks = keep_readable(items.values())
    repeated = len(rows) - len(items)
    elsewhere = f"{len(moved)} absolute paths of another machine: read below the CSV file's folder"
    warnings = (
        f"{counted(repeated, 'repeated line')} ignored" if repeated else "",
        remark,
        elsewhere if moved else "",
        *remarks,
    )
    empty = {item.label for item in items.values()} - {item.label for item in kept}
    return Listing(kept, tuple(sorted(empty)), unreadable, tuple(filter(None, warnings)))


def _moved(folder: Path, images: Sequence[str]) -> tuple[dict[str, str], int]:
    """Return the paths below `folder` of absolute paths that only another machine has.

    Returns:
        New path by old path, and the number of leading parts that were left out of each.
    """
    away = [image for image in images if is_absolute(image) and not Path(image).exists()]
    prefix = moved_prefix(folder, away)
    if not prefix:
        return {}, 0
    start = path_parts(away[0])[:prefix]
    alike = (image for image in away if path_parts(image)[:prefix] == start)
    return {image: "/".join(path_parts(image)[prefix:]) for image in alike}, prefix


def _item(path: Path, line: int, image: str, parts: Sequence[str], label: str, word: str) -> Item:
    split = _split(path, line, word)
    # Use the same name as in a listing of folders, so that equal tasks get equal splits.
    below_split = split is not None and len(parts) >= 3 and split_word(parts[0]) is not None
    name = unicodedata.normalize("NFC", "/".join(parts[1:] if below_split else parts))
    return Item(split, label, name, ImageRef(locate(path.parent, image)))


def _rows(path: Path) -> tuple[list[tuple[int, tuple[str, str, str]]], str]:
    """Return (line number, (path, label, split)) for each line with text, and a remark."""
    try:
        text, remark = decode_csv(path.read_bytes())
        table, separator = without_separator_line(text)
        lines = StringIO(table, newline="")
        header = lines.readline()
        delimiter = separator or delimiter_of(header)
        columns = _columns(header, delimiter)
        for needed in ("path", "label"):
            if needed not in columns:
                got = shown(", ".join(columns)) or "an empty line"
                raise _error(path, 1, "the columns path,label and perhaps split", got)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        before = 1 + (separator is not None)
        rows = [
            (reader.line_num + before, _values(path, reader.line_num + before, row, columns))
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except UnicodeDecodeError as error:
        raise _error(path, 1, "UTF-8 text", f"byte {error.object[error.start]:#x}") from error
    except csv.Error as error:
        raise _error(path, 1, "comma-separated values", f"'{shown(str(error))}'") from error
    except OSError as error:
        raise _error(path, 1, "a readable file", f"'{error.strerror}'") from error
    if not rows:
        raise _error(path, 1, "lines with images below the column names", "none")
    return rows, remark


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
    split = split_word(word)
    if split is None:
        guess = did_you_mean(word, SPLIT_WORDS)
        raise _error(path, line, "the split train, val or test", f"'{shown(word)}'{guess}")
    return split


def _error(path: Path, line: int, expected: str, got: str) -> DataError:
    where = f"'{shown(str(path), 200)}', line {line}"
    return DataError(f"expected {expected} in {where}, got {got}; correct the file")
