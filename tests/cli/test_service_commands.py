"""The systemd unit and the container run `teachmesh up` with options that exist."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from teachmesh.cli import service_commands
from teachmesh.cli.main import app
from teachmesh.cli.systemd_unit import quoted
from tests.cli.test_commands import run, run_json

ROOT = Path(__file__).parents[2]
HOSTILE = "50% $HOME \"a\" 'b' \\c é"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a user whose machine has no systemd."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(service_commands.shutil, "which", lambda _name: None)
    return tmp_path / "config" / "systemd" / "user" / "teachmesh.service"


def parsed(text: str) -> configparser.ConfigParser:
    """Read a unit."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


def words(command: str) -> list[str]:
    """Read a command line as systemd does: quotes and backslashes, then `%%` and `$$`."""
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(command)]


def test_the_unit_runs_up_with_absolute_paths_and_is_hardened(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option arrives as it was given, also names with marks that systemd expands."""
    monkeypatch.chdir(tmp_path)
    options = ["--listen", "tcp/0.0.0.0:7447", "--join", "tcp/a:1", "--join", "tcp/b:1"]
    home = ["--home", str(tmp_path / HOSTILE)]
    text = run("service", "print", *options, *home, "--learn", "photos/screws").stdout
    service = parsed(text)["Service"]
    command = words(service["ExecStart"])
    assert command[:4] == [sys.executable, "-m", "teachmesh", "up"]
    assert command[4:] == [*home, *options, "--learn", str(tmp_path / "photos" / "screws")]
    group: Any = typer.main.get_command(app)
    known = group.get_command(typer.Context(group), "up").params
    names = {name for parameter in known for name in parameter.opts}
    assert {word for word in command[4:] if word.startswith("--")} <= names
    assert service["NoNewPrivileges"] == "yes"
    assert service["Restart"] == "on-failure"
    assert 3 < int(service["TimeoutStopSec"]) < 10
    assert parsed(text)["Install"]["WantedBy"] == "default.target"
    assert not config.exists()
    assert run_json("service", "print", *options, *home)["path"] == str(config)


def test_the_unit_has_further_options_of_up(config: Path) -> None:
    """They are checked now; `--learn` stays a path of this folder."""
    further = ["--name", "box-1", "--policy", "ask", "--no-web", "--allow-few"]
    text = run("service", "print", "--join", "tcp/a:1", "--", *further).stdout
    command = words(parsed(text)["Service"]["ExecStart"])
    assert command[-8:] == ["--join", "tcp/a:1", *further]
    assert not config.exists()
    for wrong in (["--nane", "box-1"], ["--web-port", "many"], ["word"], ["--learn", "photos"]):
        assert wrong[0] in run("service", "install", "--", *wrong, code=2).stderr
        assert not config.exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds no unknown setting, also with a home of an odd name."""
    unit = tmp_path / "teachmesh.service"
    unit.write_text(run("service", "print", "--home", str(tmp_path / HOSTILE)).stdout)
    verify = ["systemd-analyze", "--user", "verify", "--man=no", str(unit)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}  # none without a login

    def complaints() -> str:
        done = subprocess.run(verify, capture_output=True, text=True, check=False, env=environment)
        return done.stderr + ("failed" if done.returncode else "")

    assert complaints() == ""
    unit.write_text(unit.read_text().replace("UMask", "UMusk"))
    assert "UMusk" in complaints()


def test_install_and_remove_leave_the_rest_of_the_settings_alone(config: Path) -> None:
    """Without systemd the unit is written, and the remark names the command for later."""
    result = run("service", "install", "--listen", "tcp/0.0.0.0:7447")
    assert config.read_text() == run("service", "print", "--listen", "tcp/0.0.0.0:7447").stdout
    assert "no systemctl" in result.stderr
    assert "systemctl --user daemon-reload" in result.stderr
    other = config.with_name("other.service")
    other.write_text("")
    assert run_json("service", "remove")["action"] == "removed"
    assert list(config.parent.iterdir()) == [other]
    assert "not installed" in run("service", "remove", code=8).stderr


def test_systemd_is_told_of_the_unit(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`systemctl --user` is called in this order; its error is a remark."""
    fake, calls = tmp_path / "systemctl", tmp_path / "calls"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    fake.chmod(0o755)
    monkeypatch.setattr(service_commands.shutil, "which", lambda _name: str(fake))
    assert run_json("service", "install")["problem"] is None
    run("service", "remove")
    assert calls.read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable --now teachmesh.service",
        "--user disable --now teachmesh.service",
        "--user daemon-reload",
    ]
    fake.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n")
    result = run("service", "install")
    assert "Failed to connect to bus" in result.stderr
    assert config.exists()


def test_a_word_that_no_unit_can_hold_is_refused() -> None:
    """A line break would begin another setting."""
    assert "control characters" in run("service", "print", "--join", "a\nUser=root", code=2).stderr
    assert quoted("") == '""'


def test_the_container_starts_a_command_that_exists() -> None:
    """Its entry point, its options, its user and the copied files exist."""
    lines = (ROOT / "Containerfile").read_text().splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    by_name = {step[0]: step[1] for step in steps}
    assert steps[0][0] == "FROM"
    assert set(by_name) <= {
        *("FROM", "COPY", "RUN", "USER", "ENV", "VOLUME"),
        *("EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"),
    }
    for name, value in steps:
        if name == "COPY":
            assert all((ROOT / source).exists() for source in value.split()[:-1])
    project = (ROOT / "pyproject.toml").read_text()
    (program,) = json.loads(by_name["ENTRYPOINT"])
    assert re.search(rf'^{program} = "', project, flags=re.MULTILINE)
    command, *options = json.loads(by_name["CMD"])
    help_text = run(command, "--help").stdout
    assert [o for o in options if o.startswith("--") and o not in help_text] == []
    assert by_name["USER"] == "agent"
    assert by_name["VOLUME"] in by_name["ENV"]
    assert by_name["VOLUME"].startswith("/home/agent/")
