"""Run teachmesh with the core's packages only: an import of any other installed one fails.

`python only_core.py REFUSED.json ARGUMENT ...` is `teachmesh ARGUMENT ...`. The file lists the
names of the modules that belong to extras. `and` starts another command, unless one has failed.
"""

from __future__ import annotations

import json
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path

AND = "and"


class Refuse(MetaPathFinder):
    """Refuse modules as if they were not installed."""

    def __init__(self, names: list[str]) -> None:
        self.names = frozenset(names)

    def find_spec(self, name: str, *_more: object) -> ModuleSpec | None:
        """Raise for a refused module; leave the others to Python."""
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, Refuse(json.loads(Path(sys.argv[1]).read_text())))
    from teachmesh.__main__ import run

    commands: list[list[str]] = [[]]
    for argument in sys.argv[2:]:
        if argument == AND:
            commands.append([])
        else:
            commands[-1].append(argument)
    for command in commands:
        sys.argv[:] = ["teachmesh", *command]
        try:
            run()
        except SystemExit as ended:
            if ended.code or command is commands[-1]:
                raise
