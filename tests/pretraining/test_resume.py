import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from pretraining.distillation_loop import LOG_FILE
from pretraining.export_weights import packed_weights, write_assets
from pretraining.pretrain import main
from pretraining.training_state import EARLIER_FILE, FILE, RECIPE_FILE, averaged_weights, load_state
from teachmesh.errors import BackboneError
from teachmesh.model.backbone_cards import CARD_FILE, EMBEDDED_REFERENCE_FILE
from teachmesh.model.build_backbone import embedded_backbone
from teachmesh.model.embedded_backbone import WEIGHTS_FILE
from teachmesh.model.reference import Reference
from tests.pretraining.sample_mosaics import write_mosaics

OPTIONS = (
    *("--schedule", "32x1,40x1", "--fraction", "0.3", "--batch-size", "2"),
    *("--parts", "2", "--threads", "1", "--save-every", "3"),
)
ASSETS = (WEIGHTS_FILE, EMBEDDED_REFERENCE_FILE, CARD_FILE)


class Finished(NamedTuple):
    """Mosaics, and an uninterrupted run on them."""

    data: Path
    run: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The uninterrupted run with which the other runs are compared."""
    folder = tmp_path_factory.mktemp("pretraining")
    data = write_mosaics(folder / "data")
    threads = torch.get_num_threads()
    main(["--data", str(data), *OPTIONS, "--out", str(folder / "run")])
    torch.set_num_threads(threads)
    return Finished(data, folder / "run")


@pytest.mark.usefixtures("forked_programs")
def test_a_killed_run_ends_in_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    """A kill within an epoch and a restart with more or fewer threads do not change the weights."""
    options = ["--data", str(finished.data), *OPTIONS, "--out", str(tmp_path)]
    _kill_after_the_first_save(options)
    state = load_state(tmp_path)
    assert state is not None
    assert state["step"] == 3
    assert not (tmp_path / WEIGHTS_FILE).exists()

    main([*options, "--threads", "2"])
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == (finished.run / WEIGHTS_FILE).read_bytes()
    epochs = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [epoch["size_px"] for epoch in epochs] == [32, 40]


def test_a_finished_run_stays_as_it_is(finished: Finished) -> None:
    """Restarting the run changes nothing; another recipe is rejected before files are written."""
    options = ["--data", str(finished.data), *OPTIONS, "--out", str(finished.run)]
    before = _contents(finished.run, WEIGHTS_FILE, LOG_FILE, "recipe.json")
    main(options)
    with pytest.raises(SystemExit, match="another recipe"):
        main([*options, "--seed", "1"])
    assert _contents(finished.run, WEIGHTS_FILE, LOG_FILE, "recipe.json") == before
    assert (finished.run / "log.png").stat().st_size > 0


def test_a_second_cycle_begins_with_the_averaged_weights_of_the_first(
    finished: Finished, tmp_path: Path
) -> None:
    """Before the first step, the weights are equal; the card's history lists both runs."""
    start = ["--start", str(finished.run)]
    again = ["--data", str(finished.data), *OPTIONS, *start, "--out", str(tmp_path)]
    main([*again, "--schedule", "32x0"])
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == (finished.run / WEIGHTS_FILE).read_bytes()
    (first,) = json.loads((tmp_path / EARLIER_FILE).read_text())
    assert [epoch["size_px"] for epoch in first["epochs"]] == [32, 40]
    assert first["recipe"]["start"] == ""
    recipe = json.loads((tmp_path / RECIPE_FILE).read_text())
    assert recipe["start"] == averaged_weights(finished.run)[1]
    with pytest.raises(SystemExit, match="no saved state"):
        main([*again, "--start", str(tmp_path / "nothing")])


def test_two_exports_are_the_same_bytes_and_load(finished: Finished, tmp_path: Path) -> None:
    """Weights, reference and card belong together; the reference of other weights is rejected."""
    one, two = tmp_path / "one", tmp_path / "two"
    card = write_assets(finished.run, finished.data, one, dim=16)
    write_assets(finished.run, finished.data, two, dim=16)
    assert _contents(one, *ASSETS) == _contents(two, *ASSETS)
    backbone = embedded_backbone("tiny", folder=one)
    assert backbone.fingerprint == card["fingerprint"]
    assert (backbone.dim, backbone.size) == (16, 112)
    assert "ImageNet" in card["data_licence"]
    assert set(card["validation_top1"]) == {"64 px", "80 px", "96 px"}

    assert backbone.reference.steps is not None
    assert backbone.reference.metric.trace > 0
    reference = Reference.from_bytes((two / EMBEDDED_REFERENCE_FILE).read_bytes())
    foreign = dataclasses.replace(reference, scale=2 * reference.scale)
    (two / EMBEDDED_REFERENCE_FILE).write_bytes(foreign.to_bytes())
    with pytest.raises(BackboneError, match="belong together"):
        embedded_backbone("mixed", folder=two)


def test_export_before_the_first_save_is_refused(tmp_path: Path) -> None:
    """Exporting a run without a saved state gives an error message, not an empty file."""
    with pytest.raises(SystemExit, match="no saved state"):
        packed_weights(tmp_path)


def _contents(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


def _kill_after_the_first_save(arguments: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.killed_writer", f"*/{FILE}"]
    command += ["pretraining.pretrain", *arguments]
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    assert ended.returncode == -signal.SIGKILL
