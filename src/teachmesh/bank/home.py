"""The home folder of an agent, with its settings and its key.

- `agent.key`: the Ed25519 key, with permissions 0600.
- `config.json`: alias, default backbone, method and sharing; written only on request.
- `quarantine.json`: quarantine lists (`bank.known_lists`).
- `withheld.json`: skills that peers do not get (`bank.withheld`).
- `bank/`: the skills.
- `backbones/`: backbones that the user added.
- `cache/`: latents; may be deleted at any time.
- `mesh.key`, `mesh.pem`, `invites.json`: the agent's mesh (`bank.mesh_file`, `bank.invites`).
- `running.json`, `running.lock`: state of the `teachmesh up` process while it runs.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import (
    FILE_OPS,
    FileOps,
    create_folder,
    storage_errors,
    sweep_old,
    write_atomic,
)
from teachmesh.bank.home_place import home_path
from teachmesh.bank.running import RunningLock
from teachmesh.bank.shared_file import file_lock
from teachmesh.data.names import check_name, did_you_mean, shown
from teachmesh.errors import ConfigError, DataError, StorageError
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.signing import AgentKey, default_alias

CONFIG_SCHEMA = "teachmesh.config/1"
_CONFIG_BYTES = 64 * 1024
_LOCK_TIMEOUT_S = 10.0
_OWNER_ONLY = 0o600
_OTHERS = 0o077
SHARE = ("all", "ask", "none")
"""Values of the setting `share`."""


def resolve_home(option: str | Path | None, environment: Mapping[str, str] | None = None) -> Home:
    """Open the home at the path that `home_path` returns; create missing folders.

    Raises:
        StorageError: the folders cannot be created.
    """
    return Home(home_path(option, environment))


def open_to_read(option: str | Path | None, environment: Mapping[str, str] | None = None) -> Home:
    """Open the home at the path that `home_path` returns, without creating anything.

    Raises:
        StorageError: the path cannot be used, for example because it is below a file.
    """
    path = home_path(option, environment)
    with storage_errors(f"could not open the agent's home {path}"):
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except FileNotFoundError:
            is_folder = True
        if not is_folder:
            raise NotADirectoryError(errno.ENOTDIR, "not a folder")
    return Home(path, create=False)


def is_writable(bank: Path) -> bool:
    """Return whether a bank exists and can be changed; this changes nothing."""
    return bank.is_dir() and os.access(bank, os.W_OK | os.X_OK)


class Home:
    """An agent's home folder; missing folders are created, with access for the owner only.

    Args:
        path: the folder, from `home_path`.
        create: whether to create missing folders.
        ops: disk operations; tests pass their own.

    Raises:
        StorageError: the folders cannot be created.
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
                    create_folder(folder, ops)
            with suppress(OSError):  # a read-only disk
                sweep_old(self.path, ops)
                sweep_old(self.bank / "damaged", ops)

    def load_key(self) -> AgentKey:
        """Return the agent's key, created on the first call; see `load_or_create_key`."""
        return load_or_create_key(self.key_file, self._ops)

    def renew_key(self) -> Path | None:
        """Move the key away, so that `load_key` creates a new one: the home gets a new identity.

        Returns:
            Path of the old key, which is kept; None if there was no key.

        Raises:
            ConfigError: an agent runs in this home.
            StorageError: the key cannot be moved.
        """
        lock = RunningLock(self.path)
        lock.acquire()
        try:
            with storage_errors(f"could not move the agent's key {self.key_file}"):
                if not self.key_file.exists():
                    return None
                start = hashlib.sha256(self.key_file.read_bytes()).hexdigest()[:12]
                old = self.key_file.with_name(f"agent.key.old-{start}")
                self._ops.rename(self.key_file, old)
                self._ops.sync_folder(self.path)
                return old
        finally:
            lock.release()

    def alias(self, key: AgentKey) -> str:
        """Return the agent's display name: the configured alias, or one derived from its key."""
        return self.config.alias or default_alias(key.public_key)

    @property
    def config(self) -> Config:
        """Read the current settings from disk; without a file, return the defaults.

        Raises:
            ConfigError: the file is not JSON, or a setting is invalid.
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

    def change_config(self, **settings: str) -> None:
        """Change some settings, while other processes may change other ones.

        Raises:
            ConfigError: a setting is not valid.
            StorageError: the file cannot be read or written.
        """
        busy = f"another process is changing {self.config_file}; try again"
        with file_lock(self.config_file.with_suffix(".lock"), busy):
            self.save_config(dataclasses.replace(self.config, **settings))

    def save_config(self, config: Config) -> None:
        """Write the settings atomically.

        Raises:
            ConfigError: a setting is not valid.
            StorageError: the file cannot be written.
        """
        config.check()
        text = json.dumps(config.to_json(), indent=2, ensure_ascii=False) + "\n"
        with storage_errors(f"could not save {self.config_file}"):
            write_atomic(self.config_file, text.encode(), ops=self._ops)


@dataclass(frozen=True)
class Config:
    """The settings of an agent; command-line options override them.

    Attributes:
        alias: author's display name on new skills; None to derive the name from the key.
        backbone: name of the backbone to use if the command does not specify one.
        method: learning method to use if the command does not specify one.
        share: whether new tasks are sent to peers: `all`, `ask` (after `skills share`) or `none`.
    """

    alias: str | None = None
    backbone: str = "embedded"
    method: str = "moments"
    share: str = "all"

    @classmethod
    def from_json(cls, values: object) -> Config:
        """Build the settings from a parsed JSON object.

        Raises:
            ConfigError: a key is unknown, or a value is invalid.
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
        """Check the alias, which is written on every new card, and the values of `share`.

        Raises:
            ConfigError: a setting is not valid.
        """
        if self.share not in SHARE:
            hint = did_you_mean(self.share, SHARE)
            expected = ", ".join(SHARE)
            raise ConfigError(
                f"expected share to be one of {expected}, got '{shown(self.share)}'{hint}"
            )
        if self.alias is None:
            return
        try:
            check_name("alias", self.alias, DEFAULT_LIMITS.alias, as_file=True)
        except DataError as error:
            raise ConfigError(str(error)) from error

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object that includes the schema's name."""
        return {"schema": CONFIG_SCHEMA, **dataclasses.asdict(self)}


def load_or_create_key(path: Path, ops: FileOps = FILE_OPS) -> AgentKey:
    """Read the agent's key, or create it; concurrent processes get the same key.

    A new file is created atomically, with permissions 0600. If other users can access an existing
    file, that access is removed.

    Args:
        path: path of the key file, in an existing folder.
        ops: disk operations; tests pass their own.

    Raises:
        StorageError: the file cannot be read or written, or contains no valid key. The file is
            **never** replaced, because a new key means a new agent.
    """
    with storage_errors(f"could not use the agent's key {path}"):
        if not path.exists():
            _create_key(path, ops)
        if os.name == "posix" and path.stat().st_mode & _OTHERS:
            with suppress(OSError):  # a read-only disk
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
    # Use a lock and a rename, because FAT drives and some phones do not support hard links.
    lock = FileLock(path.with_name(f"{path.name}.lock"), mode=_OWNER_ONLY, poll_interval=0.01)
    try:
        with lock.acquire(timeout=_LOCK_TIMEOUT_S):
            if not path.exists():
                write_atomic(path, AgentKey.create().to_bytes(), mode=_OWNER_ONLY, ops=ops)
    except Timeout as error:
        raise StorageError(f"another process is making {path}; try again") from error
