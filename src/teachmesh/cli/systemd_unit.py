"""Text of the systemd unit of a user's agent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from teachmesh.errors import UsageError

UNIT = "teachmesh.service"
_TEMPLATE = """\
# Written by `teachmesh service install`; remove it with `teachmesh service remove`.
[Unit]
Description=teachmesh agent
Documentation=man:systemd.service(5)
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Environment=PYTHONUNBUFFERED=1
Restart=on-failure
RestartSec=5
# 130: ended while it learned a task
SuccessExitStatus=130
TimeoutStopSec=5
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
Nice=5

[Install]
WantedBy=default.target
"""


def unit_text(program: Sequence[str], options: Sequence[str]) -> str:
    """Return the unit that runs an agent.

    Args:
        program: command that starts teachmesh, with an absolute path.
        options: options of `teachmesh up`.

    Raises:
        UsageError: an option has a line break, which a unit cannot hold.
    """
    words = [*program, "up", *options]
    return _TEMPLATE.format(command=" ".join(map(quoted, words)))


def quoted(word: str) -> str:
    """Return a word as systemd reads it back: without expansion of `%`, `$` and blanks.

    >>> quoted("/home/me/my photos"), quoted("100%"), quoted("tcp/0.0.0.0:7447")
    ('"/home/me/my photos"', '"100%%"', 'tcp/0.0.0.0:7447')
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in word):
        raise UsageError(f"expected options without control characters, got {word!r}")
    if word and all(c.isascii() and (c.isalnum() or c in "-_./:,=+@") for c in word):
        return word
    for mark, shown in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(mark, shown)
    return f'"{word}"'


def unit_path(config: Path) -> Path:
    """Return the path of the unit.

    Args:
        config: folder of the user's settings, such as `~/.config`.
    """
    return config / "systemd" / "user" / UNIT
