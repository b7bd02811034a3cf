"""Tests of the extra `web` are not collected where its packages are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.conftest import write_task

if TYPE_CHECKING:
    from tests.web.web_agents import Caller

if find_spec("fastapi") is None or find_spec("httpx") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """An agent with small limits that learned `warm` over HTTP."""
    from tests.web.web_agents import SMALL, pictures, served

    folder = tmp_path_factory.mktemp("web")
    write_task(folder, "warm")
    with served(folder / "home", limits=SMALL) as found:
        assert found.learn(pictures(folder / "warm"), name="warm")["state"] == "done"
        yield found
