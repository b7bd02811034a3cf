"""Named arrays as a file whose bytes depend on its content alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn
from safetensors.numpy import load, save

from teachmesh.data.tensor_file import read_tensors, write_tensors

DOCUMENT = {"schema": "test/1", "note": "ä"}
ARRAYS = hn.arrays(
    st.sampled_from([np.float32, np.float16, np.uint8]),
    hn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements={"allow_nan": False},
)


@given(st.dictionaries(st.text("abcxyz._", min_size=1, max_size=6), ARRAYS, max_size=4))
def test_what_is_written_is_read(tensors: dict[str, np.ndarray]) -> None:
    """read(write(x)) == x; the order of the arrays makes no difference to the bytes."""
    data = write_tensors(DOCUMENT, tensors)
    document, found = read_tensors(data, "test/1")
    assert document == DOCUMENT
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable
    assert write_tensors(DOCUMENT, dict(reversed(tensors.items()))) == data


def test_the_safetensors_library_reads_it_and_writes_the_same() -> None:
    """Oracle: the library, in both directions."""
    tensors = {
        "b": np.arange(6, dtype=np.float16).reshape(2, 3),
        "a": np.arange(3, dtype=np.float16),
        "c": np.arange(5, dtype=np.float32),
        "d": np.arange(7, dtype=np.uint8),
    }
    data = write_tensors({"schema": "test/1"}, tensors)
    for name, array in load(data).items():
        np.testing.assert_array_equal(array, tensors[name])
    assert save(tensors, metadata={"teachmesh": '{"schema":"test/1"}'}) == data


GOOD = write_tensors({"schema": "test/1"}, {"a": np.arange(4, dtype=np.uint8)})


def _with_header(header: object, body: bytes = b"\0\1\2\3") -> bytes:
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + body


def _entry(**changes: object) -> bytes:
    entry: dict[str, object] = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    metadata = {"teachmesh": '{"schema":"test/1"}'}
    return _with_header({"__metadata__": metadata, "a": {**entry, **changes}})


def test_the_helper_of_these_tests_writes_good_files() -> None:
    """Otherwise the refusals below would prove nothing."""
    assert _entry() == GOOD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        GOOD[:-1],
        GOOD + b"\0",
        GOOD[:20],
        (1 << 60).to_bytes(8, "little") + GOOD[8:],
        _entry(dtype="F64"),
        _entry(dtype=["U8"]),
        _entry(shape=[5]),
        _entry(shape=[2, 2.0]),
        _entry(shape=[-1, -4]),
        _entry(shape=[True, 4]),
        _entry(shape=None),
        _entry(data_offsets=[0, 4, 4]),
        _entry(data_offsets=[-4, 0]),
        _entry(data_offsets=["0", "4"]),
        _entry(shape=[1 << 62], data_offsets=[0, 1 << 62]),
        _entry(extra=1),
        _with_header([]),
        _with_header({"a": {}}),
        _with_header({"__metadata__": {"teachmesh": "[" * 100_000}}),
        _with_header({"__metadata__": {"teachmesh": "null"}}),
        _with_header({"__metadata__": {"teachmesh": '{"schema":"test/2"}'}}, b""),
        _with_header({"__metadata__": {"teachmesh": '{"schema": "test/1"}'}}, b""),
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
    ],
    ids=range(25),
)
def test_anything_else_is_refused(data: bytes) -> None:
    """Cut, padded, with holes, in another order, of another schema, or not a file at all."""
    with pytest.raises(ValueError, match=r"^(it|its) (has|is|was|header|schema|shapes)"):
        read_tensors(data, "test/1")
