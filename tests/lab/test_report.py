"""The page of a result: one offline file in which names from outside are escaped."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teachmesh.errors import MissingExtraError, UsageError
from teachmesh_lab.evaluation.class_level import SeedAnswers, class_level
from teachmesh_lab.evaluation.evaluation_report import write_report
from teachmesh_lab.evaluation.image_answers import ImageAnswers

pytest.importorskip("matplotlib")

EVIL = "<script>alert('x')</script> $x^2$ \" & \u82b1"


def demo_result() -> dict[str, Any]:
    """Return a small result of the demo with names that look like markup and formulas."""
    return {
        "schema": "teachmesh.demo/1",
        "agents": [
            {
                "id": "AAAA-BBBB",
                "alias": EVIL,
                "skills": 2,
                "digest": "ab" * 32,
                "late": False,
                "killed": True,
            }
        ],
        "tasks": [
            {"name": EVIL, "author": EVIL, "mapper": 1.0, "oracle": 0.5, "final": 0.25},
            {"name": "plain", "author": "bob", "mapper": 0.0, "oracle": 1.0, "final": 0.0},
        ],
        "digests_equal": True,
        "predictions_equal": False,
        "test_images": 8,
        "confusion": [[4, 0], [4, 0]],
        "bytes_sent": 1_500_000,
        "learn_s": 10.0,
        "alone_s": 20.0,
        "busiest_learning_s": 4.0,
        "alone_learning_s": 12.0,
        "wall_s": 60.0,
    }


def evaluation(direct: float | None) -> dict[str, Any]:
    """Return a small result of an evaluation."""
    scores = {"mapper": 0.9, "oracle": 0.8, "final": 0.7, "direct": direct, "skill_bytes": 1234}
    return {
        "schema": "teachmesh.evaluate/1",
        "method": "gmmc",
        "backbone": EVIL,
        "tasks": [{"name": EVIL, "classes": 3, "test_images": 5, **scores}],
        "mean": scores,
    }


def with_class_level() -> dict[str, Any]:
    """Return an evaluation with its class level and origin, and one mistake with a picture."""
    labels, answered = np.array([0, 1, 2]), np.array([0, 1, 1])
    sure = np.full(3, 0.9, dtype=np.float32)
    own = ImageAnswers(labels, labels == answered, np.zeros(3, dtype=np.int64), answered, sure)
    seed = SeedAnswers([EVIL], [["a", EVIL, "c"]], [own])
    level = class_level(seed, [{"task": 0, "row": 2, "picture": "AAAA"}])
    origin = {"command": "teachmesh evaluate", "date": "2026-11-30", "processor": EVIL}
    return evaluation(0.6) | {"class_level": level, "origin": origin}


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href"}]


@pytest.mark.parametrize(
    "result", [demo_result(), evaluation(0.6), evaluation(None), with_class_level()]
)
def test_the_page_needs_no_network_and_runs_nothing(result: dict[str, Any], tmp_path: Path) -> None:
    """The page has no script, and all its links point into the page itself."""
    page = write_report(result, tmp_path / "report.html").read_text(encoding="utf-8")
    parsed = _Tags(page)
    assert "script" not in parsed.tags
    assert "http" not in page
    assert all(link.startswith(("data:", "#")) for link in parsed.links)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", page)


def test_names_from_peers_are_shown_and_not_read_as_markup(tmp_path: Path) -> None:
    """A task named like a script is shown as text, and dollar signs do not break plots."""
    page = write_report(demo_result(), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_page_shows_the_class_level_and_where_it_comes_from(tmp_path: Path) -> None:
    """Classes, calibration, pictures of mistakes, date and command are on the page."""
    page = write_report(with_class_level(), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Expected calibration error: 0.233" in page
    assert page.count("src='data:image/jpeg;base64,AAAA'") == 1
    assert "answered as" in page
    assert "teachmesh evaluate (2026-11-30)" in page
    assert "<script>alert" not in page


def test_the_page_names_an_unusual_engine(tmp_path: Path) -> None:
    """Torch with float32 is not named."""
    ways = {"engine": "openvino", "dtype": "bf16"}
    for name, document in (("evaluate", evaluation(0.6)), ("demo", demo_result())):
        usual = write_report(document, tmp_path / f"{name}.html").read_text(encoding="utf-8")
        other = write_report(document | ways, tmp_path / "other.html").read_text(encoding="utf-8")
        assert "engine openvino with bf16, " in other
        assert "engine" not in usual


def test_the_page_names_the_images_that_were_classified(tmp_path: Path) -> None:
    """A person who chooses with validation images must not take them for test images."""
    for images in ("test", "validation"):
        document = evaluation(0.6) | {"images": images}
        page = write_report(document, tmp_path / f"{images}.html").read_text(encoding="utf-8")
        assert [word for word in ("test", "validation") if f"{word} images" in page] == [images]


def test_the_page_says_what_is_not_equal(tmp_path: Path) -> None:
    """A failed promise is marked on the page."""
    page = write_report(demo_result(), tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("class='yes'") == 1
    assert page.count("class='no'") == 1


def test_a_method_without_direct_scores_has_no_column_for_them(tmp_path: Path) -> None:
    """None is left out instead of being shown as zero."""
    without = write_report(evaluation(None), tmp_path / "a.html").read_text(encoding="utf-8")
    with_it = write_report(evaluation(0.6), tmp_path / "b.html").read_text(encoding="utf-8")
    assert "<th>direct</th>" not in without
    assert "<th>direct</th>" in with_it


def test_the_same_result_writes_the_same_page(tmp_path: Path) -> None:
    """Plots contain no date and no random name."""
    one = write_report(demo_result(), tmp_path / "a.html").read_bytes()
    assert write_report(demo_result(), tmp_path / "b.html").read_bytes() == one


def test_another_document_is_refused(tmp_path: Path) -> None:
    """The message has the schema of the document."""
    with pytest.raises(UsageError, match=r"teachmesh\.status/1"):
        write_report({"schema": "teachmesh.status/1"}, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None in `sys.modules` makes Python refuse the import."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"teachmesh\[bench\]"):
        write_report(demo_result(), tmp_path / "a.html")


@pytest.mark.parametrize("n_tasks", [1, 2, 12])
def test_plots_have_room_for_few_and_many_tasks_with_long_names(
    n_tasks: int, tmp_path: Path
) -> None:
    """Warnings are errors here, so matplotlib must find space for every label."""
    result = demo_result()
    scores = {"author": "bob", "mapper": 1.0, "oracle": 0.5, "final": 0.25}
    result["tasks"] = [{"name": f"{i} {'W' * 120}", **scores} for i in range(n_tasks)]
    result["confusion"] = [[1] * n_tasks] * n_tasks
    page = write_report(result, tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
