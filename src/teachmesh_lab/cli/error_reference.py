"""Write the page of exit codes and errors to a Markdown file such as `docs/errors.md`.

python -m teachmesh_lab.cli.error_reference FILE
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from teachmesh.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_SKIPPED, RefusalReason, TeachmeshError

TITLE = """# Exit codes and errors

Written by `make docs` from the code; do not edit. This page lists all exit codes of the command
line, the errors of the Python package, and the reasons for which a skill is refused.

## In short

- Code 0 is success, 9 means that some items were skipped, and all others are errors.
- A message has three parts: what was expected, what came, what to do.
- With `--json`, errors are JSON documents too, with the same code.

"""
REMEDIES = {
    "TeachmeshError": "read the message",
    "UsageError": "see `--help` of the command",
    "ConfigError": "run `teachmesh doctor`",
    "DeviceError": "choose another `--device`",
    "MissingExtraError": "install the extra that the message names",
    "DataError": "look at the file that the message names; see [own photos](own_photos.md)",
    "UnknownSkillError": "run `teachmesh skills list`",
    "BackboneError": "run `teachmesh backbone list`; see [backbones](choose_backbone.md)",
    "SkillRefused": "see the reasons below",
    "SkillDeferred": "wait; the skill is fetched again",
    "NetworkError": "check the address and the firewall, and that the other agent runs",
    "StorageError": "free disk space or mend permissions; then run `teachmesh check`",
}
"""Error class -> remedy."""
REASONS: dict[RefusalReason, tuple[str, str]] = {
    "FORMAT": ("the file is cut off, damaged or no skill", "copy it again"),
    "LIMIT": ("a size or a number is above its limit", "see [limits](trust_limits.md#limits)"),
    "SCHEMA": ("card or tensors lack a part or have one too many", "ask the author to update"),
    "NAME": ("a name has characters that could deceive", "ask the author to rename it"),
    "VALUE": ("a number is not finite, or out of its range", "ask the author to learn it again"),
    "HASH": ("the bytes do not have the hash that names them", "copy it again"),
    "SIGNATURE": ("the signature is not the author's", "delete it: somebody changed it"),
    "BACKBONE": ("the skill belongs to another backbone", "see [backbones](choose_backbone.md)"),
    "VERSION": ("the format is older or newer than this program", "update, or learn it again"),
    "AUTHOR": ("the author may not do this to the skill", "ask the skill's author"),
    "WITHDRAWN": ("the author has withdrawn the skill", "nothing"),
    "BLOCKED": (
        "this agent blocks the author",
        "`teachmesh peers unblock` if you trust the author",
    ),
    "STRANGER": ("the policy admits trusted authors only", "`teachmesh peers trust`"),
}
"""Reason -> meaning and remedy."""


def reference() -> str:
    """Return exit codes, errors and reasons, as Markdown."""
    return TITLE + "\n".join([*_exit_codes(), "", *_errors(), "", *_reasons(), ""])


def error_classes(base: type[TeachmeshError] = TeachmeshError) -> Iterator[type[TeachmeshError]]:
    """Yield an error class and its subclasses in this package, depth first.

    Examples:
        >>> [error.__name__ for error in error_classes()][:3]
        ['TeachmeshError', 'UsageError', 'ConfigError']
    """
    yield base
    for error in base.__subclasses__():
        if error.__module__ == TeachmeshError.__module__:
            yield from error_classes(error)


def _exit_codes() -> Iterator[str]:
    yield from ("## Exit codes", "", "| code | meaning |", "|---|---|")
    meanings = {EXIT_OK: "success", EXIT_SKIPPED: "finished, but some items were skipped"}
    for error in error_classes():
        names = meanings.get(error.exit_code, "").split(", ")
        meanings[error.exit_code] = ", ".join(filter(None, [*names, f"`{error.__name__}`"]))
    meanings[EXIT_INTERRUPTED] = "interrupted by Ctrl-C"
    yield from (f"| {code} | {meanings[code]} |" for code in sorted(meanings))


def _errors() -> Iterator[str]:
    yield from ("## Errors", "", "| class | code | meaning | remedy |", "|---|---|---|---|")
    for error in error_classes():
        meaning = (error.__doc__ or "").splitlines()[0].rstrip(".")
        name = error.__name__
        yield f"| `{name}` | {error.exit_code} | {meaning} | {REMEDIES[name]} |"


def _reasons() -> Iterator[str]:
    yield from ("## Reasons for which a skill is refused", "")
    yield from ("| reason | meaning | remedy |", "|---|---|---|")
    yield from (f"| `{reason}` | {text} | {do} |" for reason, (text, do) in REASONS.items())


def main() -> None:
    """Write the reference to the file named on the command line."""
    os.umask(0o022)
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
