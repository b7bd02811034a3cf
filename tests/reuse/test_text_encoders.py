"""Comparison of names: exact, and with the text encoder if it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from teachmesh.data.text_files import encoder_is_installed, read_encoder_files
from teachmesh.errors import MissingExtraError, StorageError, UsageError
from teachmesh.reuse.class_names import read_labels
from teachmesh.reuse.text_encoders import SAME_SYMBOL, NameComparer, choose_encoder

needs_encoder = pytest.mark.skipif(
    not encoder_is_installed(), reason="the text encoder's package is not installed"
)
HOSTILE = ["x" * 10_000, "\U0001f600", "", "犬", "собака", "../../etc"]


def test_without_an_encoder_names_are_equal_or_different() -> None:
    """The comparer is called "names", so results show that no encoder was used."""
    comparer = choose_encoder("names")
    one, other = read_labels(["T-Shirt", "bike"]), read_labels(["t_shirt", "bicycle"])
    assert comparer.similarity(one, other).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert comparer.name == "names"


def test_symbols_are_equal_or_different_never_similar() -> None:
    """A 3 never matches an 8, although an encoder gives both sentences similar vectors."""
    one, other = read_labels(["digit 3", "digit 8"]), read_labels(["plate 3", "plate 8"])
    expected = [[SAME_SYMBOL, 0.0], [0.0, SAME_SYMBOL]]
    assert choose_encoder("names").similarity(one, other).tolist() == expected


@pytest.mark.parametrize("others", [["bike", "sour cream", "red dog"], ["plate 3", "plate 8"]])
@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("encoder", ["names", pytest.param("minilm", marks=needs_encoder)])
def test_a_hostile_name_changes_only_its_own_match(
    hostile: str, encoder: str, others: list[str]
) -> None:
    """All other similarities are equal with and without it."""
    comparer = _comparer(encoder)
    old = read_labels(["bicycle", "dog", "kefir", "digit 3", "digit 8"])
    without = comparer.similarity(read_labels(others), old)
    with_it = comparer.similarity(read_labels([*others, hostile]), old)
    np.testing.assert_allclose(with_it[: len(others)], without, atol=1e-5)
    assert np.isfinite(with_it).all()


_SHARED: dict[str, NameComparer] = {}


def _comparer(encoder: str) -> NameComparer:
    """Return a shared comparer, because loading reads and hashes the weights."""
    if encoder not in _SHARED:
        _SHARED[encoder] = choose_encoder(encoder)
    return _SHARED[encoder]


@needs_encoder
def test_the_encoder_gives_the_published_cosines() -> None:
    """The expected figures come from the original package and have three digits."""
    from teachmesh.reuse.minilm import MiniLm

    encoder = MiniLm()
    sentences = ["bike", "bicycle", "SUV", "van", "cat", "airplane", "kitchen", "cookroom"]
    vectors = encoder.encode(sentences)
    cosines = (vectors[::2] * vectors[1::2]).sum(1)
    np.testing.assert_allclose(cosines, [0.920, 0.438, 0.337, 0.745], atol=6e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


@needs_encoder
def test_padding_does_not_change_a_sentence() -> None:
    """A short sentence gets the same vector alone and next to a long one."""
    from teachmesh.reuse.minilm import MiniLm

    encoder = MiniLm()
    alone = encoder.encode(["dog"])
    padded = encoder.encode(["dog", "a rather long sentence about " + "words " * 30])
    np.testing.assert_allclose(alone[0], padded[0], atol=1e-5)


@needs_encoder
def test_names_in_another_script_match_only_themselves() -> None:
    """An English encoder gives all unknown characters one vector, so it is not used."""
    one = read_labels(["犬", "собака"])
    other = read_labels(["猫", "собака"])
    assert _comparer("minilm").similarity(one, other).tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    """The hash is checked before anything is parsed."""
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    with pytest.raises(StorageError, match="published file"):
        read_encoder_files(tmp_path)
    with pytest.raises(StorageError, match="could not read"):
        read_encoder_files(tmp_path / "nowhere")


def test_an_unknown_encoder_is_refused() -> None:
    """The error lists the encoders."""
    with pytest.raises(UsageError, match="auto, minilm, clip, names"):
        choose_encoder("word2vec")


def test_a_missing_encoder_names_the_package_to_install() -> None:
    """CLIP's packages are optional."""
    import importlib.util

    if any(importlib.util.find_spec(name) for name in ("transformers", "open_clip")):
        pytest.skip("one of CLIP's packages is installed")
    with pytest.raises(MissingExtraError, match="transformers"):
        choose_encoder("clip")
