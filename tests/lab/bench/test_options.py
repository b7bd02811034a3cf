"""Training options of baselines: allowed values, and refusals before a run starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from teachmesh.cli.main import app
from teachmesh.errors import UsageError
from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.baselines.choose_hyperparameters import points
from teachmesh_lab.bench.baseline_options import OPTIONS, WITHOUT_CHOICE, Scalar, with_defaults
from teachmesh_lab.bench.bench_methods import recipe_of
from teachmesh_lab.bench.grid_config import Grid, Overrides, override, parse_config
from teachmesh_lab.bench.run_grid import join_grids


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


@pytest.mark.parametrize(
    ("methods", "options"),
    [
        (("moments",), {"epochs": 2}),
        (("slda", "moments"), {"epochs": 2}),
        (("ewc",), {"replay_passes": 1.0}),
        (("er",), {"choice_tasks": 1}),
        (("ncm", "gmmc"), {"choice_tasks": 1}),
    ],
)
def test_an_option_that_no_method_uses_is_refused(
    methods: tuple[str, ...], options: dict[str, Scalar]
) -> None:
    """The sentence names the option and the methods."""
    (name,) = options
    with pytest.raises(UsageError, match=f"got '{name}' with {', '.join(methods)}; leave it out"):
        Grid(methods, options=options)


def test_cells_depend_only_on_options_that_their_method_reads() -> None:
    """The same holds for the defaults of options, and for methods left out with --methods."""
    text = "[[grid]]\nmethods = ['moments', 'slda', 'ncm', 'lwf', 'er']\noptions = "
    config = parse_config(text + "{ epochs = 2, warm_up = 0, choice_tasks = 1 }", "x")
    (grid,) = config.grids
    read = {method: dict(grid.options_of(method)) for method in grid.methods}
    assert read == {
        "moments": {},
        "slda": {"choice_tasks": 1},
        "ncm": {},
        "lwf": {"epochs": 2, "warm_up": 0, "choice_tasks": 1},
        "er": {"epochs": 2},
    }
    assert ["warm_up" in recipe_of(method) for method in ("lwf", "er", "slda")] == [
        True,
        False,
        False,
    ]
    (left,) = override(config, Overrides(methods=("slda", "er"))).grids
    assert left.options == {"epochs": 2, "choice_tasks": 1}


def test_baselines_without_a_choice_are_those_with_one_candidate() -> None:
    """The list is written down, because the registry of baselines loads torch."""
    single = {name for name, info in BASELINES.items() if len(points(info.grid)) == 1}
    assert set(WITHOUT_CHOICE) == single


def test_grids_of_one_preset_with_other_methods_join_again() -> None:
    """Each run of a part of the methods has only the options that this part uses."""
    text = "[[grid]]\nmethods = ['moments', 'slda', 'er']\noptions = {epochs = 2, choice_tasks = 1}"
    config = parse_config(text, "x")
    (grid,) = config.grids
    parts = [override(config, Overrides(methods=(name,))).grids for name in grid.methods]
    joined: tuple[Grid, ...] = ()
    for part in parts:
        joined = join_grids(joined, part)
    assert joined == config.grids
    (again,) = join_grids(parts[1], config.grids)
    assert (set(again.methods), again.options) == (set(grid.methods), grid.options)
    clusters = Grid(("gmmc",), options={"clusters": 5})
    samples = Grid(("maha",), options={"samples": 1})
    assert join_grids((clusters,), (samples,)) == (clusters, samples)
