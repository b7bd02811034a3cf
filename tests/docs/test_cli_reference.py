"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

from teachmesh_lab.cli.cli_reference import reference

CLI_PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_of_commands_is_up_to_date() -> None:
    """Whoever changes an option runs `make docs`."""
    assert CLI_PAGE.read_text("utf-8") == reference()
