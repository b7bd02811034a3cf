"""JSON answers in ASCII, so that any file name can be sent, and their description in OpenAPI."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from teachmesh.web.http_errors import SCHEMA

_FIELD = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
"""Name and description of a field in the docstring of its class."""


class JsonAnswer(Response):
    """A JSON document; characters beyond ASCII are escapes, and numbers are finite."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the document as bytes."""
        return json.dumps(content, allow_nan=False).encode()


ERROR_EXAMPLE = {
    "schema": SCHEMA,
    "error": "DataError",
    "exit_code": 4,
    "message": "expected an image (JPEG, PNG, ...), got text in 'note.jpg'; convert it to JPEG",
}
_REASONS = {
    400: "an argument is not valid",
    401: "the token is missing or wrong",
    404: "there is no such thing",
    409: "the agent cannot do this as it runs now",
    413: "too much data",
    415: "another type of content is expected",
    422: "the data cannot be used",
    429: "too many requests; try again after the seconds in Retry-After",
}


def described(example: Any, *errors: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a route for OpenAPI: an example, and the possible errors.

    Args:
        example: example of the document.
        errors: HTTP statuses of errors.
    """
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "the document", "content": _content(example)}
    }
    for status in errors:
        body = {**ERROR_EXAMPLE, "message": _REASONS[status]}
        found[status] = {"description": _REASONS[status], "content": _content(body)}
    return found


def _content(example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object"}, "example": example}}


def body_of_files(text: str, **fields: str) -> dict[str, Any]:
    """Return the description of a form with files for OpenAPI.

    Args:
        text: description of the files.
        fields: descriptions of text fields.
    """
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": text}
    texts = {name: {"type": "string", "description": about} for name, about in fields.items()}
    form = {"schema": {"type": "object", "properties": {"files": files, **texts}}}
    one = {"schema": {"type": "string", "format": "binary"}}
    content = {"multipart/form-data": form, "image/*": one}
    return {"requestBody": {"required": True, "content": content}}


def body_of_json(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a JSON body for OpenAPI.

    Args:
        model: type of the body, whose docstring describes its fields.
        example: an example.
    """
    schema = model.model_json_schema()
    for name, about in _FIELD.findall(inspect.cleandoc(model.__doc__ or "")):
        schema["properties"][name]["description"] = " ".join(about.split())
    fields = {key: schema[key] for key in ("type", "properties", "required") if key in schema}
    content = {"application/json": {"schema": fields, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


async def in_thread(read: Callable[[], Mapping[str, Any]]) -> JsonAnswer:
    """Read or change the bank in a thread, because the disk may be slow."""
    return JsonAnswer(await asyncio.to_thread(read))
