"""A small demo: two agents learn, one is killed, a third joins late, and all end equal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teachmesh.errors import DataError, UsageError
from teachmesh_lab.demo.run_demo import DemoOptions, run_demo
from teachmesh_lab.evaluation.evaluation_report import write_report

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("forked_programs")


def test_agents_end_equal_although_one_was_killed_and_one_was_late(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """The document comes from real processes on a real network."""
    assert warm.parent == cold.parent
    options = DemoOptions(
        tasks=warm.parent, agents=2, home=tmp_path / "home", report=tmp_path / "report.html"
    )
    document = run_demo(options, log=lambda text: None)
    assert document["schema"] == "teachmesh.demo/1"
    assert document["digests_equal"] is True
    assert document["predictions_equal"] is True
    assert [agent["skills"] for agent in document["agents"]] == [2, 2, 2]
    assert [agent["killed"] for agent in document["agents"]] == [True, False, False]
    assert [agent["late"] for agent in document["agents"]] == [False, False, True]
    assert len({agent["id"] for agent in document["agents"]}) == 3
    assert {task["author"] for task in document["tasks"]} == {"alice", "bob"}
    assert document["bytes_sent"] > 2 * 10_000
    json.dumps(document, allow_nan=False)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http-equiv", "")


def test_fewer_tasks_than_agents_raise_a_clear_error(tmp_path: Path, warm: Path) -> None:
    """No agent is started."""
    options = DemoOptions(tasks=warm.parent, agents=3, home=tmp_path / "home")
    with pytest.raises(DataError, match="at least one task per agent"):
        run_demo(options, log=lambda text: None)


def test_names_are_escaped_in_the_report(tmp_path: Path) -> None:
    """A task named like a script tag or a formula is shown as text."""
    name = "<script>alert(1)</script> $x_{"
    score = {"mapper": 1.0, "oracle": 1.0, "final": 1.0, "direct": None, "skill_bytes": 10}
    document = {
        "schema": "teachmesh.evaluate/1",
        "method": "gmmc",
        "backbone": "embedded",
        "tasks": [{"name": name, "classes": 2, "test_images": 3, **score}],
        "mean": score,
    }
    page = write_report(document, tmp_path / "r.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    with pytest.raises(UsageError, match="schema"):
        write_report({"schema": "other"}, tmp_path / "r.html")
