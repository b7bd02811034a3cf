"""Training options of baselines: allowed values, and refusals before a run starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from teachmesh.cli.main import app
from teachmesh.errors import UsageError
from teachmesh_lab.bench.bench_methods import OPTIONS, Scalar, with_defaults


def test_what_is_not_given_is_as_it_is_otherwise() -> None:
    """Missing options get their defaults."""
    assert with_defaults({}) == OPTIONS
    assert with_defaults({"epochs": 1, "net": "small"}) == {**OPTIONS, "epochs": 1, "net": "small"}


def test_the_image_size_may_be_that_of_the_network() -> None:
    """0 is not a size below the limit, but stands for the network's own size."""
    assert with_defaults({"size_px": 0})["size_px"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"epochs": "many"}, "expected option 'epochs' like 5, got 'many'"),
        ({"epochs": 2.5}, "expected option 'epochs' like 5, got 2.5"),
        ({"epochs": True}, "expected option 'epochs' like 5, got True"),
        ({"epochs": 0}, "expected option 'epochs' of at least 1, got 0"),
        ({"size_px": 4}, "expected option 'size_px' of at least 8, got 4"),
        ({"rate": 1}, "expected option 'rate' between 0 and 1, got 1"),
        ({"rate": float("nan")}, "expected option 'rate' between 0 and 1, got nan"),
        ({"net": 1}, "expected option 'net' like 'quick', got 1"),
        ({"net": "resnet"}, "out of quick, paper, embedded, .*, got 'resnet'"),
        ({"norms": "learned"}, "expected option 'norms' out of frozen, running, got 'learned'"),
        ({"task_inference": "on"}, "'task_inference' out of none, entropy, got 'on'"),
        ({"replay_passes": -0.5}, "expected option 'replay_passes' of at least 0, got -0.5"),
        ({"warm_up": 0.5}, "expected option 'warm_up' like 1, got 0.5"),
    ],
)
def test_a_wrong_option_is_one_sentence(options: dict[str, Scalar], message: str) -> None:
    """The message has the nearest known option, or the allowed values."""
    with pytest.raises(UsageError, match=message):
        with_defaults(options)


def test_a_wrong_option_in_a_file_stops_the_command(tmp_path: Path) -> None:
    """The command ends with exit code 2 and makes no folder."""
    file = tmp_path / "mine.toml"
    file.write_text("[[grid]]\nmethods = ['si']\noptions = { epoch = 3 }\n")
    result = CliRunner().invoke(app, ["bench", "run", str(file), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "did you mean 'epochs'" in result.stderr
    assert not (tmp_path / "out").exists()
