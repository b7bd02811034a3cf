"""Write the public names of teachmesh with their docstrings to a Markdown file, docs/api.md.

python -m teachmesh_lab.cli.api_reference FILE
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import teachmesh

TITLE = """# Python API

Written by `make docs` from the docstrings; do not edit. All names are imported from `teachmesh`.
The tests run all examples.

## In short

- `Agent` does what the commands do: `learn`, `predict`, `evaluate`, `match`, `combine`, `export`
  and `share`.
- `predict_one` returns one `Prediction`, `predict` returns a list of them.
- Every error is a `TeachmeshError`; the tree of its subclasses is under [Errors](#errors).
- Several threads may use one agent.
- The log is `logging.getLogger("teachmesh")`; the library prints nothing.
"""
WIDTH = 118
INTERNAL = re.findall(
    r"\w+",
    "embed describe refine sync set_aside second_pass unchanged updates usable_id skill_given "
    "check_task source_skills embed_task teacher metric latent_sizes sources active_infos "
    "sources_for admission catalogue lock learning variant lesson constants method run of save "
    "own_author find_entry",
)
"""Members for other modules of teachmesh, which programs need not call."""


def reference() -> str:
    """Return the page."""
    names = [name for name in teachmesh.__all__ if inspect.isclass(getattr(teachmesh, name))]
    errors = [name for name in names if issubclass(getattr(teachmesh, name), Exception)]
    parts = [_class(name) for name in names if name not in errors]
    return f"{TITLE}\n{''.join(parts)}{_errors(errors)}".rstrip() + "\n"


def _errors(names: list[str]) -> str:
    module = inspect.getmodule(teachmesh.TeachmeshError)
    tree = textwrap.dedent((inspect.getdoc(module) or "").split("\n\n")[1])
    lines = [
        f"- `{name}`: {(inspect.getdoc(getattr(teachmesh, name)) or '').splitlines()[0]}"
        for name in sorted(names, key=lambda name: (name != "TeachmeshError", name))
    ]
    return f"## Errors\n\n```text\n{tree}\n```\n\n" + "\n".join(lines) + "\n"


def _class(name: str) -> str:
    kind = getattr(teachmesh, name)
    about = markdown(inspect.getdoc(kind) or "")
    parts = [f"## {name}\n\n{about}\n"]
    for member, thing in public_members(kind):
        text = markdown(inspect.getdoc(thing) or "")
        if not isinstance(thing, property | cached_property):
            text = f"```python\n{signature(member, thing)}\n```\n\n{text}"
        parts.append(f"### {name}.{member}\n\n{text}\n")
    return "\n".join(parts) + "\n"


def public_members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the documented methods and properties of a class, those of base classes first.

    Args:
        kind: a public class; members that are in `INTERNAL` are left out.
    """
    found: dict[str, Any] = {}
    for base in reversed([one for one in kind.__mro__ if one.__module__.startswith("teachmesh")]):
        found |= {
            name: value
            for name, value in vars(base).items()
            if not name.startswith("_") and name not in INTERNAL and _is_documented(value)
        }
    yield from found.items()


def _is_documented(value: Any) -> bool:
    is_member = inspect.isfunction(value) or isinstance(value, property | cached_property)
    return is_member and bool(value.__doc__)


def signature(name: str, function: Any) -> str:
    """Return the signature of a method as it is called, one argument a line if it is long.

    Args:
        name: name of the method.
        function: the method, whose annotations are texts.

    Examples:
        >>> signature("digest", teachmesh.Agent.digest)
        'digest() -> str'
    """
    found = inspect.signature(function)
    own = [p for p in found.parameters.values() if p.name != "self"]
    parameters = [str(p).replace("'", "") for p in own]
    keywords = [i for i, p in enumerate(own) if p.kind is p.KEYWORD_ONLY]
    if keywords:
        parameters.insert(keywords[0], "*")
    returns = str(found.return_annotation).replace("'", "")
    line = f"{name}({', '.join(parameters)}) -> {returns}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n    " + ",\n    ".join(parameters) + f",\n) -> {returns}"


def markdown(docstring: str) -> str:
    """Convert a docstring in Google style to Markdown: sections are lists, examples are code.

    Args:
        docstring: the docstring without indentation.

    Examples:
        >>> print(markdown(chr(10).join(["Do it.", "Args:", "    n: number", "        of it."])))
        Do it.
        <BLANKLINE>
        Args:
        <BLANKLINE>
        - `n`: number of it.
    """
    text, *rest = re.split(r"(?m)^(Args|Attributes|Returns|Raises|Yields|Examples):$", docstring)
    sections = zip(rest[::2], rest[1::2], strict=True)
    return "\n\n".join([text.strip(), *(_section(*section) for section in sections)])


def _section(name: str, body: str) -> str:
    lines = inspect.cleandoc(body)
    if name == "Examples":
        shown = f"```python\n{lines}\n```"
    elif name in ("Returns", "Yields"):
        shown = lines
    else:
        entries = re.split(r"\n(?=\S)", lines)
        shown = "\n".join(_entry(" ".join(entry.split())) for entry in entries)
    return f"{name}:\n\n{shown}"


def _entry(text: str) -> str:
    name, _, meaning = text.partition(": ")
    line = f"- `{name}`: {meaning}"
    return textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def main() -> None:
    """Write the page to the file named on the command line."""
    os.umask(0o022)
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
