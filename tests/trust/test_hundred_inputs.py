"""The hundred bad inputs: each gets one sentence and its exit code, and never a traceback.

`bad_inputs.tsv` names the test of every input. Inputs of commands are tested here, end to end.
Pictures of 67 to 75 are tested as files; over HTTP, inputs 66 to 85 wait for the web page.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from teachmesh.agent import Agent
from teachmesh.cli.main import app
from teachmesh.packet.codec import decode
from teachmesh.packet.signing import verify
from tests.bank.memory_disk import memory_folder
from tests.conftest import write_task
from tests.data.pictures import encoded, smooth
from tests.packet.sample_skills import sample_bytes
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import id_of_agent
from tests.trust.test_floods import agent, time_of
from tests.trust.virtual_network import Faults, World

TESTS = Path(__file__).parents[1]
SKIPPED = 9
"""Exit code of a command that is done, with some images left out."""
TABLE = Path(__file__).with_name("bad_inputs.tsv")


def numbers(text: str) -> range:
    """Return the numbers of a row such as "41" or "43-45"."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def test_every_input_has_a_test() -> None:
    """All hundred numbers occur once, and every named file exists."""
    with TABLE.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    found = [number for row in rows for number in numbers(row["number"])]
    assert found == list(range(1, 101))
    files = {row["tested by"] for row in rows}
    assert [name for name in files if not (TESTS / name).is_file()] == []


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with one task."""
    with memory_folder() as folder:
        Agent(folder / "home").learn(write_task(folder, "warm"))
        yield folder / "home"


@dataclass(frozen=True)
class Row:
    """One bad input.

    Attributes:
        name: number and text of the input.
        code: exit code of the command.
        words: part of its output.
        prepare: writes files into an empty folder, and returns the arguments of the command.
        needs_skill: whether the command uses the home with a task.
    """

    name: str
    code: int
    words: str
    prepare: Callable[[Path], list[object]]
    needs_skill: bool = field(default=False)


def picture(data: bytes, suffix: str = "png") -> Callable[[Path], list[object]]:
    """Classify one file with these bytes."""

    def prepare(folder: Path) -> list[object]:
        path = folder / f"picture.{suffix}"
        path.write_bytes(data)
        return ["predict", path]

    return prepare


def header_of_png(width: int, height: int) -> bytes:
    """Return a small PNG file that claims a size."""
    data = encoded(smooth(4, 4))
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    chunk = data[12:16] + size + data[24:29]
    return data[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]


def task(change: Callable[[Path], object] | None = None, *options: str) -> Callable[[Path], list]:
    """Learn a copy of the warm task after a change."""

    def prepare(folder: Path) -> list[object]:
        source = write_task(folder, "warm")
        if change is not None:
            change(source)
        return ["learn", source, *options]

    return prepare


def spoil(share: float) -> Callable[[Path], None]:
    """Replace a share of all images by text."""

    def change(source: Path) -> None:
        files = sorted(source.rglob("*.png"))
        for path in files[:: max(1, round(1 / share))]:
            path.write_text("no image")

    return change


def same_images(source: Path) -> None:
    """Make all images equal."""
    first, *others = sorted(source.rglob("*.png"))
    for path in others:
        shutil.copyfile(first, path)


def one_image(source: Path) -> None:
    """Leave a single image."""
    for folder in sorted(source.iterdir())[1:]:
        shutil.rmtree(folder)
    for path in sorted(source.rglob("*.png"))[1:]:
        path.unlink()


def classes_that_differ_in_case(source: Path) -> None:
    """Give the classes of the validation images another case."""
    for path in sorted(source.rglob("*.png")):
        split, label = ("val", "RED") if path.stem > "09" else ("train", path.parent.name)
        target = source / split / (label if path.parent.name == "red" else path.parent.name)
        target.mkdir(parents=True, exist_ok=True)
        path.rename(target / path.name)
    for label in ("red", "orange", "yellow"):
        (source / label).rmdir()


def crowd(source: Path) -> None:
    """Make one class much larger than the others."""
    for path in sorted((source / "red").glob("*.png"))[1:]:
        path.unlink()


def table_of_labels(folder: Path) -> list[object]:
    """Learn from a CSV file with labels that have commas and line feeds."""
    images = sorted(write_task(folder, "warm").rglob("*.png"))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label"])
        for path in images:
            writer.writerow([path.relative_to(folder), f"{path.parent.name}, a\ncolour"])
    return ["learn", folder / "labels.csv"]


def settings(text: str) -> Callable[[Path], list[object]]:
    """Show the status of a home with these settings."""

    def prepare(folder: Path) -> list[object]:
        (folder / "home").mkdir()
        (folder / "home" / "config.json").write_text(text)
        return ["status"]

    return prepare


def home_below_a_file(folder: Path) -> list[object]:
    """Use a home where no folder can be made."""
    (folder / "file").write_text("")
    return ["learn", write_task(folder, "warm"), "--home", folder / "file" / "home"]


JPEG = encoded(smooth(40, 40), "JPEG")
GIF_FRAMES = [Image.fromarray(smooth(8, 8, seed)) for seed in range(60)]
ROWS = [
    Row("66 text named jpg", 4, "image", picture(b"hello, I am no picture", "jpg"), True),
    Row("67 truncated JPEG", 4, "damaged", picture(JPEG[: len(JPEG) // 2], "jpg"), True),
    Row("68 169 megapixels", 4, "pixels", picture(header_of_png(13_000, 13_000)), True),
    Row("69 60,000 x 1", 0, "", picture(encoded(np.zeros((1, 60_000, 3), np.uint8))), True),
    Row("70 1 x 1", 0, "", picture(encoded(np.zeros((1, 1, 3), np.uint8))), True),
    Row("71 0 x 0", 4, "damaged", picture(header_of_png(0, 0)), True),
    Row(
        "72 GIF of many frames",
        0,
        "",
        picture(encoded(GIF_FRAMES[0], "GIF", save_all=True, append_images=GIF_FRAMES[1:]), "gif"),
        True,
    ),
    Row("73 CMYK", 0, "", picture(encoded(GIF_FRAMES[0].convert("CMYK"), "JPEG"), "jpg"), True),
    Row("73 grey with alpha", 0, "", picture(encoded(GIF_FRAMES[0].convert("LA"))), True),
    Row("74 EPS", 4, "image", picture(b"%!PS-Adobe-3.0 EPSF-3.0\n", "eps"), True),
    Row("74 SVG", 4, "image", picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg"), True),
    Row("74 PDF", 4, "image", picture(b"%PDF-1.7\n" + bytes(50), "pdf"), True),
    Row("74 PSD", 4, "image", picture(b"8BPS\0\1" + bytes(50), "psd"), True),
    Row("75 HEIC", 4, "", picture(b"\0\0\0\x18ftypheic" + bytes(40), "heic"), True),
    Row("86 empty class", 0, "", task(lambda source: (source / "blue").mkdir())),
    Row("87 one image only", 4, "class", task(one_image)),
    Row("88 classes that differ in case", 4, "", task(classes_that_differ_in_case)),
    Row(
        "89 link to its own folder", 0, "", task(lambda s: (s / "red" / "x").symlink_to(s / "red"))
    ),
    Row("91 10 % damaged", SKIPPED, "skip", task(spoil(0.1))),
    Row("91 more than 20 % damaged", 4, "", task(spoil(0.34))),
    Row("92 all images equal", 0, "", task(same_images)),
    Row("93 one image against many", 0, "", task(crowd)),
    Row("94 labels with commas and line feeds", 4, "", table_of_labels),
    Row("95 missing path", 4, "warm", lambda f: ["learn", write_task(f, "warm").with_name("warn")]),
    Row("96 misspelt setting", 3, "did you mean", settings('{"alais": "x"}')),
    Row("96 settings that are no JSON", 3, "JSON", settings("alias = x")),
    Row("97 no such device", 3, "cuda", task(None, "--device", "cuda:7")),
    Row("98 home below a file", 8, "", home_below_a_file),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_bad_input_of_a_command_is_one_sentence(row: Row, home: Path, tmp_path: Path) -> None:
    """The right exit code, and with `--json` one document on stdout."""
    arguments = row.prepare(tmp_path)
    own = home if row.needs_skill else tmp_path / "home"
    options = [] if "--home" in arguments else ["--home", own]
    result = CliRunner().invoke(app, [str(a) for a in (*arguments, *options, "--json")])
    text = result.output + result.stderr
    assert result.exit_code == row.code, text
    assert "Traceback" not in text
    assert row.words in text
    document = json.loads(result.stdout)
    if row.code not in (0, SKIPPED):
        assert (document["schema"], document["exit_code"]) == ("teachmesh.error/1", row.code)
        assert 10 < len(document["message"]) < 400
        assert "\n" not in document["message"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_an_unreadable_image_is_skipped(tmp_path: Path) -> None:
    """90: a broken link stands for a file that cannot be read, because root reads everything."""
    source = write_task(tmp_path, "warm")
    (source / "red" / "99.png").symlink_to(tmp_path / "gone.png")
    learned = Agent(tmp_path / "home").learn(source)
    assert learned.skipped <= 1


@pytest.mark.parametrize("created", ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"])
def test_a_skill_of_any_time_is_accepted(created: str) -> None:
    """51: clocks may be wrong by decades; the time is for people only."""
    assert verify(decode(sample_bytes(created=created))).skill.card.created == created


def test_swapped_labels_are_shown_by_evaluate(tmp_path: Path) -> None:
    """55: no check of a file can find them, but labelled images of one's own do."""
    source = write_task(tmp_path, "warm")
    swapped = tmp_path / "swapped" / "warm"
    for old, new in {"red": "yellow", "orange": "red", "yellow": "orange"}.items():
        shutil.copytree(source / old, swapped / new)
    owner = Agent(tmp_path / "home")
    owner.learn(swapped)
    assert owner.evaluate(source, images="all").final < 0.2


def test_large_and_repeated_messages_change_nothing() -> None:
    """60 and 65: five megabytes are dropped; a skill that arrives many times is stored once."""
    world = World(0)
    world.faults = Faults(repeats=1.0)
    bank, honest = BytesInventory(), BytesInventory(b"one")
    gossip = agent(world, "bank", bank)
    agent(world, "honest", honest)
    for number in range(100):
        world.after(number / 100, lambda: world.broadcast("x", bytes(5 << 20)))
    assert time_of(world, bank, id_of(b"one")) < 2
    world.run(5)
    assert bank.admissions[id_of(b"one")] == 1
    assert gossip.stats().dropped >= 100
    assert [peer.agent_id for peer in gossip.stats().peers] == [id_of_agent("honest")]
