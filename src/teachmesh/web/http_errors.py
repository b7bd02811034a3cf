"""Error bodies with the codes of the command line.

Each error has the body that `teachmesh ... --json` prints: schema `teachmesh.error/1`, class,
exit code and message. The HTTP status follows from the class.
"""

from __future__ import annotations

import json
from typing import Any

from teachmesh import errors
from teachmesh.errors import (
    BackboneError,
    ConfigError,
    DataError,
    NetworkError,
    SkillDeferred,
    SkillRefused,
    StorageError,
    TeachmeshError,
    UnknownSkillError,
    UsageError,
)

SCHEMA = "teachmesh.error/1"
_STATUS: tuple[tuple[type[TeachmeshError], int], ...] = (
    (UnknownSkillError, 404),
    (DataError, 422),
    (UsageError, 400),
    (BackboneError, 409),
    (ConfigError, 409),
    (SkillRefused, 422),
    (SkillDeferred, 429),
    (NetworkError, 504),
    (StorageError, 507),
)
_CLASS_OF_STATUS: dict[int, type[TeachmeshError]] = {
    401: ConfigError,
    403: ConfigError,
    408: NetworkError,
    413: DataError,
    415: DataError,
    421: ConfigError,
    429: NetworkError,
    503: NetworkError,
    504: NetworkError,
}


class HttpRefusal(Exception):
    """A request that is refused because of HTTP itself, not because of its content.

    Args:
        status: HTTP status, such as 413.
        message: one sentence that names the remedy.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(error: TeachmeshError) -> int:
    """Return the HTTP status of an error: 500 for one without a better status."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def body_of(error: TeachmeshError) -> dict[str, Any]:
    """Return the document that the command line prints for the same error."""
    return _body(type(error).__name__, error.exit_code, str(error))


def body_of_status(status: int, message: str) -> dict[str, Any]:
    """Return the document for a refusal that has only an HTTP status."""
    kind = _CLASS_OF_STATUS.get(status, UsageError if status < 500 else TeachmeshError)
    return _body(kind.__name__, kind.exit_code, message)


def _body(kind: str, exit_code: int, message: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "error": kind,
        "exit_code": exit_code,
        "message": " ".join(message.split()),
    }


def error_of(status: int, body: bytes) -> TeachmeshError:
    """Return the exception for an error body, of the class that the agent raised."""
    try:
        document = json.loads(body)
        is_error = isinstance(document, dict) and document.get("schema") == SCHEMA
    except ValueError:
        is_error = False
    if not is_error:
        return NetworkError(
            f"expected an answer of an agent, got HTTP status {status}; check the URL"
        )
    kind = getattr(errors, str(document["error"]), TeachmeshError)
    message = str(document["message"])
    if kind is SkillRefused:
        return SkillRefused(document.get("reason", "FORMAT"), message)
    plain = isinstance(kind, type) and issubclass(kind, TeachmeshError)
    if not plain or kind in (errors.MissingExtraError, errors.SkillDeferred):
        return TeachmeshError(message)
    return kind(message)
