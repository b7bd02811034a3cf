"""Configurations: read, written, changed from the command line, refused with one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.errors import StorageError, UsageError
from teachmesh.learning.variants import VARIANTS
from teachmesh.mapping.anchor_kinds import METHODS
from teachmesh_lab.bench.bench_methods import FROZEN, Kind, bench_methods
from teachmesh_lab.bench.grid_config import (
    BenchConfig,
    Grid,
    Overrides,
    load_config,
    override,
    parse_config,
    preset_names,
)
from teachmesh_lab.bench.toml_text import read_toml, write_toml
from teachmesh_lab.streams.task_stream import StreamSpec


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_reads_and_says_what_it_takes(name: str) -> None:
    """Each preset has a description, and survives a round trip through TOML."""
    config = load_config(name)
    assert config.name == name
    assert len(config.about) > 100
    assert config.expected
    assert parse_config(config.to_toml(), "again") == config


def test_the_presets_are_those_of_the_project() -> None:
    """`paper-mini` has the paper's four variants, ours, every baseline, and several agents."""
    assert preset_names() == [
        "closed-forms", "mapper-constants", "paper-mini", "paper-small", "skill-102",
    ]  # fmt: skip
    mini = load_config("paper-mini")
    without_biases = {name for name, kind in bench_methods().items() if kind is not Kind.ADAPTED}
    wanted = without_biases | {"gmmc+bb", "maha+bb"}
    assert {method for grid in mini.grids for method in grid.methods} == wanted
    assert all(max(grid.agents) > 1 for grid in mini.grids)
    assert all(grid.stream.source == "builtin" for grid in mini.grids)


def test_methods_of_teachmesh_come_from_one_place() -> None:
    """A new mapper can be compared as soon as it is in the list of mappers."""
    kinds = bench_methods()
    assert [name for name, kind in kinds.items() if kind is Kind.OURS] == list(METHODS)
    adapted = {name for name, kind in kinds.items() if kind is Kind.ADAPTED}
    assert adapted == set(VARIANTS) - set(METHODS)


def test_a_grid_chooses_how_biases_are_learned_and_kept() -> None:
    """`bb` and `keep` name variants, which the file that a run writes lists by name."""
    text = "[[grid]]\nmethods = ['maha', 'maha+bb', 'bb-h2t']\nbb = 'all'\nkeep = 'always'"
    config = parse_config(text, "x")
    assert config.grids[0].methods == ("maha", "maha+bb-all-always", "bb-h2t")
    assert parse_config(config.to_toml(), "x") == config
    keep = parse_config("[[grid]]\nmethods = ['gmmc+bb']\nkeep = 'always'", "x")
    assert keep.grids[0].methods == ("gmmc+bb-always",)


def test_the_group_of_biases_leaves_out_training_to_the_end() -> None:
    """It has the variants within the budget; the paper's way is chosen by name or by `bb`."""
    (grid,) = parse_config("[[grid]]\nmethods = ['biased']", "x").grids
    assert set(grid.methods) == {
        *(f"{method}{ending}" for method in METHODS for ending in ("+bb", "+bb-last")),
        "bb-h2t",
    }


def test_groups_stand_for_all_methods_of_a_kind() -> None:
    """Groups work in a file and on the command line; grids hold the names of the methods."""
    config = parse_config(
        "[[grid]]\nagents = [1, 2]\nmethods = ['slda', 'ours', 'frozen']\nreal = ['ours']", "x"
    )
    (grid,) = config.grids
    assert grid.methods == ("slda", *METHODS, *(name for name in FROZEN if name != "slda"))
    assert grid.real == METHODS
    (chosen,) = override(config, Overrides(methods=("frozen",))).grids
    assert set(chosen.methods) == set(FROZEN)
    with pytest.raises(UsageError, match="expected methods of 'x'"):
        override(config, Overrides(methods=("trained",)))
    part = parse_config("[[grid]]\nmethods = ['ewc', 'moments']", "x")
    (chosen,) = override(part, Overrides(methods=("trained",))).grids
    assert chosen.methods == ("ewc",)
    with pytest.raises(UsageError, match="at least one method"):
        parse_config("[[grid]]\nmethods = []", "x")


def test_toml_of_a_run_survives_a_round_trip() -> None:
    """Quotes, backslashes, newlines, empty lists, small numbers."""
    document = {
        "name": 'a "quoted" \\ path\nand a line',
        "alpha": 1e-12,
        "yes": True,
        "grid": [{"methods": ["a", "b"], "options": {"rate": 0.1, "deep": False}}, {"seeds": []}],
    }
    assert read_toml(write_toml(document), "") == document


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "expected TOML"),
        ("name = 'x'", r"at least one \[\[grid\]\]"),
        ("[[grid]]\nsource = 'x'", "expected methods"),
        ("[[grid]]\nmethods = ['moments']\nsede = [1]", "unknown key 'sede'"),
        ("[[grid]]\nmethods = ['momnts']", "did you mean 'moments'"),
        ("[[grid]]\nmethods = ['moments']\nagents = [2]", "expected 1 among"),
        ("[[grid]]\nmethods = ['moments']\npacking = 'x'", "expected a packing"),
        ("[[grid]]\nmethods = []", "at least one method"),
        (
            "alpha = nan\n[[grid]]\nmethods = ['ncm']",
            "a number of at least 0, got nan",
        ),
        (
            "alpha = -5\n[[grid]]\nmethods = ['ncm']",
            "a number of at least 0, got -5",
        ),
        (
            "alpha = inf\n[[grid]]\nmethods = ['ncm']",
            "a number of at least 0, got inf",
        ),
        ("[[grid]]\nmethods = ['ncm']\nlimit = 0", "expected 'limit' of at least 1, got 0"),
        ("[[grid]]\nmethods = ['ncm']\nlimit = -1", "expected 'limit' of at least 1, got -1"),
        ("[[grid]]\nmethods = ['ncm']\nper_class = 0", "expected 'per_class' of at least 1, got 0"),
        ("[[grid]]\nmethods = ['ncm']\norder = 'x'", "expected the order 'given' or 'shuffled'"),
        ("[[grid]]\nmethods = ['ncm']\nseeds = [-1]", "expected seeds of at least 0"),
        ("[[grid]]\nmethods = ['ncm']\nseeds = [2, 2]", "expected every seed once"),
        ("[[grid]]\nmethods = ['ncm']\nagents = [0, 1]", "numbers of agents of at least 1"),
        ("[[grid]]\nmethods = ['ncm']\nagents = [1, 1]", "expected every number of agents once"),
        (
            "[[grid]]\nmethods = ['ewc']\nagents = [1, 2]\nreal = ['ewc']",
            "without biases in 'real'",
        ),
        ("[[grid]]\nmethods = ['maha+bb']\nagents = [1, 2]\nreal = ['maha+bb']", "'maha\\+bb'"),
        ("[[grid]]\nmethods = ['maha+bb']\nbb = 'last:3'", "auto, half, all"),
        ("[[grid]]\nmethods = ['maha+bb']\nkeep = 'allways'", "did you mean 'always'"),
        ("[[grid]]\nmethods = ['maha+bb']\nbb = 'half'\nkeep = 'always'", "together with"),
        ("[[grid]]\nmethods = ['maha', 'bb-h2t']\nbb = 'all'", "a method with \\+bb"),
        ("[[grid]]\nmethods = ['maha']\nagents = [1, 2]\nreal = ['gmmc']", "methods of the grid"),
        ("[[grid]]\nmethods = ['maha']\nreal = ['maha']", "agents above 1 in a grid with 'real'"),
        ("schema = 'other/1'\n[[grid]]\nmethods = ['moments']", "schema"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_one_sentence(text: str, message: str) -> None:
    """The message names the expected values and the nearest known word."""
    with pytest.raises(UsageError, match=message):
        parse_config(text, "mine.toml")


def test_unknown_presets_and_missing_files(tmp_path: Path) -> None:
    """The message suggests the nearest preset."""
    with pytest.raises(UsageError, match="did you mean 'paper-mini'"):
        load_config("paper-mni")
    with pytest.raises(StorageError, match="could not read"):
        load_config(str(tmp_path / "no.toml"))


def test_the_command_line_changes_every_grid() -> None:
    """Methods are only removed, other values are replaced, one agent is always kept."""
    stream = StreamSpec("a", limit=3)
    config = BenchConfig(
        "x",
        (
            Grid(("moments", "ncm"), stream, agents=(1, 2), real=("moments",)),
            Grid(("ewc",), stream),
        ),
    )
    changed = override(
        config, Overrides(source="b", methods=("ncm",), seeds=(4, 5), agents=(8,), backbone="c")
    )
    (grid,) = changed.grids
    assert (grid.methods, grid.real, grid.seeds, grid.agents) == (("ncm",), (), (4, 5), (1, 8))
    assert override(config, Overrides(agents=(3,))).grids[0].real == ("moments",)
    assert override(config, Overrides(agents=(1,))).grids[0].real == ()
    assert (grid.stream, grid.backbone) == (StreamSpec("b", limit=3), "c")
    with pytest.raises(UsageError, match="expected methods of 'x'"):
        override(config, Overrides(methods=("si",)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('alpha = "much"', "expected a number for 'alpha' in 'x', got 'much'"),
        ("name = 3", "expected a text for 'name'"),
        ("[[grid]]\nmethods = ['ncm']\nlimit = 'ten'", "expected a whole number for 'limit'"),
        ("[[grid]]\nmethods = ['ncm']\nlimit = true", "expected a whole number for 'limit'"),
        ("[[grid]]\nmethods = 'ncm'", "expected a list of texts for 'methods'"),
        ("[[grid]]\nmethods = ['ncm']\nseeds = ['a']", "a list of whole numbers for 'seeds'"),
        ("[[grid]]\nmethods = ['ncm']\noptions = 3", "expected a table for 'options'"),
        ("grid = [1]", r"expected \[\[grid\]\] tables in 'x', got \[1\]"),
    ],
)
def test_a_value_of_another_type_is_one_sentence(line: str, message: str) -> None:
    """Each key of a file has one type."""
    text = line if "grid" in line else line + "\n[[grid]]\nmethods = ['ncm']"
    with pytest.raises(UsageError, match=message):
        parse_config(text, "x")
