"""The folder of an agent, its settings and its key.

- `agent.key`: the Ed25519 key, 0600.
- `config.json`: alias, default backbone and default method; written on request only.
- `bank/`: the skills.
- `backbones/`: side-loaded backbones.
- `cache/`: latents; may be deleted at any time.
- `running.json`: state of the process that shares, while it runs.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import FILE_OPS, FileOps, storage_errors, write_atomic
from teachmesh.data.names import check_name, did_you_mean, shown
from teachmesh.errors import ConfigError, DataError, StorageError
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.signing import AgentKey, default_alias

HOME_VARIABLE = "TEACHMESH_HOME"
CONFIG_SCHEMA = "teachmesh.config/1"
_CONFIG_BYTES = 64 * 1024
_LOCK_TIMEOUT_S = 10.0
_OWNER_ONLY = 0o600
_OTHERS = 0o077


def home_path(option: str | Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """Return the path of the agent's home; nothing is created.

    Args:
        option: value of `--home`, or None.
        environment: variables to use; None for the process's own.

    Returns:
        The option, else TEACHMESH_HOME, else the system's folder for user data.
    """
    variables = os.environ if environment is None else environment
    chosen = option or variables.get(HOME_VARIABLE)
    if not chosen:
        from platformdirs import user_data_dir

        chosen = user_data_dir("teachmesh", appauthor=False)
    return Path(chosen).expanduser().absolute()


def resolve_home(option: str | Path | None, environment: Mapping[str, str] | None = None) -> Home:
    """Open the home at the path of `home_path`; missing folders are made.

    Raises:
        StorageError: the folders cannot be made.
    """
    return Home(home_path(option, environment))


class Home:
    """An agent's folder; missing folders are made, for its owner only.

    Args:
        path: the folder, from `home_path`.
        create: whether to make the missing folders.
        ops: the operations that change the disk.

    Raises:
        StorageError: the folders cannot be made.
    """

    def __init__(self, path: Path, create: bool = True, *, ops: FileOps = FILE_OPS) -> None:
        self.path = Path(path)
        self.bank = self.path / "bank"
        self.backbones = self.path / "backbones"
        self.cache = self.path / "cache"
        self.key_file = self.path / "agent.key"
        self.config_file = self.path / "config.json"
        self.running = self.path / "running.json"
        self._ops = ops
        if create:
            with storage_errors(f"could not make the agent's home {self.path}"):
                for folder in (self.path, self.bank, self.backbones, self.cache):
                    if not folder.is_dir():
                        ops.make_folder(folder)

    def load_key(self) -> AgentKey:
        """Return the agent's key, made at the first call; raises as `load_or_create_key`."""
        return load_or_create_key(self.key_file, self._ops)

    def alias(self, key: AgentKey) -> str:
        """Return the agent's name for people: the configured one, or one made from its key."""
        return self.config.alias or default_alias(key.public_key)

    @property
    def config(self) -> Config:
        """The settings on the disk now; the defaults if there is no file.

        Raises:
            ConfigError: the file is not JSON, or has an unknown setting.
            StorageError: the file cannot be read.
        """
        if not self.config_file.exists():
            return Config()
        reading = storage_errors(f"could not read {self.config_file}")
        with reading, self.config_file.open("rb") as stream:
            data = stream.read(_CONFIG_BYTES)
        try:
            return Config.from_json(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.config_file} is not JSON; repair or remove it") from error
        except ConfigError as error:
            raise ConfigError(f"{self.config_file}: {error}") from error

    def save_config(self, config: Config) -> None:
        """Write the settings as a whole or not at all.

        Raises:
            ConfigError: the alias is not a valid name.
            StorageError: the file cannot be written.
        """
        config.check()
        text = json.dumps(config.to_json(), indent=2, ensure_ascii=False) + "\n"
        with storage_errors(f"could not save {self.config_file}"):
            write_atomic(self.config_file, text.encode(), ops=self._ops)


@dataclass(frozen=True)
class Config:
    """The settings of an agent; every one can be overridden by an option.

    Attributes:
        alias: the author's name for people, on new skills; None for one made from the key.
        backbone: the backbone to use when none is named.
        method: the method to learn with when none is named.
    """

    alias: str | None = None
    backbone: str = "embedded"
    method: str = "moments"

    @classmethod
    def from_json(cls, values: object) -> Config:
        """Read parsed JSON.

        Raises:
            ConfigError: an unknown key (with the nearest known one) or a value of another type.
        """
        if not isinstance(values, dict):
            raise ConfigError("expected a JSON object with the agent's settings")
        settings = {key: value for key, value in values.items() if key != "schema"}
        schema = values.get("schema", CONFIG_SCHEMA)
        if schema != CONFIG_SCHEMA:
            raise ConfigError(f"expected settings of schema {CONFIG_SCHEMA!r}, got {schema!r}")
        known = [item.name for item in dataclasses.fields(cls)]
        for key, value in settings.items():
            if key not in known:
                hint = did_you_mean(key, known)
                raise ConfigError(f"unknown setting '{shown(key)}'{hint}")
            if not isinstance(value, str) and not (key == "alias" and value is None):
                raise ConfigError(f"expected text for the setting {key!r}")
        config = cls(**settings)
        config.check()
        return config

    def check(self) -> None:
        """Check the alias, which goes on every card.

        Raises:
            ConfigError: the alias is not a valid name.
        """
        if self.alias is None:
            return
        try:
            check_name("alias", self.alias, DEFAULT_LIMITS.alias, as_file=True)
        except DataError as error:
            raise ConfigError(str(error)) from error

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values, with the schema."""
        return {"schema": CONFIG_SCHEMA, **dataclasses.asdict(self)}


def load_or_create_key(path: Path, ops: FileOps = FILE_OPS) -> AgentKey:
    """Read the agent's key, or make it if there is none; two processes get the same key.

    The file appears complete, with permissions 0600 from the start. If other users could read
    it, their permission is removed.

    Args:
        path: the key's file; its folder exists.
        ops: the operations that change the disk.

    Raises:
        StorageError: the file cannot be read or written, or has other content. It is **never**
            replaced, because a new key means a new agent.
    """
    with storage_errors(f"could not use the agent's key {path}"):
        if not path.exists():
            _create_key(path, ops)
        if os.name == "posix" and path.stat().st_mode & _OTHERS:
            path.chmod(_OWNER_ONLY)
        data = path.read_bytes()
    try:
        return AgentKey.from_bytes(data)
    except ValueError as error:
        raise StorageError(
            f"the agent's key {path} is damaged: {error}; restore it from a backup, or move it "
            "away to become a new agent"
        ) from error


def _create_key(path: Path, ops: FileOps) -> None:
    # A lock and a rename instead of a hard link: FAT sticks and some phones have no links.
    lock = FileLock(path.with_name(f"{path.name}.lock"), mode=_OWNER_ONLY, poll_interval=0.01)
    try:
        with lock.acquire(timeout=_LOCK_TIMEOUT_S):
            if not path.exists():
                write_atomic(path, AgentKey.create().to_bytes(), mode=_OWNER_ONLY, ops=ops)
    except Timeout as error:
        raise StorageError(f"another process is making {path}; try again") from error
