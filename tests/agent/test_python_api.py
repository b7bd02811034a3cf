"""The methods of an agent that programs call, compared with the commands and with hand counts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from teachmesh import (
    Agent,
    DataError,
    NetworkError,
    Prediction,
    TeachmeshError,
    UnknownSkillError,
    UsageError,
)
from teachmesh.data.image_inputs import find_images
from teachmesh.data.read_labelled import read_labelled
from teachmesh.data.tasks import read_task
from teachmesh.packet.codec import decode
from tests.cli.test_commands import run
from tests.conftest import write_task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tasks warm and cold."""
    place = tmp_path_factory.mktemp("api")
    write_task(place, "warm")
    write_task(place, "cold")
    return place


@pytest.fixture(scope="module")
def agent(folder: Path) -> Agent:
    """An agent that learned warm and cold; tests do not change it."""
    made = Agent(folder / "home")
    made.learn(folder / "warm", allow_few=True)
    made.learn(folder / "cold", allow_few=True)
    return made


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "warm").rglob("*.png"))


def _pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.array(image)


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """The images of a task as a torch data set."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.classes = sorted({file.parent.name for file in files})

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        file = self.files[index]
        pixels = torch.from_numpy(_pixels(file)).permute(2, 0, 1)
        return pixels / 255, self.classes.index(file.parent.name)


def _skill_bytes(agent: Agent, skill_id: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return a skill's tensors, and its card without the time and the author of learning."""
    skill = decode(agent.read(skill_id)).skill
    card = skill.card.to_json()
    for name in ("created", "cost_s", "author", "alias"):
        card.pop(name)
    return {name: array.tobytes() for name, array in skill.tensors.items()}, card


def test_the_same_pixels_give_the_same_skill_whatever_the_form(tmp_path: Path) -> None:
    """A folder, files, arrays and a data set give equal tensors and cards, and equal answers."""
    files = sorted(write_task(tmp_path, "warm", per_class=4).rglob("*.png"), reverse=True)
    labels = [file.parent.name for file in files]
    forms: dict[str, Any] = {
        "folder": _arranged(tmp_path / "arranged", files),
        "arrays": (np.stack([_pixels(file) for file in files]), labels),
        "bytes": [(file.read_bytes(), label) for file, label in zip(files, labels, strict=True)],
        "data set": Photos(files),
    }
    skills, answers = {}, {}
    for name, data in forms.items():
        agent = Agent(tmp_path / name)
        learned = agent.learn(data, name="colours", split=(0, 0))
        skills[name] = _skill_bytes(agent, learned.skill_id)
        answers[name] = agent.predict_one(files[0]).probability
    assert all(skill == skills["folder"] for skill in skills.values())
    assert len(set(answers.values())) == 1


def _arranged(folder: Path, files: list[Path]) -> Path:
    """Copy images to a folder, with names in the order of images in memory.

    Sums of floats depend on their order.
    """
    labels = [file.parent.name for file in files]
    task = read_labelled((files, labels), name="x", split=(0, 0))
    for number, image in enumerate(task.train.images):
        target = folder / image.path.parent.name / f"{number:03}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(image.read())
    return folder


def test_the_same_pixels_give_the_same_answer_whatever_the_form(agent: Agent, folder: Path) -> None:
    """Path, bytes, Pillow image, array and tensor differ in the name of the image only."""
    file = _files(folder)[0]
    pixels = _pixels(file)
    expected = agent.predict_one(file).to_dict() | {"image": "image 1"}
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for asked in (file.read_bytes(), Image.fromarray(pixels), pixels, pixels / 255, tensor):
        assert agent.predict_one(asked).to_dict() == expected
    assert [p.to_dict() for p in agent.predict([tensor / 255])] == [expected]


def test_predict_returns_a_list_and_predict_one_a_prediction(agent: Agent, folder: Path) -> None:
    """The type does not depend on the number of images; `predict_one` refuses several."""
    files = _files(folder)
    one = agent.predict_one(files[0])
    assert isinstance(one, Prediction)
    assert agent.predict(files[0]) == [one]
    assert len(agent.predict(files[:2])) == 2
    with pytest.raises(DataError, match="expected one image, got 36"):
        agent.predict_one(folder / "warm")


def test_a_prediction_has_the_keys_of_the_command(agent: Agent, folder: Path) -> None:
    """`Prediction.to_dict` is the object that `teachmesh predict --json` prints."""
    file = _files(folder)[0]
    printed = json.loads(run("predict", str(file), "--home", str(folder / "home"), "--json").stdout)
    (one,) = printed["predictions"]
    assert agent.predict_one(file).to_dict() == one
    assert {"task", "class", "probability", "skill", "author", "unknown"} <= set(one)


def test_latents_are_those_of_the_backbone(agent: Agent, folder: Path) -> None:
    """One row per image in order, of either kind."""
    files = _files(folder)[:3]
    (seen,) = agent.embed(find_images([str(file) for file in files]))
    assert agent.latents(files).tobytes() == seen.latents.multi.tobytes()
    assert agent.latents(files, kind="last").tobytes() == seen.latents.last.tobytes()
    assert agent.latents(files).shape == (3, agent.backbone.dim)


def test_skills_are_a_mapping(agent: Agent) -> None:
    """By task, by `task@author` and by id; it has the laws of a mapping."""
    warm = agent.skills["warm"]
    assert agent.skills[warm.id[:8]] == agent.skills[warm.id] == warm
    assert dict(agent.skills) == {"warm": warm, "cold": agent.skills["cold"]}
    assert list(agent.skills) == ["cold", "warm"]
    assert "wram" not in agent.skills
    assert agent.skills.get("wram") is None
    with pytest.raises(UnknownSkillError, match="^expected a known task .*did you mean 'warm'"):
        agent.skills["wram"]
    with pytest.raises(KeyError):
        agent.skills[5]  # type: ignore[index]


def test_evaluate_counts_the_right_answers(agent: Agent, folder: Path) -> None:
    """The final accuracy and the confusion equal a count over `predict`."""
    test = read_task(folder / "warm").test
    found = agent.evaluate(folder / "warm")
    answers = agent.predict([image.path for image in test.images])
    right = [a.task == "warm" and a.class_name == Path(a.image).parent.name for a in answers]
    assert found.final == np.mean(right)
    assert found.mapper == np.mean([a.task == "warm" for a in answers])
    assert (
        sum(sum(row.values()) for row in found.confusion.values()) == found.n_images * found.mapper
    )
    told = agent.predict([image.path for image in test.images], task="warm")
    assert found.oracle == np.mean([a.class_name == Path(a.image).parent.name for a in told])
    files = _files(folder)
    labels = [file.parent.name for file in files]
    every = agent.evaluate((files, labels), task="warm", images="all")
    assert every.n_images == 36
    json.dumps(every.to_dict(), allow_nan=False)
    with pytest.raises(DataError, match="expected classes of the learned task, got 'blue'"):
        agent.evaluate(folder / "cold", task="warm")


def test_methods_do_what_the_commands_do(tmp_path: Path, agent: Agent, folder: Path) -> None:
    """Export, match and combine give the files and documents of the commands."""
    home = ("--home", str(folder / "home"))
    exported = agent.export("warm", tmp_path / "warm.skill")
    run("skills", "export", "warm", "-o", str(tmp_path / "same.skill"), *home)
    assert (tmp_path / "warm.skill").read_bytes() == (tmp_path / "same.skill").read_bytes()
    assert exported.size_bytes == (tmp_path / "warm.skill").stat().st_size
    printed = json.loads(run("match", str(folder / "warm"), "--by", "text", "--json", *home).stdout)
    assert agent.match(folder / "warm", mode="text").to_json() == printed
    other = Agent(tmp_path / "other")
    other.receive((tmp_path / "warm.skill").read_bytes())
    other.export(other.combine("pair", ["red", "yellow"]).skill_id, tmp_path / "pair.skill")
    assert other.skills["pair"].n_classes == 2


def test_sharing_is_a_block(tmp_path: Path, agent: Agent) -> None:
    """Two agents hold the same skills at the end of the block, and both have stopped after it."""
    bob = Agent(tmp_path / "bob")
    events: list[str] = []
    with agent.share() as mine, bob.share(join=mine.endpoints) as theirs:
        theirs.wait_for_peers()
        assert bob.digest() == agent.digest()
        assert bob.status()["running"] is not None
        with pytest.raises(NetworkError, match="expected 5 peers"):
            theirs.wait_for_peers(5, timeout_s=0.1)
    assert bob.status()["running"] is None
    with bob.share(on_event=lambda event: events.append(event["event"])):
        pass
    assert events == ["ready", "stats", "stopped"]


def test_the_library_logs_and_prints_nothing(
    tmp_path: Path,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Steps are in the log `teachmesh`; without a handler nothing reaches stdout or stderr."""
    made = Agent(tmp_path / "home")
    made.learn(folder / "warm")
    assert capfd.readouterr() == ("", "")
    with caplog.at_level(logging.INFO, logger="teachmesh"):
        made.learn(folder / "cold")
    assert "learning cold" in [record.getMessage().split(":")[0] for record in caplog.records]
    assert "saved skill" in caplog.text


def _bad_calls(agent: Agent, folder: Path) -> dict[str, Callable[[], object]]:
    """Return calls with a bad value; each method of an agent has at least one."""
    image = np.zeros((8, 8, 3), np.uint8)
    pair = ([image, image], ["a", "b"])
    anything: Any = object()
    return {
        "Agent(home)": lambda: Agent(anything),
        "Agent(backbone)": lambda: Agent(folder / "home", backbone=anything),
        "Agent(mapper)": lambda: Agent(folder / "home", mapper=anything),
        "Agent(device)": lambda: Agent(folder / "home", device=anything),
        "Agent(ridge)": lambda: Agent(folder / "home", ridge=anything),
        "Agent(reading)": lambda: Agent(folder / "home", reading=anything),
        "Agent(bank)": lambda: Agent(folder / "home", bank=anything),
        "device": lambda: Agent(folder / "home", device="tpu").latents(image),
        "learn(data)": lambda: agent.learn(anything, name="x"),
        "learn(options)": lambda: agent.learn(pair, anything, name="x"),
        "learn(progress)": lambda: agent.learn(pair, name="x", progress=anything),
        "learn(on_understood)": lambda: agent.learn(pair, name="x", on_understood=anything),
        "learn(name)": lambda: agent.learn(pair, name=anything),
        "learn(method)": lambda: agent.learn(pair, name="x", method=anything),
        "learn(also)": lambda: agent.learn(pair, name="x", also="maha"),
        "learn(also, unknown)": lambda: agent.learn(pair, name="x", also=["mahaa"]),
        "learn(bb)": lambda: agent.learn(pair, name="x", bb=anything),
        "learn(bb_passes)": lambda: agent.learn(pair, name="x", bb="auto", bb_passes=np.nan),
        "learn(replace)": lambda: agent.learn(pair, name="x", replace=anything),
        "learn(seed)": lambda: agent.learn(pair, name="x", seed=-1),
        "learn(seed, text)": lambda: agent.learn(pair, name="x", seed="1"),
        "learn(reuse)": lambda: agent.learn(pair, name="x", reuse=anything),
        "learn(encoder)": lambda: agent.learn(pair, name="x", reuse="text", encoder=anything),
        "learn(clusters)": lambda: agent.learn(pair, name="x", method="gmmc", clusters=1.5),
        "learn(samples)": lambda: agent.learn(pair, name="x", method="maha", samples=anything),
        "learn(floor)": lambda: agent.learn(pair, name="x", method="gmmc", variance_floor=np.inf),
        "learn(layout)": lambda: agent.learn(folder / "warm", name="x", layout=anything),
        "learn(split)": lambda: agent.learn(pair, name="x", split=(0.5, 0.6)),
        "learn(split, one)": lambda: agent.learn(pair, name="x", split=0.5),
        "learn(option)": lambda: agent.learn(pair, name="x", nmae="y"),
        "predict(asked)": lambda: agent.predict(anything),
        "predict(task)": lambda: agent.predict(image, task=anything),
        "predict(task, unknown)": lambda: agent.predict(image, task="wram"),
        "predict(alternatives)": lambda: agent.predict(image, alternatives=-1),
        "predict(false_alarms)": lambda: agent.predict(image, false_alarms=anything),
        "predict(false_alarms, NaN)": lambda: agent.predict(image, false_alarms=np.nan),
        "predict_one(image)": lambda: agent.predict_one([]),
        "predict_many(progress)": lambda: agent.predict_many(image, progress=anything),
        "latents(images)": lambda: agent.latents([anything]),
        "latents(kind)": lambda: agent.latents(image, kind="first"),
        "evaluate(data)": lambda: agent.evaluate(anything, task="warm"),
        "evaluate(task)": lambda: agent.evaluate(folder / "warm", task=anything),
        "evaluate(no task)": lambda: agent.evaluate(pair),
        "evaluate(images)": lambda: agent.evaluate(folder / "warm", images="none"),
        "evaluate(seed)": lambda: agent.evaluate(folder / "warm", seed=anything),
        "match(data)": lambda: agent.match(anything, name="x"),
        "match(mode)": lambda: agent.match(folder / "warm", mode="looks"),
        "match(method)": lambda: agent.match(folder / "warm", method=anything),
        "combine(name)": lambda: agent.combine(anything, ["red", "blue"]),
        "combine(classes)": lambda: agent.combine("x", anything),
        "combine(class)": lambda: agent.combine("x", ["red", "bleu"]),
        "combine(tasks)": lambda: agent.combine("x", ["red", "blue"], tasks="warm"),
        "combine(rows)": lambda: agent.combine("x", ["red", "blue"], rows="3"),
        "export(skill)": lambda: agent.export(anything),
        "export(path)": lambda: agent.export("warm", anything),
        "export(folder)": lambda: agent.export("warm", folder),
        "share(listen)": lambda: agent.share(listen=anything),
        "share(join)": lambda: agent.share(join=[anything]).__enter__(),
        "share(endpoint)": lambda: agent.share(listen="nowhere").__enter__(),
        "share(transport)": lambda: agent.share(transport="pigeon"),
        "share(on_event)": lambda: agent.share(on_event=anything),
        "skills[name]": lambda: agent.skills[anything],
        "learn(force)": lambda: agent.learn(pair, name="x", force=True),
        "history": lambda: agent.history(anything),
        "restore": lambda: agent.restore("warm", anything),
        "restore(unknown)": lambda: agent.restore("warm", 7),
        "find": lambda: agent.find(anything),
        "find(empty)": lambda: agent.find(""),
        "card": lambda: agent.card(anything),
        "card(unknown)": lambda: agent.card("0" * 64),
        "card(no id)": lambda: agent.card("../../etc"),
        "read": lambda: agent.read("warm"),
        "remove": lambda: agent.remove("warm"),
        "receive": lambda: agent.receive(anything),
        "receive(bytes)": lambda: agent.receive(b"no skill"),
    }


def test_every_bad_value_is_one_sentence(agent: Agent, folder: Path) -> None:
    """No public method lets a bare `TypeError`, `ValueError` or `KeyError` of Python through."""
    before = agent.digest()
    faults = {}
    for name, call in _bad_calls(agent, folder).items():
        try:
            call()
            faults[name] = "no error"
        except TeachmeshError as error:
            if "\n" in str(error) or len(str(error)) < 20:
                faults[name] = str(error)
        except Exception as error:  # noqa: BLE001
            faults[name] = repr(error)
    assert faults == {}
    assert agent.digest() == before


def test_options_are_checked_before_an_image_is_read(agent: Agent) -> None:
    """A wrong option costs no time."""
    with pytest.raises(UsageError, match="expected a whole number from 0 for seed, got -1"):
        agent.learn("/no/such/folder", seed=-1)
