"""ONNX files of skills and agents: onnxruntime gives the answers of the agent."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from teachmesh.agent import Agent
from teachmesh.agent.answers.student import Student
from teachmesh.agent.teaching import onnx_export
from teachmesh.agent.teaching.agent_network import OUTPUTS, AgentNetwork
from teachmesh.agent.teaching.onnx_export import TOLERANCE, agent_difference, decisions_of
from teachmesh.errors import BackboneError, UsageError
from teachmesh.mapping import mapper_network, moments
from teachmesh.model.backbone import Backbone
from teachmesh.model.onnx_file import onnx_file, run_onnx
from teachmesh.packet.skill import Skill
from tests.biases.test_second_pass import skill_of
from tests.cli.test_commands import run, run_json
from tests.learned_homes import LearnedHomes
from tests.mapping.latents import make_anchor, make_sample
from tests.model.nets import TinyNet, pictures, tiny_backbone
from tests.packet.sample_skills import sample_card

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnxscript", "onnxruntime")),
    reason="needs the extra onnx",
)
PAGE = Path(__file__).parents[2] / "docs/onnx.md"
WIDTH = 6


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a student must know of a skill before it is loaded."""

    method: str
    n_classes: int
    has_biases: bool


def student_of(backbone: Backbone, method: str, skills: Mapping[str, Skill]) -> Student:
    """A student that uses the skills."""
    student = Student(method, backbone.reference.metric)
    facts = {
        key: Facts(method, len(skill.card.classes), skill.card.biases is not None)
        for key, skill in skills.items()
    }
    student.sync(facts, skills.__getitem__)
    assert not student.unusable
    return student


def skill_with(method: str, seed: int, base: Skill | None = None) -> Skill:
    """A skill of three classes whose latents look like those of the tiny backbone."""
    dim = WIDTH if method == "moments" else 7
    sample = make_sample(seed, n_classes=3, per_class=20, dim=dim)
    anchor = make_anchor(method, dataclasses.replace(sample, latents=sample.latents / 4))
    tensors = {f"{method}.{name}": array for name, array in anchor.tensors().items()}
    if method != "moments":
        draws = np.random.default_rng(seed)
        tensors["head.weight"] = draws.normal(size=(3, dim)).astype(np.float32)
        tensors["head.bias"] = np.zeros(3, np.float32)
    card = sample_card() if base is None else base.card
    card = dataclasses.replace(card, anchors=(method,), method=method)
    return Skill(card, {**({} if base is None else base.tensors), **tensors})


def names(count: int) -> list[str]:
    """Ids of skills."""
    return [f"{number:064x}" for number in range(count)]


def in_torch(backbone: Backbone, student: Student, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Answers of the network before it is written."""
    second = onnx_export.second_of(backbone, student)
    network = AgentNetwork(backbone, student, second, 0.05)
    with torch.no_grad():
        found = network(images)
    return {name: value.numpy() for name, value in zip(OUTPUTS, found, strict=True)}


@pytest.mark.parametrize("method", ["moments", "gmmc", "maha"])
def test_the_network_of_each_mapper_gives_the_decisions_of_its_student(method: str) -> None:
    """Probabilities, task, class and familiarity, with tasks of different size."""
    backbone, images = tiny_backbone(), pictures(12)
    skills = {key: skill_with(method, seed) for seed, key in enumerate(names(4))}
    student = student_of(backbone, method, skills)
    found = in_torch(backbone, student, images)
    (decided,) = decisions_of(backbone, student, images.numpy())
    assert agent_difference(found, [decided]) < 1e-5
    tasks, classes = decided.answer()
    np.testing.assert_array_equal(found["task"], tasks)
    np.testing.assert_array_equal(found["class"], classes)
    assert set(found["unknown"]) == {-1}  # no held-out images


def test_a_large_bank_has_the_shortlist_of_the_mapper(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small limit, tasks off the shortlist have probability 0, as in the student."""
    for module in (mapper_network, moments):
        monkeypatch.setattr(module, "SMALL_BANK", 4)
        monkeypatch.setattr(module, "SHORTLIST", 3)
    backbone, images = tiny_backbone(), pictures(8)
    skills = {key: skill_with("moments", seed) for seed, key in enumerate(names(9))}
    student = student_of(backbone, "moments", skills)
    found = in_torch(backbone, student, images)
    (decided,) = decisions_of(backbone, student, images.numpy())
    assert (np.isneginf(decided.task).sum(1) == 6).all()
    assert agent_difference(found, [decided]) < 1e-5


@needs_onnx
def test_onnxruntime_runs_the_second_pass_with_the_biases_of_each_image() -> None:
    """Skills with all layers and both kinds of latents, one with the last layer, one without."""
    backbone, images = tiny_backbone(), pictures(12)
    a, b, c, d = names(4)
    skills = {
        a: skill_with("moments", 0, skill_of("all", "multi", 5)),
        b: skill_with("moments", 1, skill_of("last:1", "last", 6)),
        c: skill_with("moments", 2),
        d: skill_with("moments", 3, skill_of("all", "last", 7)),
    }
    student = student_of(backbone, "moments", skills)
    network = AgentNetwork(backbone, student, onnx_export.second_of(backbone, student), 0.05)
    data = onnx_file(network, backbone.size, OUTPUTS, {"text": "ü"})
    (decided,) = decisions_of(backbone, student, images.numpy())
    assert len(set(decided.mapped())) > 1
    assert agent_difference(run_onnx(data, images.numpy()), [decided]) < TOLERANCE
    one = run_onnx(data, images[:1].numpy())
    np.testing.assert_array_equal(one["task"], decided.mapped()[:1])
    assert str(Path(__file__).parents[2]).encode() not in data  # no path of this machine


def test_feature_maps_and_copies_are_refused_in_one_sentence() -> None:
    """Head2Toe reads feature maps; ties of copies are broken by a hash."""
    backbone = tiny_backbone()
    a, b = names(2)
    mapped = {a: skill_with("moments", 0, skill_of("all", "head2toe", 1, width=12))}
    with pytest.raises(UsageError, match="bb-h2t"):
        in_torch(backbone, student_of(backbone, "moments", mapped), pictures(2))
    twins = student_of(backbone, "moments", {key: skill_with("moments", 0) for key in (a, b)})
    with pytest.raises(UsageError, match="skills remove"):
        onnx_export.check_copies(twins)


class Halves(TinyNet):
    """A network that splits images into two windows, whose layers have two rows per image."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Average the taps of both halves."""
        taps = super().forward(torch.cat(x.chunk(2, 3)))
        return tuple(torch.stack(tap.chunk(2)).mean(0) for tap in taps)


def test_biases_of_a_network_with_windows_are_refused_in_one_sentence() -> None:
    """A layer's rows do not tell to which image they belong."""
    backbone, (key,) = tiny_backbone(net=Halves()), names(1)
    skill = skill_with("moments", 0, skill_of("all", "last", 1))
    with pytest.raises(UsageError, match="windows"):
        in_torch(backbone, student_of(backbone, "moments", {key: skill}), pictures(2))


@needs_onnx
def test_the_script_of_the_page_gives_the_labels_of_predict(
    learned: LearnedHomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a large photo, a rotated one, a grey one, and one with transparent parts."""
    agent = Agent(learned.copy(tmp_path / "home", "warm", "cold"))
    photos = photos_of(tmp_path / "photos")
    file = str(tmp_path / "agent.onnx")
    torn = torn_photo(tmp_path)
    checks = [word for photo in (*photos, str(torn)) for word in ("--check", photo)]
    home = ("--home", str(agent.home.path))
    exported = run_json("export", "--onnx", file, *checks, *home, code=9)
    assert ["torn.png" in sentence for sentence in exported["skipped"]] == [True]
    assert exported["largest_difference"] < TOLERANCE
    assert exported["size_bytes"] == Path(file).stat().st_size
    assert (exported["tasks"], exported["images_compared"]) == (sorted(agent.skills), len(photos))
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "answer.py").write_text(script, "utf-8")
    command = [sys.executable, "answer.py", "agent.onnx", *photos]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    expected = [
        f"{p.image}: {'unknown, nearest: ' if p.unknown else ''}{p.task} / {p.class_name}"
        for p in agent.predict(photos)
    ]
    assert [line.rsplit(" ", 1)[0] for line in done.stdout.splitlines()] == expected
    about = description(tmp_path / "agent.onnx")
    assert about["input"]["size_px"] == agent.backbone.size
    assert [task["task"] for task in about["tasks"]] == [p.task for p in agent.sources()]
    assert about["backbone"]["licence"] == "research"
    monkeypatch.setattr(onnx_export, "TOLERANCE", 0.0)
    with pytest.raises(BackboneError, match="was not written"):
        onnx_export.write_checked(tmp_path / "other.onnx", b"", ["warm"], 1, 1e-3)
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.parametrize("command", [("export",), ("skills", "export", "warm")], ids=" ".join)
def test_images_of_which_none_can_be_read_are_named(
    learned: LearnedHomes, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """The file and the reason, as `predict` says them, and no file is written."""
    home, torn = learned.copy(tmp_path / "home", "warm"), str(torn_photo(tmp_path))
    line = ("--onnx", str(tmp_path / "a.onnx"), "--check", torn, "--home", str(home))
    result = run(*command, *line, code=4)
    assert result.stderr == run("predict", torn, "--home", str(home), code=4).stderr
    assert torn in result.stderr
    assert not (tmp_path / "a.onnx").exists()


def test_an_agent_without_skills_is_one_sentence(tmp_path: Path) -> None:
    """No file is written."""
    result = run("export", "--onnx", str(tmp_path / "a.onnx"), code=4)
    assert "expected at least one skill" in result.stderr
    assert list(tmp_path.glob("*.onnx")) == []


def torn_photo(folder: Path) -> Path:
    """A photo whose file ends too soon."""
    path = folder / "torn.png"
    Image.effect_noise((64, 64), 99).save(path)
    path.write_bytes(path.read_bytes()[:900])
    return path


def photos_of(folder: Path) -> list[str]:
    """Photos of several sizes, kinds and rotations."""
    folder.mkdir()
    draws = np.random.default_rng(5)
    base = Image.fromarray(draws.integers(0, 256, (12, 9, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    base.resize((90, 120)).save(folder / "a.png")
    base.resize((700, 500)).save(folder / "b.jpg", exif=turned)
    base.resize((150, 250)).convert("L").save(folder / "c.png")
    base.resize((112, 112)).convert("RGBA").rotate(30).save(folder / "d.png")
    return [str(path) for path in sorted(folder.iterdir())]


def description(path: Path) -> dict[str, Any]:
    """The description in a file."""
    import onnx

    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    about: dict[str, Any] = json.loads(entries["teachmesh"])
    return about
