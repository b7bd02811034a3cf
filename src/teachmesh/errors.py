"""Everything that can go wrong, and the exit code a person's shell sees.

    TeachmeshError                1   unexpected, but ours
    |-- UsageError                2   an option or argument that makes no sense
    |-- ConfigError               3   configuration or device
    |   |-- DeviceError               the device that was asked for is not there
    |   `-- MissingExtraError         an optional package is not installed
    |-- DataError                 4   images, folders, labels
    |-- BackboneError             5   missing, unknown or different backbone
    |-- SkillRefused              6   a skill that is broken, forged or foreign
    |-- NetworkError              7   nobody answered in time
    `-- StorageError              8   disk full, no permission, damaged bank

Exit code 9 means "finished, but some items were skipped" and 130 "interrupted"; neither is an
exception. Messages say what was expected, what came and what to do, in one sentence.
"""

from __future__ import annotations

from typing import ClassVar, Literal

EXIT_OK = 0
EXIT_SKIPPED = 9
EXIT_INTERRUPTED = 130

RefusalReason = Literal[
    "FORMAT",
    "LIMIT",
    "SCHEMA",
    "NAME",
    "VALUE",
    "HASH",
    "SIGNATURE",
    "BACKBONE",
    "VERSION",
    "AUTHOR",
]


class TeachmeshError(Exception):
    """Base of every error that teachmesh raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(TeachmeshError):
    """An option, argument or combination of them that makes no sense."""

    exit_code = 2


class ConfigError(TeachmeshError):
    """The configuration or the machine does not allow what was asked for."""

    exit_code = 3


class DeviceError(ConfigError):
    """The device that was asked for is not available; another one is never taken silently."""


class MissingExtraError(ConfigError):
    """An optional package is needed and not installed.

    Args:
        package: the module that could not be imported.
        extra: the extra of teachmesh that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed; "
            f'install it with: pip install "teachmesh[{extra}]"'
        )
        self.package = package
        self.extra = extra


class DataError(TeachmeshError):
    """Images, folders or labels that cannot be used."""

    exit_code = 4


class BackboneError(TeachmeshError):
    """A backbone that is missing, unknown, or not the one that a skill was made with."""

    exit_code = 5


class SkillRefused(TeachmeshError):
    """A skill that was checked and not admitted.

    Args:
        reason: machine-readable code of the first check that failed.
        message: one sentence for a person.
    """

    exit_code = 6

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason: RefusalReason = reason


class NetworkError(TeachmeshError):
    """Nobody answered in time, or the endpoint cannot be used."""

    exit_code = 7


class StorageError(TeachmeshError):
    """The disk is full, read-only or damaged; nothing half-written is left visible."""

    exit_code = 8
