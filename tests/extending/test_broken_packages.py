"""A broken entry point gives one clear sentence and breaks nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from teachmesh.agent.checkup import run_checkup
from teachmesh.cli.main import app
from teachmesh.errors import ConfigError
from teachmesh.mapping.own_mapper import OWN_MAPPERS
from teachmesh.model.backbone_registry import own_network
from teachmesh.sharing.own_transport import make_transport
from teachmesh_lab.baselines.baseline_registry import OWN_BASELINES
from teachmesh_lab.bench.bench_methods import check_bench_method
from tests.extending.conftest import See, write_package

MODULE = """
from nearest_mean_mapper import NearestMeanAnchor, NearestMeanMapper
from teachmesh.mapping.own_mapper import OwnMapper
from teachmesh.mapping.anchor import TensorSpec
from teachmesh_lab.baselines.frozen import FrozenBaseline

class Abstract(OwnMapper):
    pass

class OtherKind(NearestMeanMapper):
    pass

class NoAnchor(NearestMeanMapper):
    anchor_type = dict

class Secret(NearestMeanMapper):
    kind = "secret"
    privacy = "none"

    class anchor_type(NearestMeanAnchor):
        kind = "secret"

class Wide(NearestMeanMapper):
    kind = "wide"

    class anchor_type(NearestMeanAnchor):
        kind = "wide"
        tensor_specs = {"means": TensorSpec("F32", ("C", "Z"))}

class Listed(NearestMeanMapper):
    kind = "listed"

    class anchor_type(NearestMeanAnchor):
        kind = "listed"
        tensor_specs = ["means"]

class Half(FrozenBaseline):
    source = "none"

def no_transport(agent_id, *, listen, join):
    return agent_id

def exits():
    raise SystemExit(7)

number = 3
"""
MAPPERS = {
    "missing": ("missing_module:Mapper", "ModuleNotFoundError: No module named 'missing_module'"),
    "nothing": ("broken_module:Nothing", "AttributeError: module 'broken_module' has no"),
    "raises": ("raising_module:Mapper", "ZeroDivisionError: division by zero"),
    "exits": ("exiting_module:Mapper", "SystemExit: 7"),
    "number": ("broken_module:number", "expected a subclass of OwnMapper, got 3"),
    "abstract": ("broken_module:Abstract", "it lacks _added, _removed, _score, familiarity, fit"),
    "no-anchor": ("broken_module:NoAnchor", "expected a subclass of TaskAnchor as anchor_type"),
    "other": ("broken_module:OtherKind", "expected the kind 'other' of mapper and anchor"),
    "secret": ("broken_module:Secret", "expected privacy out of statistics, samples, images"),
    "wide": ("broken_module:Wide", "expected sizes out of C, D, K, R, S with D, got ['C', 'Z']"),
    "listed": ("broken_module:Listed", "'list' object has no attribute 'items'"),
    "head": ("broken_module:OtherKind", "expected a name like 'my-mapper' that is not reserved"),
    "gmmc": ("broken_module:OtherKind", "teachmesh itself has this name"),
    "twice": ("broken_module:OtherKind", "several packages offer this name (first, broken_module"),
}
ENTRIES = {
    "teachmesh.mappers": {name: target for name, (target, _) in MAPPERS.items()},
    "teachmesh.baselines": {
        "half": "broken_module:Half",
        "ewc": "broken_module:Half",
        "fewer": "broken_module:number",
    },
    "teachmesh.backbones": {"lite0": "broken_module:number", "plain": "broken_module:number"},
    "teachmesh.transports": {
        "zenoh": "broken_module:no_transport",
        "pipe": "broken_module:no_transport",
        "three": "broken_module:number",
    },
}


@pytest.fixture
def broken(examples: Path, see: See, tmp_path: Path) -> None:
    """Two packages with broken entry points, next to good ones."""
    folder = tmp_path / "broken"
    write_package(
        folder,
        "first",
        ENTRIES,
        broken_module=MODULE,
        raising_module="1 / 0\n",
        exiting_module="raise SystemExit(7)\n",
    )
    write_package(folder, "second", {"teachmesh.mappers": {"twice": "raising_module:Mapper"}})
    see(examples)
    see(folder)


def sentence(work: Callable[[], Any]) -> str:
    """Return the message of the error that a call raises; it has one line."""
    with pytest.raises(ConfigError) as caught:
        work()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.usefixtures("broken")
def test_each_broken_mapper_has_its_own_sentence() -> None:
    """The name, the package and the reason; a good mapper of the same folder works."""
    for name, (target, reason) in MAPPERS.items():
        message = sentence(lambda name=name: OWN_MAPPERS.load(name))
        assert message.startswith(f"the mapper {name!r} (first, {target}) cannot be used: ")
        assert reason in message
    assert OWN_MAPPERS.load("nearest-mean").kind == "nearest-mean"
    assert len(OWN_MAPPERS.faults()) == len(MAPPERS)


@pytest.mark.usefixtures("broken")
def test_other_groups_have_sentences_too() -> None:
    """A baseline that is not complete, a wrong type, and a factory that makes something else."""
    assert "it lacks _learn, consolidate" in sentence(lambda: OWN_BASELINES.load("half"))
    assert "teachmesh itself has this name" in sentence(lambda: OWN_BASELINES.load("ewc"))
    assert "expected a subclass of Baseline" in sentence(lambda: check_bench_method("fewer"))
    assert "expected an OwnNetwork, got 3" in sentence(lambda: own_network("plain"))
    assert own_network("lite0") is None  # the package's own weights
    assert "expected a function" in sentence(lambda: make_transport("three", "A"))
    assert "to make a Transport, got 'A'" in sentence(lambda: make_transport("pipe", "A"))


@pytest.mark.usefixtures("broken")
def test_commands_work_next_to_broken_packages(warm: Path) -> None:
    """Built-in methods learn and list without a remark; a broken one ends with its sentence."""

    def run(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, result.output + result.stderr
        return result

    assert "raises" not in run("learn", str(warm)).stderr
    assert run("skills", "list").stderr == ""
    assert run("status", "--json").stderr == ""
    error = run("learn", str(warm), "--name", "b", "--method", "raises", code=3).stderr
    assert error.startswith("error: the mapper 'raises' (first, raising_module:Mapper) cannot be")
    assert error.count("\n") == 1
    unknown = run("up", "--transport", "pip", code=2).stderr
    assert "expected a transport out of zenoh, pipe, three, got 'pip'" in unknown


@pytest.mark.usefixtures("broken")
def test_doctor_lists_every_broken_entry_point(tmp_path: Path) -> None:
    """Good ones are named first; every broken one has its sentence."""
    (check,) = [c for c in run_checkup(tmp_path / "home") if c.name == "entry points"]
    assert not check.ok
    assert "mapper nearest-mean" in check.found
    for reason in (MAPPERS["raises"][1], "the backbone 'plain'", "the transport 'three'"):
        assert reason in check.found


def test_doctor_without_other_packages(see: See, tmp_path: Path) -> None:
    """Nothing to report, which is fine."""
    (check,) = [c for c in run_checkup(tmp_path / "home") if c.name == "entry points"]
    assert (check.ok, check.found) == (True, "none of other packages")
