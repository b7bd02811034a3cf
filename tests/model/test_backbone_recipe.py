"""Recipes of side-loaded backbones are read, written and validated."""

from __future__ import annotations

from typing import Any

import pytest

from teachmesh.errors import BackboneError
from teachmesh.model.backbone_recipe import Recipe, parse_options
from teachmesh.model.forward_pass import Preprocessing
from tests.model.nets import GREY

RECIPE = Recipe("mobilenetv2_100", {"pad_type": "same", "drop_rate": 0.5}, GREY)


def test_a_recipe_survives_its_file() -> None:
    """decode(encode(r)) == r, and other keys of the file are ignored."""
    assert Recipe.from_json({**RECIPE.to_json(), "fingerprint": "x"}) == RECIPE


def test_the_title_does_not_depend_on_the_order_of_options() -> None:
    """The title is part of the fingerprint."""
    turned = Recipe("mobilenetv2_100", {"drop_rate": 0.5, "pad_type": "same"}, GREY)
    assert turned.title == RECIPE.title
    assert RECIPE.title == 'timm/mobilenetv2_100 {"drop_rate": 0.5, "pad_type": "same"}'


def test_options_are_json_where_they_look_like_it() -> None:
    """Lists and objects stay text, because arguments of networks are plain values."""
    given = {"a": "same", "b": "64", "c": "true", "d": "null", "e": "0.5", "f": "[1]", "g": ""}
    expected = {"a": "same", "b": 64, "c": True, "d": None, "e": 0.5, "f": "[1]", "g": ""}
    assert parse_options(given) == expected


@pytest.mark.parametrize(
    "key", ["checkpoint_path", "pretrained", "pretrained_cfg_overlay", "num_classes", "a b", ""]
)
def test_options_that_load_files_or_change_the_interface_are_refused(key: str) -> None:
    """A file from a peer must not make timm open another file."""
    with pytest.raises(BackboneError, match="expected an option of the network itself"):
        Recipe("resnet10t", {key: "/tmp/evil.pth"}, GREY)


@pytest.mark.parametrize(
    ("size", "mean", "std"),
    [
        (15, (0.5,) * 3, (0.5,) * 3),
        (1025, (0.5,) * 3, (0.5,) * 3),
        (32, (0.5,) * 3, (0.5, 0.0, 0.5)),
        (32, (0.5,) * 3, (0.5, -1.0, 0.5)),
        (32, (float("nan"), 0.5, 0.5), (0.5,) * 3),
        (32, (0.5,) * 3, (float("inf"), 0.5, 0.5)),
    ],
)
def test_impossible_preprocessing_is_refused(size: int, mean: Any, std: Any) -> None:
    """It is refused before a division by zero."""
    with pytest.raises(BackboneError, match=r"expected (a size of 16 to 1024 px|finite means)"):
        Recipe("resnet10t", {}, Preprocessing(size, mean, std))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "teachmesh.recipe/2"},
        {"options": "none"},
        {"options": {"a": [1]}},
        {"mean": [0.5]},
        {"std": None},
        {"size": "large"},
    ],
)
def test_a_malformed_description_is_refused(changes: dict[str, Any]) -> None:
    """Any defect gives one sentence."""
    with pytest.raises(BackboneError, match="description is malformed"):
        Recipe.from_json({**RECIPE.to_json(), **changes})
    with pytest.raises(BackboneError, match="description is malformed"):
        Recipe.from_json({})
