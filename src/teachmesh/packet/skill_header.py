"""The header of a skill file, which is written in exactly one way and strictly checked on reading.

A safetensors file consists of the header length (8 bytes, little-endian), a JSON header, and the
bytes of the tensors. The safetensors library accepts duplicate tensor names, unknown keys, leading
spaces and a million empty tensors. The order in which it writes tensors depends on its version.
Therefore this module reads and writes skill headers itself; a test compares it with the library.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from teachmesh.errors import SkillRefused
from teachmesh.packet.canonical import parse_strict
from teachmesh.packet.limits import HARD_FILE_BYTES, Limits

METADATA_KEY = "teachmesh"
LENGTH_BYTES = 8
ALIGNMENT_BYTES = 8

# Little-endian numpy types in file order. The widest types come first, as in the safetensors
# library, so that every tensor is aligned.
DTYPES = {"F32": "<f4", "U32": "<u4", "I32": "<i4", "F16": "<f2", "U16": "<u2", "I16": "<i2"}
DTYPES |= {"I8": "|i1", "U8": "|u1"}
_DTYPE_BYTES = {"F32": 4, "U32": 4, "I32": 4, "F16": 2, "U16": 2, "I16": 2, "I8": 1, "U8": 1}
_DTYPE_RANK = {name: rank for rank, name in enumerate(DTYPES)}
_MAX_RANK = 2
_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class TensorEntry:
    """The header entry of one tensor, which is stored in bytes [begin, end) after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class RawHeader:
    """A parsed header; its tensor entries are **not** checked yet.

    Attributes:
        metadata: value of the only metadata key.
        entries: unchecked header entries by tensor name, in file order.
        body_start: offset of the first byte after the header.
        body_bytes: number of bytes after the header.
    """

    metadata: str
    entries: dict[str, Any]
    body_start: int
    body_bytes: int


def write_header(metadata: str, shapes: dict[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """Encode the header of a file with tensors of the given dtypes and shapes.

    Returns:
        All bytes before the first tensor. The tensors must follow in the order of `file_order`.
    """
    header: dict[str, object] = {"__metadata__": {METADATA_KEY: metadata}}
    begin = 0
    for name in file_order({name: dtype for name, (dtype, _) in shapes.items()}):
        dtype, shape = shapes[name]
        end = begin + _size_bytes(dtype, shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def file_order(dtypes: dict[str, str]) -> list[str]:
    """Return the tensor names in file order: sorted by dtype (as in DTYPES), then by name."""
    return sorted(dtypes, key=lambda name: (_DTYPE_RANK[dtypes[name]], name.encode()))


def read_header(data: bytes, limits: Limits) -> RawHeader:
    """Parse the header of an untrusted file; no memory is allocated for tensors.

    Raises:
        SkillRefused: LIMIT for a file or header that is too large or has too many parts. FORMAT
            unless it is a safetensors file with exactly one metadata key.
    """
    body_start = LENGTH_BYTES + check_sizes(data, limits)
    raw = data[LENGTH_BYTES:body_start]
    if not raw.startswith(b"{"):
        raise SkillRefused("FORMAT", "the header does not begin with a JSON object")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SkillRefused("FORMAT", "the header is not UTF-8") from error
    # Each entry has 3 brackets (object, 2 lists) and 10 quotes (tensor name, 3 keys, dtype).
    entries = parse_strict(
        text, "header", brackets=3 * limits.tensors + 2, quotes=10 * limits.tensors + 6
    )
    metadata = _take_metadata(entries)
    return RawHeader(metadata, entries, body_start, len(data) - body_start)


def check_sizes(data: bytes, limits: Limits) -> int:
    """Check the sizes of a file and its header; return the size of the header in bytes.

    Raises:
        SkillRefused: LIMIT if the file or its header is too large; FORMAT if there is no header.
    """
    bound = min(limits.file_bytes, HARD_FILE_BYTES)
    if len(data) > bound:
        raise SkillRefused("LIMIT", f"expected at most {bound} bytes, got {len(data)}")
    if len(data) <= LENGTH_BYTES:
        raise SkillRefused("FORMAT", f"expected a skill file, got {len(data)} bytes")
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if length == 0 or length > len(data) - LENGTH_BYTES:
        raise SkillRefused("FORMAT", "expected a skill file; the header is longer than the file")
    if length > limits.header_bytes:
        raise SkillRefused(
            "LIMIT", f"expected a header of at most {limits.header_bytes} bytes, got {length}"
        )
    return length


def _take_metadata(entries: dict[str, Any]) -> str:
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {METADATA_KEY}:
        raise SkillRefused("FORMAT", f"expected exactly one metadata key, {METADATA_KEY!r}")
    text = metadata[METADATA_KEY]
    if not isinstance(text, str):
        raise SkillRefused("FORMAT", "expected the metadata to be text")
    return text


def check_entries(header: RawHeader, limits: Limits) -> tuple[TensorEntry, ...]:
    """Check the entries of all tensors, which must fill the body without gaps or overlaps.

    Raises:
        SkillRefused: LIMIT for too many tensors; FORMAT for an invalid entry, a gap, an overlap,
            or missing or trailing bytes.
    """
    if len(header.entries) > limits.tensors:
        raise SkillRefused("LIMIT", f"expected at most {limits.tensors} tensors")
    checked = []
    position = 0
    for name, entry in header.entries.items():
        tensor = _check_entry(name, entry)
        if tensor.begin != position:
            raise SkillRefused("FORMAT", f"hole or overlap before tensor {name[:64]!a}")
        position = tensor.end
        checked.append(tensor)
    if position != header.body_bytes:
        raise SkillRefused(
            "FORMAT", f"expected {position} bytes of tensors, got {header.body_bytes}"
        )
    return tuple(checked)


def _check_entry(name: str, entry: object) -> TensorEntry:
    shown = f"{name[:64]!a}"
    if not isinstance(entry, dict) or set(entry) != _ENTRY_KEYS:
        raise SkillRefused("FORMAT", f"tensor {shown}: expected dtype, shape and data_offsets only")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise SkillRefused("FORMAT", f"tensor {shown}: expected a dtype of {', '.join(DTYPES)}")
    if not _are_counts(shape) or not 1 <= len(shape) <= _MAX_RANK or 0 in shape:
        raise SkillRefused("FORMAT", f"tensor {shown}: expected one or two positive dimensions")
    if not _are_counts(offsets) or len(offsets) != _MAX_RANK:
        raise SkillRefused("FORMAT", f"tensor {shown}: expected two offsets")
    begin, end = offsets
    # Python's integers do not overflow, so a huge shape cannot match a small range of bytes.
    if end - begin != _size_bytes(dtype, tuple(shape)):
        raise SkillRefused("FORMAT", f"tensor {shown}: shape and offsets disagree")
    return TensorEntry(name, dtype, tuple(shape), begin, end)


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(type(item) is int and item >= 0 for item in values)


def _size_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    size = _DTYPE_BYTES[dtype]
    for length in shape:
        size *= length
    return size
