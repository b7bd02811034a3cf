"""Command lines of `teachmesh bench`: JSON output, exit codes, one sentence per mistake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from teachmesh.cli.main import app
from tests.lab.bench.conftest import TinyRun, tiny
from tests.model.nets import needs_timm

__all__ = ["tiny"]  # the fixture is used below


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["bench", *map(str, arguments)])
    return result.exit_code, result.stdout


def test_presets_are_listed_with_what_they_need() -> None:
    """The small preset needs no backbone; the others list the missing one."""
    code, out = _run("list", "--json")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, "teachmesh.bench-presets/1")
    missing = {p["name"]: p["missing_backbones"] for p in document["presets"]}
    assert missing == {
        "closed-forms": ["mobilenetv2_100"],
        "mapper-constants": [],
        "paper-mini": [],
        "paper-small": ["mobilenetv2_100"],
        "skill-102": ["legacy_xception.tf_in1k"],
    }
    assert "needs the backbone" in _run("list")[1]


def test_a_finished_run_prints_its_summary_and_compares_with_itself(tiny: TinyRun) -> None:
    """`--json` prints the content of summary.json."""
    arguments = [tiny.file, "--out", tiny.folder, "--home", tiny.home.path]
    code, out = _run("run", *arguments, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tiny.folder / "summary.json").read_text("utf-8"))
    assert "moments" in _run("run", *arguments)[1]
    code, out = _run("compare", tiny.folder, tiny.folder)
    assert code == 0
    assert "results, seconds left out: the same" in out
    assert json.loads(_run("compare", tiny.folder, tiny.folder, "--json")[1])["identical"] is True


@needs_timm
def test_a_dry_run_of_the_paper_needs_no_data() -> None:
    """One pass over 2,284,686 images costs 1.91e16; hours follow from the speed."""
    code, out = _run("run", "skill-102", "--dry-run", "--speed", "1e12", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["schema"] == "teachmesh.bench-plan/1"
    grid, *trained = document["grids"]
    assert (grid["tasks"], grid["classes"], grid["images"]) == (102, 5033, 2284686)
    # The paper has 1.56e18 for LwF, and for ER 4.53e18, 2.90 times as much. The factor
    # depends on the order of the tasks; we count 2.41 in the order of seed 0.
    costs = {r["method"]: r["macs_teacher"] for g in trained[:2] for r in g["rows"]}
    eight = {"ewc", "online-ewc", "si", "mas", "lwf", "er", "psp", "supsup"}
    assert eight <= set(costs)
    assert costs["lwf"] == pytest.approx(1.56e18, rel=0.03)
    assert costs["er"] / costs["si"] == pytest.approx(2.41, rel=0.02)
    row = next(r for r in grid["rows"] if r["method"] == "moments" and r["agents"] == 1)
    assert row["macs_teacher"] == pytest.approx(1.91e16, rel=5e-3)
    assert row["hours"] == pytest.approx(row["macs_teacher"] / 1e12 / 3600, rel=1e-3)
    assert "backbone legacy_xception" in _run("run", "skill-102", "--dry-run")[1]


PLANNED = ("moments", "ncm", "ranpac", "ewc", "lwf", "er", "parallel-supsup", "joint")


def test_the_dry_run_is_close_to_what_was_counted(tiny: TinyRun, tmp_path: Path) -> None:
    """The estimate against the run's own counts, with other options than the usual ones."""
    methods = json.dumps(PLANNED)
    options = (
        '{ epochs = 1, net = "small", choice_tasks = 1, size_px = 24, replay_passes = 1.0, '
        "warm_up = 2 }"
    )
    file = tmp_path / "mine.toml"
    source = tiny.config.grids[0].stream.source
    file.write_text(
        f"[[grid]]\nsource = '{source}'\nmethods = {methods}\nagents = [1, 2]\n"
        f"options = {options}\n"
    )
    arguments = [file, "--home", tiny.home.path]
    (grid,) = json.loads(_run("run", *arguments, "--dry-run", "--json")[1])["grids"]
    estimated = {(row["method"], row["agents"]): row for row in grid["rows"]}
    assert set(estimated) == {(method, agents) for method in PLANNED for agents in (1, 2)}
    out = tmp_path / "run"
    code, text = _run("run", *arguments, "--out", out, "--workers", "1", "--json")
    assert code == 0
    for row in json.loads(text)["details"]:
        guess = estimated[row["method"], row["agents"]]
        assert guess["macs_teacher"] == pytest.approx(row["macs_teacher"], rel=0.02), row["method"]
        assert guess["bytes"] == pytest.approx(row["bytes"], rel=0.05), row["method"]
        assert guess["macs_student"] == pytest.approx(row["macs_student"], rel=0.5), row["method"]
        assert guess["speedup"] == pytest.approx(row["speedup"], rel=0.05), row["method"]


@pytest.mark.parametrize(
    ("lines", "tasks", "classes"),
    [
        ("only = ['Stanford_Cars', 'MIT_Indoor_Scenes']", 2, 196 + 67),
        ("limit = 7\norder = 'shuffled'", 7, None),
        ("", 102, 5033),
    ],
)
def test_a_plan_of_the_manifest_narrows_it_down_as_a_run_does(
    tmp_path: Path, lines: str, tasks: int, classes: int | None
) -> None:
    """`only`, `order` and `limit` apply; a folder with a similar name is read as a folder."""
    file = tmp_path / "mine.toml"
    file.write_text(f"[[grid]]\nsource = 'skill-102:x'\nmethods = ['ncm']\n{lines}\n")
    (grid,) = json.loads(_run("run", file, "--dry-run", "--json")[1])["grids"]
    assert grid["tasks"] == tasks
    assert classes is None or grid["classes"] == classes
    assert _run("run", file, "--tasks", "skill-102-mine", "--dry-run")[0] == 4


def test_bytes_that_cost_nothing_are_a_document_too(tmp_path: Path) -> None:
    """An unlimited network is null, because JSON has no infinity."""
    file = tmp_path / "tasks.csv"
    file.write_text("task,teacher_macs,skill_bytes\nx,1000000,10\n")
    arguments = ("--tasks", file, "--agents", "1", "--alpha", "0")
    code, out = _run("simulate", *arguments, "--json")
    document = json.loads(out)
    assert (code, document["bandwidth_bytes_per_s"]) == (0, None)
    assert document["rows"][0]["speedup"] == 1.0
    assert (document["method"], document["alpha"]) == (None, 0)
    arguments = ("--tasks", file, "--agents", "1", "--bandwidth", "1e6")
    assert json.loads(_run("simulate", *arguments, "--json")[1])["alpha"] is None
    assert "1e+06 bytes per second" in _run("simulate", *arguments)[1]


@pytest.mark.parametrize("file", ["summary.json", "config.toml", "cells"])
def test_a_damaged_run_is_one_sentence(tiny: TinyRun, tmp_path: Path, file: str) -> None:
    """Each file that the report reads is checked."""
    run = tmp_path / "run"
    shutil.copytree(tiny.folder, run)
    path = run / file if file != "cells" else next((run / "cells").iterdir())
    if file == "config.toml":
        path.write_bytes(b"name = '\xff'")
    else:
        path.write_text(path.read_text("utf-8").replace('"seed', '"sede'), "utf-8")
    result = CliRunner().invoke(app, ["bench", "report", str(run)])
    assert result.exit_code == 8
    assert result.stderr.startswith("error: expected")
    assert len(result.stderr.splitlines()) == 1


def test_a_report_with_an_alpha_that_is_no_number_is_refused(tiny: TinyRun) -> None:
    """Infinite and undefined values are refused."""
    for alpha in ("inf", "nan"):
        assert _run("report", tiny.folder, "--alpha", alpha)[0] == 2


def test_a_simulation_is_a_table_or_a_document(tmp_path: Path) -> None:
    """Tasks from a file, agents from the command line."""
    file = tmp_path / "tasks.csv"
    file.write_text("name,classes,train\nx,10,1000\ny,5,900\n")
    code, out = _run("simulate", "--tasks", file, "--agents", "1,2", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["schema"] == "teachmesh.bench-simulation/1"
    ways = ("whole", "whole, given order", "split", "parts")
    rows = [(row["agents"], row["tasks"]) for row in document["rows"]]
    assert rows == [(agents, way) for agents in (1, 2) for way in ways]
    assert "speed-up" in _run("simulate", "--tasks", file, "--agents", "2")[1]


MISTAKEN = {
    "alpha.toml": "alpha = nan\n[[grid]]\nmethods = ['moments']\n",
    "grid.toml": "grid = [1]\n",
    "limit.toml": "[[grid]]\nmethods = ['moments']\nlimit = 0\n",
    "empty/summary.json": "{}",
    "zero.csv": "task,teacher_macs,skill_bytes\nx,0,0\n",
    "negative.csv": "task,teacher_macs,skill_bytes\nx,10,-5\n",
    "costs.csv": "task,teacher_macs,skill_bytes\nx,10,5\n",
    "huge.csv": f"task,teacher_macs,skill_bytes\nx,{10**400},5\n",
}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "paper-mni"), 2),
        (("run", "paper-mini", "--methods", "nothing"), 2),
        (("run", "paper-mini", "--seeds", "one"), 2),
        (("run", "paper-mini", "--agents", ","), 2),
        (("run", "skill-102", "--dry-run", "--speed", "0"), 2),
        (("run", "paper-mini", "--seeds", "-1"), 2),
        (("run", "paper-mini", "--agents", "0"), 2),
        (("run", "alpha.toml"), 2),
        (("run", "paper-mini", "--engine", "bogus"), 2),
        (("run", "paper-mini", "--speed", "1e12"), 2),
        (("run", "paper-mini", "--dry-run", "--workers", "2"), 2),
        (("run", "paper-mini", "--dry-run", "--out", "x"), 2),
        (("run", "paper-mini", "--dry-run", "--engine", "local"), 2),
        (("run", "grid.toml"), 2),
        (("run", "limit.toml"), 2),
        (("report", "empty"), 8),
        (("compare", "empty", "empty"), 8),
        (("simulate", "--tasks", "zero.csv"), 4),
        (("simulate", "--tasks", "negative.csv"), 4),
        (("simulate", "--tasks", "huge.csv"), 4),
        (("run", "paper-small", "--tasks", "/nowhere"), 5),
        (("run", "no.toml"), 8),
        (("report", "/nowhere"), 8),
        (("compare", "/nowhere", "/nowhere"), 8),
        (("simulate", "--agents", "many"), 2),
        (("simulate", "--agents", "0"), 2),
        (("simulate", "--agents", "inf"), 2),
        (("simulate", "--speed", "nan"), 2),
        (("simulate", "--tasks", "/nowhere.csv"), 4),
        (("simulate", "--method", "ewc"), 2),
        (("simulate", "--method", "nonsense"), 2),
        (("simulate", "--tasks", "costs.csv", "--method", "moments"), 2),
        (("simulate", "--bandwidth", "1e6", "--alpha", "5"), 2),
        (("simulate", "--replay", "run", "--agents", "2"), 2),
        (("simulate", "--replay", "run", "--speed", "-4"), 2),
    ],
)
def test_mistakes_have_the_right_exit_code(
    arguments: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence on stderr, a document with `--json`, nothing computed."""
    monkeypatch.chdir(tmp_path)
    for name, text in MISTAKEN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    result = CliRunner().invoke(app, ["bench", *arguments, "--json"])
    assert result.exit_code == code
    document = json.loads(result.stdout)
    assert (document["schema"], document["exit_code"]) == ("teachmesh.error/1", code)
    assert result.stderr.startswith("error: expected") or "could not read" in result.stderr
