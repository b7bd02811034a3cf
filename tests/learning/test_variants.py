"""Names of variants, and the effect of --bb on them."""

from __future__ import annotations

import pytest

from teachmesh.agent.teaching.learn_task import LearnOptions
from teachmesh.biases.bias_options import BiasOptions
from teachmesh.errors import UsageError
from teachmesh.learning.variants import (
    VARIANTS,
    MapperConstants,
    check_method,
    find_variant,
    layers_of,
)
from teachmesh.mapping.anchor_kinds import METHODS


def test_every_method_has_a_variant_without_biases_and_five_with() -> None:
    """gmmc, maha and moments, each plain and with the endings; and Head2Toe on biases."""
    endings = ("", "+bb", "+bb-last", "+bb-all", "+bb-always", "+bb-all-always")
    names = {f"{method}{ending}" for method in METHODS for ending in endings}
    assert set(VARIANTS) == {*names, "bb-h2t"}
    assert all(variant.name == name for name, variant in VARIANTS.items())
    assert find_variant("moments").biases is None
    assert find_variant("gmmc+bb-last").biases == BiasOptions("half")
    assert find_variant("maha+bb-all-always").biases == BiasOptions("all", keep="always")
    assert find_variant("bb-h2t").biases == BiasOptions(head2toe=True)


@pytest.mark.parametrize(
    ("quality", "method", "result"),
    [
        (None, "moments+bb-last", "moments+bb-last"),
        ("fast", "moments+bb", "moments"),
        ("best", "moments", "moments+bb"),
        ("best", "maha", "maha+bb"),
        ("best", "moments+bb-last", "moments+bb"),
    ],
)
def test_a_quality_stands_for_biases(quality: str | None, method: str, result: str) -> None:
    """Also over the method of the home; the budget is that of `--bb auto`."""
    default = find_variant(method)
    assert LearnOptions(quality=quality).variant(default) == find_variant(result)


def test_a_quality_that_is_unknown_or_not_alone_is_refused() -> None:
    """The sentence names the presets, or the two options that exclude each other."""
    with pytest.raises(UsageError, match="quality out of fast, best, got 'good'"):
        layers_of("good", None)
    with pytest.raises(UsageError, match="--quality best stands for --bb auto"):
        LearnOptions(quality="best", bb="all").variant(find_variant("moments"))
    with pytest.raises(UsageError, match=r"moments alone, without biases, got moments\+bb"):
        LearnOptions(quality="best", max_bytes=9000).variant(find_variant("moments"))


@pytest.mark.parametrize(
    ("name", "layers", "passes", "result", "options"),
    [
        ("maha", "all", None, "maha+bb-all", BiasOptions("all")),
        ("maha+bb-always", "all", None, "maha+bb-all-always", BiasOptions("all", keep="always")),
        ("maha+bb", "last:3", 5.0, "maha+bb", BiasOptions("last:3", 5.0)),
        ("maha+bb", None, 5.0, "maha+bb", BiasOptions("auto", 5.0)),
        ("maha+bb", "none", None, "maha", None),
        ("maha", "none", None, "maha", None),
        ("maha+bb-last", "all", None, "maha+bb-all", BiasOptions("all")),
        ("maha+bb-last", "half", 9.0, "maha+bb-last", BiasOptions("half", 9.0)),
        ("maha+bb-last", None, 9.0, "maha+bb-last", BiasOptions("half", 9.0)),
        ("maha+bb-last", "none", None, "maha", None),
        ("bb-h2t", "all", None, "bb-h2t", BiasOptions("all", head2toe=True)),
    ],
)
def test_options_win_over_the_name(
    name: str, layers: str | None, passes: float | None, result: str, options: BiasOptions | None
) -> None:
    """--bb and --bb-passes add biases to a method, change them, or remove them."""
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
def test_options_that_make_no_sense_are_refused_before_learning(
    name: str, layers: str | None, passes: float | None
) -> None:
    """Unknown layers, empty or useless budgets, Head2Toe without biases."""
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
def test_a_budget_exceeds_the_pass_without_biases_and_is_finite(passes: float, words: str) -> None:
    """Every accepted budget gives a plan; the others are refused before an image is read."""
    with pytest.raises(UsageError, match=words):
        find_variant("maha+bb").with_biases(None, passes)


def test_a_misspelt_method_names_the_nearest() -> None:
    """The error suggests the nearest name."""
    with pytest.raises(UsageError, match=r"did you mean 'maha\+bb'"):
        find_variant("maha+b")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("clusters", 1, 64),
        ("variance_floor", 0, 1000),
        ("samples", 1, 1024),
        ("ridge", 1e-6, 1e3),
    ],
)
def test_constants_are_accepted_up_to_their_limits(name: str, low: float, high: float) -> None:
    """Both ends are allowed, and the next values are not; a whole number is no truth value."""
    for value in (low, high):
        assert MapperConstants(**{name: value}).given() == {name: value}
    for value in (low - 1, high + 1, True, "1"):
        with pytest.raises(UsageError, match=f"from {low:g} to {high:g}"):
            MapperConstants(**{name: value})


def test_a_method_of_teachmesh_is_returned_and_another_is_not() -> None:
    """The names of other packages are looked up only if teachmesh has no such method."""
    assert [check_method(method) for method in METHODS] == list(METHODS)
    with pytest.raises(UsageError, match="did you mean 'moments'"):
        check_method("moment")
