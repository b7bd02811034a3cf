"""docs/api.md is made from the docstrings of the public names."""

from __future__ import annotations

from pathlib import Path

import teachmesh
from teachmesh_lab.cli.api_reference import public_members, reference

API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_page_of_the_python_api_is_up_to_date() -> None:
    """Whoever changes a public docstring or signature runs `make docs`."""
    assert API_PAGE.read_text("utf-8") == reference()


def test_every_public_name_and_method_is_on_the_page() -> None:
    """Nothing public is undocumented; methods of base classes are those of the agent too."""
    page = reference()
    for name in teachmesh.__all__:
        assert name == "__version__" or f"## {name}\n" in page or f"- `{name}`:" in page, name
    members = {name for name, _ in public_members(teachmesh.Agent)}
    assert {"learn", "predict", "predict_one", "latents", "skills", "share", "match"} <= members
    assert {"combine", "export", "evaluate", "receive", "status"} <= members
