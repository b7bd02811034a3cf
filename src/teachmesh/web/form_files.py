"""Read the files and JSON of a request, within the limits, whatever the caller sends."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from teachmesh.data.names import shown
from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.web_limits import WebLimits

ModelT = TypeVar("ModelT", bound=BaseModel)
FIELD_BYTES = 1 << 20
"""Size of a text field next to the files."""
_JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class SentFiles:
    """Files of one request.

    Attributes:
        files: name and content of each file, in the order of the request.
        fields: text fields of the form.
    """

    files: Sequence[tuple[str, IO[bytes]]]
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def sent_files(request: Request, limits: WebLimits) -> AsyncIterator[SentFiles]:
    """Read the files of a request: a form with any number, or one file as the whole body.

    Args:
        request: the request.
        limits: limits of files.

    Raises:
        HttpRefusal: 415 for another type of content, 413 for too many files, 400 for no files.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        yield SentFiles([("image 1", io.BytesIO(await _body(request)))])
        return
    if kind != "multipart/form-data":
        raise HttpRefusal(
            415,
            f"expected multipart/form-data or image/*, got '{shown(kind, 60)}'; send the files as "
            "a form, or one file as the body",
        )
    try:
        form = await request.form(max_files=limits.files, max_fields=16, max_part_size=FIELD_BYTES)
    except HTTPException as error:
        if "Too many" in error.detail or "exceeded" in error.detail:
            raise HttpRefusal(413, f"expected at most {limits.files} files; send fewer") from error
        raise HttpRefusal(400, f"expected a complete form: {shown(error.detail)}") from error
    try:
        items = form.multi_items()
        files = [
            (_name(v, n), v.file) for n, (_, v) in enumerate(items) if isinstance(v, UploadFile)
        ]
        texts = {key: value for key, value in items if isinstance(value, str)}
        yield SentFiles(files, texts)
    finally:
        await form.close()


def _name(file: UploadFile, number: int) -> str:
    return shown(file.filename or f"image {number + 1}", 120)


def some_files(sent: SentFiles) -> Sequence[tuple[str, IO[bytes]]]:
    """Return the files of a request.

    Raises:
        HttpRefusal: 400 if there are none.
    """
    if not sent.files:
        raise HttpRefusal(400, "expected at least one file in the form, got none; add one")
    return sent.files


async def json_body(request: Request, model: type[ModelT]) -> ModelT:
    """Read and check a JSON body.

    Args:
        request: the request.
        model: type of the body.

    Raises:
        HttpRefusal: 415 for another type of content, 413 for too much, 400 for another shape.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpRefusal(415, f"expected application/json, got '{shown(kind, 60)}'; send JSON")
    return parse_json(await _body(request, _JSON_BYTES), model)


def parse_json(data: bytes | str, model: type[ModelT]) -> ModelT:
    """Parse and check a JSON text; numbers that are not finite are no JSON.

    Raises:
        HttpRefusal: 400 if the text is not JSON, or has another shape.
    """
    try:
        return model.model_validate(json.loads(data, parse_constant=_no_number))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        reason = f"{shown(where, 60)}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        reason = shown(str(error), 120)
    raise HttpRefusal(
        400, f"expected a JSON object as in /v1/openapi.json, got another one ({reason})"
    )


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number in JSON")


async def _body(request: Request, limit_bytes: int | None = None) -> bytes:
    data = bytearray()
    async for part in request.stream():
        data += part
        if limit_bytes is not None and len(data) > limit_bytes:
            raise HttpRefusal(413, f"expected at most {limit_bytes >> 20} MiB of JSON; send less")
    return bytes(data)
