"""Other engines and number types compute the latents of the same backbone."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import shutil
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from teachmesh.agent import Agent
from teachmesh.agent.answers.prediction import Answers
from teachmesh.agent.answers.student import FirstPasses
from teachmesh.data.image_inputs import find_images
from teachmesh.data.loader import iterate_batches
from teachmesh.data.procedural_images import procedural_images
from teachmesh.errors import DeviceError, MissingExtraError, TeachmeshError, UsageError
from teachmesh.model import embedding, number_type
from teachmesh.model.backbone import Backbone, Latents
from teachmesh.model.build_backbone import embedded_backbone
from teachmesh.model.compute_engine import with_engine
from teachmesh.model.number_type import Arithmetic, choose_dtype, has_bf16
from tests.cli.test_commands import run, run_json
from tests.cli.test_help import COMMANDS as ALL_COMMANDS
from tests.conftest import write_task

CPU = torch.device("cpu")
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """The embedded backbone on the CPU."""
    return embedded_backbone("embedded")


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of /proc/cpuinfo."""
    monkeypatch.setattr(number_type, "CPU_FLAGS", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


def images(count: int, backbone: Backbone) -> torch.Tensor:
    """(N, 3, S, S) uint8 images with edges and surfaces."""
    pixels = torch.from_numpy(np.stack(list(procedural_images(count, backbone.size, 3))))
    return pixels.contiguous(memory_format=torch.channels_last)


def error(found: Latents, wanted: Latents) -> float:
    """The largest difference of a latent, relative to the largest latent."""
    pairs = ((found.last, wanted.last), (found.multi, wanted.multi))
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("flags\t\t: fpu avx2 sha_ni\n", False),
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: fpu avx512f amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("model name\t: a bf16 machine\n", False),
    ],
)
def test_the_flags_of_the_processor_decide(processor: Path, text: str, has: bool) -> None:
    """`auto` takes bf16 only where the processor has it, and `bf16` is refused elsewhere."""
    processor.write_text(text)
    assert has_bf16(CPU) == has
    assert choose_dtype("auto", CPU) == (torch.bfloat16 if has else torch.float32)
    assert choose_dtype("fp32", CPU) == torch.float32
    if not has:
        with pytest.raises(DeviceError, match="expected a device with bf16 instructions"):
            choose_dtype("bf16", CPU)


def test_without_a_list_of_flags_there_is_no_bf16(processor: Path) -> None:
    """Other systems than Linux have no such file."""
    assert not processor.exists()
    assert not has_bf16(CPU)


def test_unknown_options_and_devices_are_one_sentence(backbone: Backbone) -> None:
    """Nothing is replaced by something else."""
    with pytest.raises(DeviceError, match="expected an engine out of torch, openvino"):
        with_engine(backbone, "onnx")
    with pytest.raises(DeviceError, match="expected a number type out of fp32, bf16, auto"):
        with_engine(backbone, "torch", "fp16")
    assert with_engine(backbone) is backbone


def test_bf16_differs_by_less_than_a_percent(backbone: Backbone, processor: Path) -> None:
    """The fingerprint stays, and the plain backbone keeps its own latents."""
    processor.write_text("flags : avx512_bf16")
    batch = images(2, backbone)
    before = backbone.embed(batch)
    mixed = with_engine(backbone, "torch", "bf16")
    assert 1e-5 < error(mixed.embed(batch), before) < 2e-2
    assert mixed.fingerprint == backbone.fingerprint
    assert error(backbone.embed(batch), before) == 0


def test_each_engine_and_number_type_has_a_name_of_its_own(
    backbone: Backbone, processor: Path
) -> None:
    """Caches use it; the usual one is the fingerprint, and `auto` is the name of its choice."""
    processor.write_text("flags : avx512_bf16")
    mixed = with_engine(backbone, "torch", "auto")
    others = [
        backbone.with_pass(backbone.taps, Arithmetic("openvino", t)) for t in ("fp32", "bf16")
    ]
    names = [one.latents_id for one in (backbone, mixed, *others)]
    assert names[0] == backbone.fingerprint
    assert len(set(names)) == 4
    assert {one.fingerprint for one in others} == {backbone.fingerprint}
    processor.write_text("flags : avx2")
    assert with_engine(backbone, "torch", "auto").latents_id == backbone.fingerprint


def test_answers_name_the_engine_that_computed_them(backbone: Backbone, processor: Path) -> None:
    """With biases, all passes are torch and float32."""
    processor.write_text("flags : avx512_bf16")
    mixed, biases = with_engine(backbone, "torch", "bf16"), cast("Any", object())
    ways = FirstPasses(mixed, ()).arithmetic.to_json()
    assert ways == {"engine": "torch", "dtype": "bf16"}
    assert FirstPasses(mixed, (), biases).arithmetic.to_json() == {}
    answers = Answers((), (), "moments", "embedded", arithmetic=ways)
    assert answers.to_json()["dtype"] == "bf16"
    assert Answers.from_json(answers.to_json()) == answers
    usual = Answers((), (), "moments", "embedded")
    assert "dtype" not in usual.to_json()
    assert Answers.from_json(usual.to_json()) == usual


def test_images_are_added_to_a_task_in_float32_only(tmp_path: Path, processor: Path) -> None:
    """Exact sums of two number types would not fit, and bf16 keeps none."""
    processor.write_text("flags : avx512_bf16")
    pixels = [np.full((8, 8, 3), value, dtype=np.uint8) for value in (0, 9, 200, 240)]
    task: Any = (pixels, ["dark", "dark", "light", "light"])
    agent = Agent(tmp_path, dtype="bf16")
    agent.learn(task, name="tones", split=(0, 0))
    with pytest.raises(UsageError, match="expected --dtype fp32 to add images"):
        agent.learn(task, add_to="tones")
    with pytest.raises(TeachmeshError, match="statistics"):
        Agent(tmp_path).learn(task, add_to="tones")


def test_the_way_of_accelerators_gives_the_same_latents(backbone: Backbone, tmp_path: Path) -> None:
    """Batches that wait for the next one keep their order, readable images and digests."""
    asked = find_images([*(image.transpose(1, 2, 0) for image in procedural_images(7, 96, 5))])
    asked.insert(3, find_images(b"no image")[0])

    def batches() -> Iterable[Any]:
        return iterate_batches(asked, backbone.size, batch_size=3)

    found = list(embedding._on_accelerator(backbone, batches(), least=3, hashed=True))
    wanted = embedding.embed_images(backbone, asked, batch_size=3, full_batches=True)
    assert [len(batch.images) for batch, _, _ in found] == [3, 2, 2]
    np.testing.assert_array_equal(
        np.concatenate([batch.indices for batch, _, _ in found]), wanted.kept
    )
    np.testing.assert_array_equal(np.concatenate([d for _, _, d in found]), wanted.digests)
    joined = [
        np.concatenate(parts)
        for parts in zip(*((x.last, x.multi) for _, x, _ in found), strict=True)
    ]
    assert error(Latents(*joined), wanted.latents) < 1e-5


def test_a_missing_extra_is_named(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says how to install it."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"teachmesh\[openvino\]\""):
        with_engine(backbone, "openvino")


def test_an_openvino_that_cannot_be_loaded_is_named_with_its_reason(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installing it would not help if it is there, but another version or without a library."""
    stub = types.ModuleType("openvino")
    stub.__spec__ = importlib.machinery.ModuleSpec("openvino", None)
    monkeypatch.setitem(sys.modules, "openvino", stub)
    with pytest.raises(DeviceError, match=r"can be loaded, it says: No module named 'openvino\."):
        with_engine(backbone, "openvino")


@needs_openvino
def test_openvino_gives_the_latents_of_torch(backbone: Backbone) -> None:
    """For one image, for several, in threads, and with the same fingerprint."""
    other = with_engine(backbone, "openvino")
    assert other.fingerprint == backbone.fingerprint
    batch = images(20, backbone)
    for count in (1, 3, 16):
        assert error(other.embed(batch[:count]), backbone.embed(batch[:count])) < 1e-5
    asked = find_images([image.permute(1, 2, 0).numpy() for image in batch])
    found = embedding.embed_images(other, asked).latents
    assert error(found, embedding.embed_images(backbone, asked).latents) < 1e-5


@needs_cuda
def test_a_gpu_gives_the_latents_of_the_cpu(backbone: Backbone) -> None:
    """In float32 up to rounding, in bf16 up to a percent or two."""
    batch = images(16, backbone)
    gpu = embedded_backbone("embedded", torch.device("cuda"))
    wanted = backbone.embed(batch)
    assert error(gpu.embed(batch.pin_memory()), wanted) < 1e-4
    if has_bf16(gpu.device):
        assert error(with_engine(gpu, "torch", "bf16").embed(batch), wanted) < 2e-2


COMMANDS = {
    "learn": ("learn", "TASK"),
    "predict": ("predict", "IMAGE"),
    "match": ("match", "OTHER", "--encoder", "names"),
    "correct": ("correct", "IMAGE", "--task", "warm", "--class", "red"),
    "up": ("up", "--learn", "TASK", "--no-web"),
    "evaluate": ("evaluate", "FOLDER", "--only", "warm,cold"),
    "demo": ("demo", "--tasks", "FOLDER", "--agents", "2"),
    "drill poison": ("drill", "poison", "--tasks", "FOLDER"),
}
"""All commands whose backbone passes are a free choice, and arguments with which they run."""


@pytest.fixture
def words(warm: Path, cold: Path, tmp_path: Path, warm_is_known: None) -> dict[str, str]:
    """Return the words of `COMMANDS` that stand for paths; the default home knows warm."""
    other = write_task(tmp_path / "others", "warm", per_class=6, seed=7)
    other = other.rename(other.with_name("few"))
    image = str(sorted((other / "red").iterdir())[0])
    return {"TASK": str(cold), "IMAGE": image, "OTHER": str(other), "FOLDER": str(warm.parent)}


def line(command: str, words: dict[str, str]) -> list[str]:
    """Return the words of a command line of `COMMANDS`."""
    return [words.get(word, word) for word in COMMANDS[command]]


def test_commands_that_embed_images_have_both_options() -> None:
    """No other command has one; `bench run` has another --engine, and no --dtype."""
    taken = {" ".join(path): {*inspect.signature(one).parameters} for path, one in ALL_COMMANDS}
    assert {name for name, options in taken.items() if "dtype" in options} == {*COMMANDS}
    assert {name for name, options in taken.items() if "engine" in options} - {*COMMANDS} == {
        "bench run"
    }


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (("--engine", "onnx"), "expected an engine out of torch, openvino, got 'onnx'"),
        (("--dtype", "fp16"), "expected a number type out of fp32, bf16, auto, got 'fp16'"),
        (("--dtype", "bf16"), "expected a device with bf16 instructions"),
    ],
)
def test_no_command_ignores_an_option(
    command: str, option: tuple[str, str], reason: str, words: dict[str, str], processor: Path
) -> None:
    """Unknown words are refused, and bf16 on a processor without it, each in one sentence."""
    processor.write_text("flags : avx2")
    said = run(*line(command, words), *option, code=3).stderr
    assert [reason in text for text in said.splitlines() if text.startswith("error: ")] == [True]


@needs_openvino
@pytest.mark.parametrize("command", ["learn", "predict", "match", "correct"])
def test_another_engine_gives_equal_answers(
    command: str, words: dict[str, str], tmp_path: Path
) -> None:
    """Numbers differ in the last digits only; the document names the engine."""
    own = shutil.copytree(tmp_path / "default-home", tmp_path / "other-home")
    wanted = run_json(*line(command, words))
    found = run_json(*line(command, words), "--engine", "openvino", "--home", str(own))
    assert {key: found.pop(key) for key in ("engine", "dtype")} == {
        "engine": "openvino",
        "dtype": "fp32",
    }
    varying = {"wall_s", "size_bytes", "skill"}
    wanted, found = ({k: v for k, v in d.items() if k not in varying} for d in (wanted, found))
    assert plain(found) == plain(wanted)


def plain(value: Any) -> Any:
    """Return a JSON value with numbers rounded to three digits, and without skill ids."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key != "skill"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value


def test_exact_sums_and_text_refuse_a_number_type(words: dict[str, str], processor: Path) -> None:
    """A correction needs float32, and names alone need no latents."""
    processor.write_text("flags : avx512_bf16")
    for command, reason in (
        (line("correct", words), "expected --dtype fp32 to add images to a task"),
        (["learn", words["OTHER"], "--add-to", "warm"], "expected --dtype fp32 to add images"),
        ([*line("match", words), "--by", "text"], "expected no --dtype with --by text"),
    ):
        (said,) = run(*command, "--dtype", "bf16", code=2).stderr.splitlines()
        assert said.startswith(f"error: {reason}")


def test_evaluate_keeps_the_latents_of_each_number_type(
    words: dict[str, str], processor: Path
) -> None:
    """A run never reads latents of another number type; the cards and the document name it."""
    processor.write_text("flags : avx512_bf16")
    command = line("evaluate", words)
    first, mixed = run_json(*command), run_json(*command, "--dtype", "auto")
    assert first["images_embedded"] == mixed["images_embedded"] == 72
    assert (mixed["engine"], mixed["dtype"]) == ("torch", "bf16")
    assert mixed["fingerprint"] == first["fingerprint"]
    assert abs(mixed["mean"]["final"] - first["mean"]["final"]) <= 0.1
    assert "engine torch, dtype bf16, test images" in run(*command, "--dtype", "bf16").stdout
    again = [run_json(*command, *way) for way in ((), ("--dtype", "bf16"))]
    assert [document["images_embedded"] for document in again] == [0, 0]
    assert [document["mean"] for document in again] == [first["mean"], mixed["mean"]]
    assert not {"engine", "dtype"} & set(again[0])
