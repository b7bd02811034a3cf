"""docs/configuration.md lists each setting, variable and file of a home that the code has."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from teachmesh.bank import home
from teachmesh.bank.home import CONFIG_SCHEMA, SHARE, Config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
CODE = [path.read_text("utf-8") for path in sorted((ROOT / "src").rglob("*.py"))]


def rows(heading: str) -> dict[str, str]:
    """Return the rows of the table under a heading, by the text of their first cell."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (`.+?) \| (.+) \|$", part, flags=re.MULTILINE))


def test_each_setting_is_listed_with_its_default() -> None:
    """Also the values of `share`."""
    found = rows("Settings of the home")
    names = [field.name for field in dataclasses.fields(Config)]
    assert list(found) == [f"`{name}`" for name in (*names, "schema")]
    for field in dataclasses.fields(Config):
        if field.default is not None:
            assert found[f"`{field.name}`"].startswith(f"`{field.default}` |")
    assert ", ".join(f"`{value}`" for value in SHARE) in found["`share`"]
    assert CONFIG_SCHEMA in found["`schema`"]


def test_each_variable_is_listed_and_used() -> None:
    """All names with our prefix; other names are read by the code or by its packages."""
    found = {name for cell in rows("Environment") for name in re.findall(r"`(\w+)`", cell)}
    ours = {name for text in CODE for name in re.findall(r'"(TEACHMESH_[A-Z_]+)"', text)}
    assert ours == {name for name in found if name.startswith("TEACHMESH_")}


def test_each_file_of_the_home_is_listed() -> None:
    """Those that the description of the home names, and all other files that the code names."""
    found = {name for cell in rows("Files of the home") for name in re.findall(r"`(\S+)`", cell)}
    named = set(re.findall(r"`([a-z.]+(?:json|lock|key|pem)|[a-z]+/)`", home.__doc__ or ""))
    assert len(named) > 8
    assert named <= found
    for name in found:
        stem = name.rstrip("/").removesuffix(".lock")
        assert any(f'"{stem}"' in text or f'"{stem}.' in text for text in CODE), name
