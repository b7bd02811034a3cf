"""The agent's folder, key and settings."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from teachmesh.bank.home import Config, Home, resolve_home
from teachmesh.bank.home_place import home_path
from teachmesh.errors import ConfigError, StorageError
from teachmesh.packet.signing import default_alias
from tests.bank.processes import start
from tests.packet.sample_skills import ALICE

LOAD_KEY = """
import sys
from pathlib import Path
from teachmesh.bank.home import load_or_create_key
print("ready", flush=True)
sys.stdin.readline()
print(load_or_create_key(Path(sys.argv[1])).public_key)
"""


def test_the_option_comes_before_the_variable_before_the_system(tmp_path: Path) -> None:
    """--home, then TEACHMESH_HOME, then the folder for user data."""
    variables = {"TEACHMESH_HOME": str(tmp_path / "variable")}

    assert home_path(tmp_path / "option", variables) == tmp_path / "option"
    assert home_path(None, variables) == tmp_path / "variable"
    assert home_path("", {"TEACHMESH_HOME": ""}).name == "teachmesh"
    assert home_path("~/agent", {}) == Path.home() / "agent"
    assert home_path("agent", {}).is_absolute()


def test_opening_a_home_makes_its_folders(tmp_path: Path) -> None:
    """`resolve_home` makes folders only."""
    home = resolve_home(tmp_path / "a" / "b")

    assert sorted(path.name for path in home.path.iterdir()) == ["backbones", "bank", "cache"]
    assert Home(home.path, create=False).bank.is_dir()
    assert not Home(tmp_path / "other", create=False).path.exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_only_the_owner_can_look_into_a_home(tmp_path: Path) -> None:
    """Folders 0700, key 0600."""
    home = Home(tmp_path / "home")
    home.load_key()

    for path in (home.path, home.bank, home.backbones, home.cache):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_key_that_others_could_read_is_closed(tmp_path: Path) -> None:
    """A copied key often comes with 0644."""
    home = Home(tmp_path / "home")
    home.key_file.write_bytes(ALICE.to_bytes())
    home.key_file.chmod(0o644)

    assert home.load_key() == ALICE
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600


def test_an_agent_keeps_its_key(tmp_path: Path) -> None:
    """The key is made at the first call and read at later ones."""
    home = Home(tmp_path / "home")
    key = home.load_key()

    assert Home(home.path).load_key() == key
    assert Home(tmp_path / "other").load_key() != key


def test_processes_that_race_get_one_key(tmp_path: Path) -> None:
    """Three processes start at once; one makes the key and all use it."""
    path = Home(tmp_path / "home").key_file
    racers = [start(["-c", LOAD_KEY, str(path)]) for _ in range(3)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    keys = {racer.communicate(timeout=100)[0].strip() for racer in racers}

    assert keys == {Home(tmp_path / "home").load_key().public_key}


@pytest.mark.parametrize("data", [b"", b"junk", ALICE.to_bytes()[:-40]])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, data: bytes) -> None:
    """A new key would be another agent, so the error gives the remedy."""
    home = Home(tmp_path / "home")
    home.key_file.write_bytes(data)

    with pytest.raises(StorageError, match="restore it from a backup"):
        home.load_key()
    assert home.key_file.read_bytes() == data


def test_the_alias_comes_from_the_settings_or_the_key(tmp_path: Path) -> None:
    """Never from the machine's or the user's name."""
    home = Home(tmp_path / "home")

    assert home.alias(ALICE) == default_alias(ALICE.public_key)
    home.save_config(Config(alias="alice"))
    assert home.alias(ALICE) == "alice"


def test_settings_survive_their_file(tmp_path: Path) -> None:
    """Settings are the defaults without a file, and the saved values with one."""
    home = Home(tmp_path / "home")
    config = Config(alias="Ωmega", backbone="mobilenetv2_100", method="maha")

    assert home.config == Config() == Config(None, "embedded", "moments")
    home.save_config(config)
    assert home.config == config
    assert json.loads(home.config_file.read_text(encoding="utf-8"))["alias"] == "Ωmega"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"methd": "maha"}', "did you mean 'method'"),
        ('{"backbon": "x"}', "did you mean 'backbone'"),
        ('{"zzz": 1}', "unknown setting 'zzz'"),
        ('{"method": 3}', "expected text"),
        ('{"method": null}', "expected text"),
        ('{"schema": "teachmesh.config/9"}', "teachmesh.config/1"),
        ('{"alias": "a\\u001b[31m"}', "alias"),
        ("[]", "JSON object"),
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[" * 20_000, "not JSON"),
        ("\xff", "not JSON"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    """Bad input 96: exit code 3, the file's name, the nearest known word."""
    home = Home(tmp_path / "home")
    home.config_file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ConfigError, match=r"config\.json") as error:
        _ = home.config
    assert expected in str(error.value)
    assert error.value.exit_code == 3
    assert "\x1b" not in str(error.value)


def test_an_alias_that_is_no_name_is_not_saved(tmp_path: Path) -> None:
    """Every card with such an alias would be refused."""
    home = Home(tmp_path / "home")

    with pytest.raises(ConfigError):
        home.save_config(Config(alias="a/b"))
    assert not home.config_file.exists()
