"""Names of ways to learn, and what --bb makes of them."""

from __future__ import annotations

import pytest

from teachmesh.biases.bias_options import BiasOptions
from teachmesh.errors import UsageError
from teachmesh.learning.variants import VARIANTS, find_variant
from teachmesh.mapping.anchor_kinds import METHODS


def test_every_method_stands_alone_with_biases_and_with_late_biases() -> None:
    """gmmc, maha, moments times nothing, +bb, +bb-last; and Head2Toe on biases."""
    names = {f"{method}{ending}" for method in METHODS for ending in ("", "+bb", "+bb-last")}
    assert set(VARIANTS) == {*names, "bb-h2t"}
    assert all(variant.name == name for name, variant in VARIANTS.items())
    assert find_variant("moments").biases is None
    assert find_variant("gmmc+bb-last").biases == BiasOptions("half")
    assert find_variant("bb-h2t").biases == BiasOptions(head2toe=True)


@pytest.mark.parametrize(
    ("name", "layers", "passes", "result", "options"),
    [
        ("maha", "all", None, "maha+bb", BiasOptions("all")),
        ("maha+bb", "last:3", 5.0, "maha+bb", BiasOptions("last:3", 5.0)),
        ("maha+bb", None, 5.0, "maha+bb", BiasOptions("auto", 5.0)),
        ("maha+bb", "none", None, "maha", None),
        ("maha", "none", None, "maha", None),
        ("maha+bb-last", "all", None, "maha+bb", BiasOptions("all")),
        ("maha+bb-last", "half", 9.0, "maha+bb-last", BiasOptions("half", 9.0)),
        ("maha+bb-last", None, 9.0, "maha+bb-last", BiasOptions("half", 9.0)),
        ("maha+bb-last", "none", None, "maha", None),
        ("bb-h2t", "all", None, "bb-h2t", BiasOptions("all", head2toe=True)),
    ],
)
def test_options_win_over_the_name(
    name: str, layers: str | None, passes: float | None, result: str, options: BiasOptions | None
) -> None:
    """--bb and --bb-passes add biases to a method, change them, or leave them out."""
    variant = find_variant(name).with_biases(layers, passes)
    assert (variant.name, variant.biases) == (result, options)


@pytest.mark.parametrize(
    ("name", "layers", "passes"),
    [
        ("maha", "some", None),
        ("maha", "last:0", None),
        ("maha", "last:-1", None),
        ("maha", None, 8.0),
        ("maha", "none", 8.0),
        ("maha", "auto", 0.0),
        ("maha", "auto", float("nan")),
        ("bb-h2t", "none", None),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_learned(
    name: str, layers: str | None, passes: float | None
) -> None:
    """Unknown layers, budgets of nothing or for nothing, Head2Toe without biases."""
    with pytest.raises(UsageError, match="expected"):
        find_variant(name).with_biases(layers, passes)


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        (float("-inf"), "raise --bb-passes"),
        (0.5, "raise --bb-passes"),
        (1.0, "raise --bb-passes"),
        (1e6, "lower --bb-passes"),
        (1e300, "lower --bb-passes"),
        (float("inf"), "lower --bb-passes"),
    ],
)
def test_a_budget_lies_above_the_pass_without_biases_and_has_a_bound(
    passes: float, words: str
) -> None:
    """Every accepted one makes a plan; the others are refused before an image is read."""
    with pytest.raises(UsageError, match=words):
        find_variant("maha+bb").with_biases(None, passes)


def test_a_misspelt_method_names_the_nearest() -> None:
    """A sentence that helps."""
    with pytest.raises(UsageError, match=r"did you mean 'maha\+bb'"):
        find_variant("maha+b")
