"""Exceptions raised by teachmesh, and the exit codes of the command line.

    TeachmeshError                1   base class
    |-- UsageError                2   an invalid option or argument, or --force is needed
    |-- ConfigError               3   the configuration or the machine does not fit
    |   |-- DeviceError               the requested device is not available
    |   `-- MissingExtraError         an optional package is not installed
    |-- DataError                 4   unusable images, folders or labels
    |   `-- UnknownSkillError         no skill has the name (also a KeyError)
    |-- BackboneError             5   missing, unknown or different backbone
    |-- SkillRefused              6   a damaged or forged skill, or a skill of another backbone
    |-- SkillDeferred             6   too many skills of one author at once; fetched again later
    |-- NetworkError              7   no answer in time, or unusable endpoint
    `-- StorageError              8   disk full, no permission, damaged bank

Exit code 9 means "finished, but some items were skipped", and 130 means "interrupted"; neither
comes from an exception. Each message gives the expected value, the actual value and the remedy.
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
    "WITHDRAWN",
    "BLOCKED",
    "STRANGER",
]


class TeachmeshError(Exception):
    """Base class of all errors that teachmesh raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(TeachmeshError):
    """An option, an argument or a combination of them is invalid."""

    exit_code = 2


class ConfigError(TeachmeshError):
    """The configuration or the machine does not support the request."""

    exit_code = 3


class DeviceError(ConfigError):
    """The requested device is not available; no other device is used instead."""


class MissingExtraError(ConfigError):
    """An optional package is needed, but not installed.

    Args:
        package: name of the module that could not be imported.
        extra: name of the teachmesh extra that installs the module.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed; "
            f'install it with: pip install "teachmesh[{extra}]"'
        )
        self.package = package
        self.extra = extra


class DataError(TeachmeshError):
    """Images, folders or labels cannot be used."""

    exit_code = 4


class UnknownSkillError(DataError, KeyError):
    """No skill of the bank has this name, or several have; raised by `Agent.skills[...]`."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class BackboneError(TeachmeshError):
    """A backbone is missing, unknown or damaged, or differs from that of a skill."""

    exit_code = 5


class SkillRefused(TeachmeshError):
    """A skill failed a check and was not admitted to the bank.

    Args:
        reason: machine-readable code of the first check that failed.
        message: one sentence for a person.
    """

    exit_code = 6

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason: RefusalReason = reason


class SkillDeferred(TeachmeshError):
    """A skill from a peer cannot be admitted now, but may be later.

    Args:
        wait_s: seconds after which it may be fetched again.
        message: one sentence for a person.
    """

    exit_code = 6

    def __init__(self, wait_s: float, message: str) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NetworkError(TeachmeshError):
    """No peer answered in time, or the endpoint cannot be used."""

    exit_code = 7


class StorageError(TeachmeshError):
    """The disk is full, read-only or damaged; no partly written file is left behind."""

    exit_code = 8
