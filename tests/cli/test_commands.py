"""Command lines of the product: exit codes, one sentence per error, JSON on stdout only."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from teachmesh.cli.main import app
from teachmesh.cli.predict_answers import PredictOptions
from teachmesh.data.tasks import read_task


def run(*arguments: str, code: int = 0, stdin: bytes | None = None) -> Any:
    """Run a command in this process and check its exit code."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exit_code == code, result.output + result.stderr
    return result


def run_json(*arguments: str, code: int = 0, stdin: bytes | None = None) -> dict[str, Any]:
    """Run a command with --json and check that stdout is one JSON document with a schema."""
    result = run(*arguments, "--json", code=code, stdin=stdin)
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["schema"].startswith("teachmesh.")
    return document


def test_learn_says_what_it_understood_and_saved(warm: Path) -> None:
    """The output shows classes, images, accuracy and the kind of shared data."""
    result = run("learn", str(warm), "--allow-few")
    assert read_task(warm).summary() in result.stderr
    assert "saved skill" in result.stdout
    assert "shares: statistics" in result.stdout


def test_learn_predict_and_list_as_a_program_reads_them(warm: Path) -> None:
    """Each JSON document has the ids that the other commands need."""
    learned = run_json("learn", str(warm))
    assert learned["task"] == "warm"
    image = sorted((warm / "orange").iterdir())[0]
    answers = run_json("predict", str(image))
    (prediction,) = answers["predictions"]
    assert (prediction["task"], prediction["class"]) == ("warm", "orange")
    assert prediction["skill"] == learned["skill"]
    piped = run_json("predict", "-", stdin=image.read_bytes())
    assert piped["predictions"][0]["class"] == "orange"
    listed = run_json("skills", "list")
    assert [skill["id"] for skill in listed["skills"]] == [learned["skill"]]
    card = run_json("skills", "show", "warm")["card"]
    assert card["classes"] == ["orange", "red", "yellow"]
    assert run_json("status")["skills"] == 1


@pytest.mark.usefixtures("warm_is_known")
def test_too_few_images_for_a_rate_of_false_alarms_are_a_line_and_null(warm: Path) -> None:
    """At 5 % the training images suffice; at 1 % they do not, and the reason is printed."""
    image = str(sorted((warm / "orange").iterdir())[0])
    (usual,) = run_json("predict", image)["predictions"]
    (strict,) = run_json("predict", image, "--false-alarms", "0.01")["predictions"]
    reason = f"{len(read_task(warm).train)} held-out images, 99 are needed for 1 %"
    assert (usual["unknown"], usual["unknown_reason"]) == (False, "")
    assert (strict["unknown"], strict["unknown_reason"]) == (None, reason)
    assert usual == strict | {"unknown": False, "unknown_reason": ""}
    assert isinstance(usual["familiarity"], float)
    said = run("predict", image, "--false-alarms", "0.01").stdout
    assert f"cannot say whether it is unknown: {reason}\n" in said
    assert "cannot say" not in run("predict", image).stdout


@pytest.mark.usefixtures("warm_is_known")
def test_an_unknown_image_is_shown_with_its_nearest_class(warm: Path, tmp_path: Path) -> None:
    """The text begins with the doubt; the JSON has true, and the same class."""
    image = tmp_path / "strange.png"
    noise = np.random.default_rng(3).integers(0, 2, (12, 12), dtype=np.uint8) * 255
    Image.fromarray(noise).resize((96, 96), Image.Resampling.NEAREST).save(image)
    (found,) = run_json("predict", str(image))["predictions"]
    assert found["unknown"] is True
    assert f"unknown, nearest: warm / {found['class']} " in run("predict", str(image)).stdout


@pytest.mark.parametrize("rate", ["0", "0.5", "nan", "-0.1"])
def test_a_rate_of_false_alarms_that_is_not_possible_is_a_usage_error(rate: str) -> None:
    """One sentence with the range, before an image is looked for."""
    result = run("predict", "nothing.jpg", f"--false-alarms={rate}", code=2)
    (line,) = result.stderr.splitlines()
    assert line == (
        f"error: expected a rate of false alarms above 0 and up to 0.25, got {float(rate):g}"
    )


@pytest.mark.usefixtures("warm_is_known")
def test_a_skill_travels_by_file(warm: Path, tmp_path: Path) -> None:
    """A skill is exported, imported into another home, used there and removed."""
    file = tmp_path / "warm.skill"
    run("skills", "export", "warm", "--output", str(file))
    other = str(tmp_path / "other")
    imported = run_json("skills", "import", str(file), "--home", other)
    assert imported["skills"][0]["task"] == "warm"
    image = sorted((warm / "red").iterdir())[0]
    assert run_json("predict", str(image), "--home", other)["predictions"][0]["class"] == "red"
    run("skills", "remove", "warm", "--yes", "--home", other)
    assert run_json("status", "--home", other)["skills"] == 0


def test_unreadable_images_are_skipped_counted_and_end_with_code_9(warm: Path) -> None:
    """Learning and predicting continue without them, and the exit code shows it."""
    (warm / "red" / "broken.jpg").write_bytes(b"this is text")
    result = run("learn", str(warm), code=9)
    assert "1 unreadable" in result.stderr + result.stdout
    answers = run_json("predict", str(warm / "red"), code=9)
    assert len(answers["predictions"]) == 12
    assert len(answers["skipped"]) == 1


BAD_INPUTS = {
    "missing folder": (4, "nothing there"),
    "empty folder": (4, "expected"),
    "one class": (4, "class"),
    "all unreadable": (4, "0.jpg"),
    "class with an escape code": (4, "expected"),
}


def _bad_input(kind: str, folder: Path) -> Path:
    folder.mkdir()
    names = {"one class": ["only"], "class with an escape code": ["a", "b\x1b[31m"]}
    if kind == "missing folder":
        return folder / "nowhere"
    for label in names.get(kind, []):
        (folder / label).mkdir()
        for number in range(4):
            Image.new("RGB", (40, 40), (number * 50, 0, 0)).save(folder / label / f"{number}.png")
    if kind == "all unreadable":
        for label in ("a", "b"):
            (folder / label).mkdir()
            (folder / label / "0.jpg").write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_bad_folders_get_one_sentence_and_leave_nothing(kind: str, tmp_path: Path) -> None:
    """One line on stderr, the right exit code, no skill."""
    code, words = BAD_INPUTS[kind]
    result = run("learn", str(_bad_input(kind, tmp_path / "data")), code=code)
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("error:")]
    assert "expected" in line
    assert words in line
    assert "\x1b" not in result.stderr
    assert run_json("status")["skills"] == 0


@pytest.mark.usefixtures("warm_is_known")
def test_other_mistakes_have_their_own_exit_codes(warm: Path, tmp_path: Path) -> None:
    """Usage 2, device 3, data 4, backbone 5, refused skill 6, network 7, storage 8."""
    run("learn", str(warm), code=2)
    run("learn", str(warm), "--name", "b", "--device", "cuda:7", code=3)
    run("predict", str(tmp_path / "nothing.jpg"), code=4)
    result = run("learn", str(warm), "--name", "c", "--backbone", "embeded", code=5)
    assert "embedded" in result.stderr
    forged = tmp_path / "forged.skill"
    forged.write_bytes(b"\x80\x04pickle")
    run("skills", "import", str(forged), code=6)
    run("up", "--listen", "nonsense", code=7)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    run("status", "--home", str(blocked / "home"), code=8)


def test_an_error_with_json_is_a_document_too(tmp_path: Path) -> None:
    """The JSON document has the message of the text output."""
    document = run_json("predict", str(tmp_path / "nothing.jpg"), code=4)
    assert document["schema"] == "teachmesh.error/1"
    assert document["exit_code"] == 4


def test_backbone_commands_show_and_choose(tmp_path: Path) -> None:
    """The embedded backbone is listed, described and the default, and cannot be removed."""
    listed = run_json("backbone", "list")["backbones"]
    assert [b["name"] for b in listed] == ["embedded"]
    shown = run_json("backbone", "show", "embedded")
    assert shown["fingerprint"] == listed[0]["fingerprint"]
    assert "research" in shown["card"]["data_licence"]
    run("backbone", "remove", "embedded", code=5)
    run("backbone", "use", "embedded")
    result = run("backbone", "add", "mobilnetv2_100", "--weights", str(tmp_path / "x"), code=5)
    assert "mobilenetv2_100" in result.stderr
    run("backbone", "add", "mobilenetv2_100", "--option", "nonsense", code=2)


def test_doctor_finds_a_fresh_home_in_order() -> None:
    """All checks pass in a fresh home."""
    document = run_json("doctor")
    assert document["ok"] is True
    assert {"home", "bank", "backbone", "network"} <= {c["name"] for c in document["checks"]}


def test_evaluate_measures_without_touching_the_agents_bank(warm: Path, cold: Path) -> None:
    """All methods give a full document; later runs read latents from the cache."""
    for method, direct in (("moments", True), ("maha", True), ("gmmc", False)):
        document = run_json("evaluate", str(warm.parent), "--method", method)
        assert [task["name"] for task in document["tasks"]] == ["cold", "warm"]
        assert document["mean"]["mapper"] > 0.8
        assert (document["mean"]["direct"] is not None) == direct
        assert document["cost"]["backbone_passes"] >= 1
        assert set(document["wall_s"]) >= {"latents", "learn", "predict"}
    assert document["images_embedded"] == 0
    assert run_json("status")["skills"] == 0
    only = run_json("evaluate", str(cold.parent), "--only", "cold")
    assert [task["name"] for task in only["tasks"]] == ["cold"]
    result = run("evaluate", str(cold.parent), "--only", "clod", code=4)
    assert "cold" in result.stderr


def test_evaluate_measures_a_way_of_writing_on_validation_images(warm: Path) -> None:
    """To choose it without test images; two options for the size contradict each other."""
    common = ("evaluate", str(warm.parent), "--validate", "--packing")
    full, small = (run_json(*common, packing) for packing in ("full", "2,16,4"))
    assert small["mean"]["skill_bytes"] < 0.6 * full["mean"]["skill_bytes"]
    assert (small["packing"], small["images"]) == ("2,16,4", "validation")
    assert small["tasks"][0]["test_images"] == 4
    assert small["mean"]["oracle"] > 0.8
    for packing, more in (("2,16", ()), ("full", ("--max-bytes", "9000"))):
        assert (
            f"got {'both' if more else repr(packing)}"
            in run(*common, packing, *more, code=2).stderr
        )
    refused = run(*common, "2,16,4", "--method", "maha", code=2).stderr
    assert "expected --packing with moments alone" in refused


def write_leaking_task(source: Path, task: Path, held: str) -> Path:
    """Split a task into `train` and a held-out part, which also has a copy of a training image.

    Returns:
        The folder of the held-out part with the copy, which is another file.
    """
    for folder in (path for path in source.iterdir() if path.is_dir()):
        photos = sorted(folder.iterdir())
        for part, chosen in (("train", photos[:-2]), (held, photos[-2:])):
            target = task / part / folder.name
            target.mkdir(parents=True)
            for photo in chosen:
                shutil.copy(photo, target)
    with Image.open(photos[0]) as image:
        image.save(target / "again.bmp")
    return target


def test_evaluate_leaves_out_test_images_that_were_learned(warm: Path, tmp_path: Path) -> None:
    """The copy is another file, with the pixels of a training image."""
    target = write_leaking_task(warm, tmp_path / "hot", "test")
    command = ("evaluate", str(tmp_path), "--only", "hot")
    document = run_json(*command)
    assert document["test_images_left_out"] == 1
    assert document["tasks"][0]["test_images"] == 2 * len(list(target.parent.iterdir()))
    assert "1 test image with the pixels of learned images: left out" in run(*command).output


def test_evaluate_leaves_out_validation_images_that_were_learned(
    warm: Path, tmp_path: Path
) -> None:
    """A task without test images can be measured on its validation images, and not without."""
    target = write_leaking_task(warm, tmp_path / "hot", "val")
    command = ("evaluate", str(tmp_path), "--only", "hot")
    document = run_json(*command, "--validate")
    assert document["test_images_left_out"] == 1
    assert document["tasks"][0]["test_images"] == 2 * len(list(target.parent.iterdir()))
    assert "expected test images in every task, found none in hot" in run(*command, code=4).stderr


@pytest.mark.parametrize("words", [("--engine", "torch"), ("--dtype", "fp32")])
def test_predict_with_an_engine_does_not_ask_the_running_agent(
    words: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The running agent may have another engine, also if the usual one is asked for."""
    found: list[bool] = []

    def note_local(_paths: list[str], options: PredictOptions) -> int:
        found.append(options.local)
        return 0

    monkeypatch.setattr("teachmesh.cli.predict_command.classify", note_local)
    run("predict", "a.jpg", *words)
    run("predict", "a.jpg", "--doubtful", "1")
    assert found == [True, False]
