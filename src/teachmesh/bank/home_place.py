"""The place of an agent's home; imports nothing that is slow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

HOME_VARIABLE = "TEACHMESH_HOME"


def home_path(option: str | Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """Return the path of the agent's home; nothing is created.

    Args:
        option: value of `--home`, or None.
        environment: environment variables; by default, the environment of this process.

    Returns:
        The option if given, otherwise TEACHMESH_HOME if set, otherwise the user's data folder.
    """
    variables = os.environ if environment is None else environment
    chosen = option or variables.get(HOME_VARIABLE)
    if not chosen:
        from platformdirs import user_data_dir

        chosen = user_data_dir("teachmesh", appauthor=False)
    return Path(chosen).expanduser().absolute()
