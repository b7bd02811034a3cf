"""Mappers and baselines of other packages: installed, learned with, exchanged, measured."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.errors import DataError, SkillRefused, UsageError
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.mapper import TaskMapper
from teachmesh.model.backbone_registry import add_timm
from teachmesh.packet.card import Card
from teachmesh.packet.codec import encode, skill_id
from teachmesh.packet.signing import sign
from teachmesh.packet.skill import Skill
from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method, check_estimated, recipe_of
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.bench.job_engine import InProcess
from teachmesh_lab.bench.run_grid import run_bench
from teachmesh_lab.evaluation.mapper_laws import LAWS, LawBroken, MapperCase, case_of
from teachmesh_lab.streams.task_stream import StreamSpec
from tests.extending.conftest import ROOT, See, hide, write_package
from tests.extending.test_extending_page import MODULES

METHOD = "nearest-mean"


def signed(agent: Agent, card: Card, tensors: dict[str, np.ndarray]) -> bytes:
    """Return a skill that an agent signs, whatever its mapper would think of it."""
    return sign(Skill(card, tensors), agent.key).data


def test_the_examples_pass_their_own_tests(examples: Path) -> None:
    """They test the laws of their mapper, and run their baseline by its name."""
    path = os.pathsep.join([str(examples), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", ROOT / "examples"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(LAWS) + 3} passed" in done.stdout


def test_a_skill_is_learned_shared_and_predicted_with(
    examples: Path, see: See, tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Two agents with the package end with equal answers; images find their task."""
    see(examples)
    alice, bob = (Agent(tmp_path / name, mapper=METHOD) for name in ("alice", "bob"))
    learned = alice.learn(warm)
    assert (learned.method, learned.privacy) == (METHOD, "statistics")
    assert learned.validation_accuracy == 1.0
    bob.learn(cold)
    for skill in bob.infos():
        alice.receive(bob.read(skill.id), skill.id)
    for skill in alice.infos():
        bob.receive(alice.read(skill.id), skill.id)
    images = [warm / "orange" / "00.png", cold / "blue" / "00.png"]
    ours, theirs = alice.predict(images), bob.predict(images)
    assert ours == theirs
    assert [p.task for p in ours] == ["warm", "cold"]
    assert ours[0].class_name == "orange"
    skill = alice.bank.load(learned.skill_id).skill
    assert skill.held_out(METHOD) is not None
    assert encode(skill)  # the codec checks the tensors against the specification of the package


def test_an_agent_without_the_mapper_keeps_the_skill_and_says_why(
    examples: Path, see: See, tmp_path: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stores and shares the same bytes; with the package, it uses them."""
    with monkeypatch.context():
        see(examples)
        alice = Agent(tmp_path / "alice", mapper=METHOD)
        data = alice.read(alice.learn(warm).skill_id)
        alice.learn(warm, name="too", method="moments", also=[METHOD])
        both = alice.read(alice.find("too").id)
    hide(monkeypatch, examples)
    bob = Agent(tmp_path / "bob")
    entry = bob.receive(data, skill_id(data))
    bob.receive(both)
    assert bob.read(entry.id) == data
    reasons = {info.task: info.reason for info in bob.infos()}
    assert reasons["too"] == ""
    assert reasons["warm"].startswith("learned with the mapper 'nearest-mean', which is not inst")
    assert bob.predict_one(warm / "red" / "00.png").task == "too"
    with pytest.raises(UsageError, match="expected a method out of moments, .*nearest-mean"):
        Agent(tmp_path / "bob", mapper=METHOD)
    see(examples)
    later = Agent(tmp_path / "bob", mapper=METHOD)
    assert [info.usable for info in later.infos()] == [True, True]
    assert later.predict_one(warm / "red" / "00.png").class_name == "red"


def test_a_skill_that_the_mapper_refuses_is_set_aside(
    examples: Path,
    see: See,
    tmp_path: Path,
    warm: Path,
    cold: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It came before the package was installed; answers of other skills do not fail."""
    see(examples)
    alice = Agent(tmp_path / "alice", mapper=METHOD)
    good = alice.read(alice.learn(warm).skill_id)
    alice.learn(cold)
    skill = alice.bank.load(alice.find("cold").id).skill
    hide(monkeypatch, examples)
    means = skill.tensors[f"{METHOD}.means"]
    broken = {
        "half": {f"{METHOD}.means": means.astype(np.float16)},
        "more": {f"{METHOD}.more": np.ones(3, np.float32)},
    }
    files = [good]
    for name, tensors in broken.items():
        card = dataclasses.replace(skill.card, task=name)
        files.append(signed(alice, card, {**skill.tensors, **tensors}))
    headless = {n: a for n, a in skill.tensors.items() if not n.startswith("head.")}
    files.append(signed(alice, dataclasses.replace(skill.card, task="headless"), headless))
    bob = Agent(tmp_path / "bob")
    for data in files:
        bob.receive(data)
    see(examples)
    bob = Agent(tmp_path / "bob", mapper=METHOD)
    reasons = {info.task: info.reason for info in bob.infos()}
    assert reasons.pop("warm") == ""
    assert set(reasons) == {"half", "more", "headless"}
    assert "another dtype or rank" in reasons["half"]
    assert "unknown tensor" in reasons["more"]
    assert "no head" in reasons["headless"]
    assert bob.predict_one(warm / "red" / "00.png").class_name == "red"


def test_an_anchor_without_its_package_is_bounded_like_any_other(
    tmp_path: Path, warm: Path
) -> None:
    """No tensor, a name that is reserved, a number that is not finite: all refused."""
    alice = Agent(tmp_path / "alice")
    skill = alice.bank.load(alice.learn(warm).skill_id).skill
    card = dataclasses.replace(skill.card, anchors=("moments", "other"))
    good = {**skill.tensors, "other.x": np.ones((3, 5), np.float32)}
    bob = Agent(tmp_path / "bob")
    assert bob.receive(signed(alice, card, good)).anchors == ("moments", "other")
    cases: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "expected tensors of the anchor 'other'": (("moments", "other"), skill.tensors | {}),
        "expected kinds of anchors like 'gmmc'": (("head", "moments"), good),
        "unknown tensor": (("moments", "other"), good | {"other.X": np.ones(1, np.float32)}),
        "finite values": (("moments", "other"), good | {"other.x": np.full(3, np.inf, "f4")}),
        "D <= 65536": (
            ("moments", "other"),
            good | {"head.weight": np.ones((3, 70_000), "f4"), "head.bias": np.ones(3, "f4")},
        ),
    }
    for message, (anchors, tensors) in cases.items():
        with pytest.raises(Exception, match=message):
            signed(alice, dataclasses.replace(card, anchors=anchors), tensors)


def test_biases_are_refused_for_a_mapper_of_another_package(
    examples: Path, see: See, tmp_path: Path, warm: Path
) -> None:
    """A sentence, before an image is read."""
    see(examples)
    with pytest.raises(UsageError, match="expected no biases with 'nearest-mean'"):
        Agent(tmp_path / "home").learn(warm, method=METHOD, bb="auto")
    with pytest.raises(UsageError, match=r"got 'nearest-mea'; did you mean 'nearest-mean'"):
        Agent(tmp_path / "home").learn(warm, method="nearest-mea")


DEEP = """
from nearest_mean_mapper import NearestMeanAnchor, NearestMeanMapper

class DeepAnchor(NearestMeanAnchor):
    kind = "deep-mean"
    latent = "multi"

class DeepMapper(NearestMeanMapper):
    kind = "deep-mean"
    latent = "multi"
    anchor_type = DeepAnchor

    @classmethod
    def fit(cls, latents, labels, n_classes, metric, seed):
        return DeepAnchor(super().fit(latents, labels, n_classes, metric, seed).means)
"""


def test_the_head_of_a_mapper_of_multi_depth_latents_reads_the_last_layer(
    examples: Path, see: See, tmp_path: Path, warm: Path, cold: Path
) -> None:
    """The two sizes of latents differ; a skill is learned, shared and predicted with."""
    see(examples)
    entries = {
        "teachmesh.mappers": {"deep-mean": "deep_mean:DeepMapper"},
        "teachmesh.backbones": {"tiny-net": "tiny_network:TINY"},
    }
    modules = {"deep_mean": DEEP, "tiny_network": MODULES["tiny_network"]}
    write_package(tmp_path / "site", "deep", entries, **modules)
    see(tmp_path / "site")
    for name in ("alice", "bob"):
        add_timm(Agent(tmp_path / name).home.backbones, "tiny-net", dim=20, reference_images=33)
    alice, bob = (
        Agent(tmp_path / name, mapper="deep-mean", backbone="tiny-net") for name in ("alice", "bob")
    )
    skills = [alice.read(alice.learn(task).skill_id) for task in (warm, cold)]
    received = [bob.receive(data) for data in skills]
    assert {entry.latent_sizes for entry in received} == {(24, 20)}
    images = [warm / "orange" / "00.png", cold / "blue" / "00.png"]
    assert bob.predict(images) == alice.predict(images)
    skill = alice.bank.load(alice.find("warm").id).skill
    small = {**skill.tensors, "head.weight": np.ones((3, 7), np.float32)}
    with pytest.raises(SkillRefused, match="expected 'last' latents of size"):
        bob.receive(signed(alice, skill.card, small))


def test_both_run_in_a_grid(
    examples: Path, see: See, tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Their rows stand next to those of teachmesh, and a new version is measured again."""
    see(examples)
    kinds = {METHOD: Kind.OURS, "cosine-ncm": Kind.FROZEN}
    assert {name: check_bench_method(name) for name in kinds} == kinds
    assert '"package":"own-mapper 0.1.0"' in recipe_of(METHOD)
    assert json.loads(recipe_of(METHOD))["constants"]["model.head_training"]["MAX_EPOCHS"] > 0
    assert '"package":"own-baseline 0.1.0"' in recipe_of("cosine-ncm")
    assert BASELINES["cosine-ncm"].kind == "frozen"
    assert "cosine-ncm" not in list(BASELINES)
    for name in kinds:
        with pytest.raises(UsageError, match="of another package; run the bench without --dry-run"):
            check_estimated(name)
    home, run = Agent(tmp_path / "home").home, tmp_path / "run"
    grid = Grid((METHOD, "cosine-ncm", "ncm"), StreamSpec(warm.parent.as_posix()))
    config = BenchConfig("own", (grid,))
    summary = run_bench(config, run, home, lambda: InProcess(run, home), log=list[str]().append)
    accuracies = {row["method"]: row["accuracy"] for row in summary["rows"]}
    assert set(accuracies) == {*kinds, "ncm"}
    assert min(accuracies.values()) > 0.6


class LastArrivalWins(TaskMapper[MomentsAnchor]):
    """A mapper that breaks the laws on purpose: the last anchor gets all images."""

    kind, latent = "moments", "multi"

    def __init__(self) -> None:
        super().__init__(MomentsAnchor)
        self._last = ""

    def familiarity(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Count the anchors, which depends on other tasks."""
        return np.full(len(latents), float(len(self.keys())))

    def _added(self, key: str, derived: Any) -> None:
        self._last = key

    def _removed(self, key: str) -> None: ...

    def _score(self, latents: np.ndarray) -> tuple[np.ndarray, None]:
        return np.tile([float(key == self._last) for key in self.keys()], (len(latents), 1)), None


def test_the_laws_find_a_mapper_that_breaks_them(
    examples: Path, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order, removal, keys, images and familiarity; a class that checks no tensors, too."""
    from tests.mapping.latents import Sample, make_moments

    case = MapperCase(LastArrivalWins, lambda x, y, c: make_moments(Sample(x, y, c)))
    broken = set()
    for law in LAWS:
        try:
            law(case)
        except LawBroken:
            broken.add(law.__name__)
    assert broken == {
        "any_order_gives_the_same_bits",
        "removed_anchors_leave_no_trace",
        "known_images_find_their_task",
        "familiarity_depends_on_one_anchor",
    }
    see(examples)
    from nearest_mean_mapper import NearestMeanAnchor, NearestMeanMapper

    trusting = classmethod(lambda cls, tensors, n_classes: cls(tensors["means"]))
    monkeypatch.setattr(NearestMeanAnchor, "from_tensors", trusting)
    with pytest.raises(LawBroken, match="expected a ValueError for another tensor"):
        LAWS[-1](case_of(NearestMeanMapper))


def test_the_student_of_an_empty_bank_says_what_to_do(
    examples: Path, see: See, tmp_path: Path, warm: Path
) -> None:
    """The same sentence as for built-in methods."""
    see(examples)
    with pytest.raises(DataError, match="expected at least one skill"):
        Agent(tmp_path / "home", mapper=METHOD).predict_one(warm / "red" / "00.png")
