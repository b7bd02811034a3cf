"""Requests to a running agent as values, which `Client` and `AsyncClient` only send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from teachmesh.bank.home_place import home_path
from teachmesh.errors import DataError, NetworkError, TeachmeshError
from teachmesh.web.http_errors import error_of
from teachmesh.web.running_web import RunningWeb

T = TypeVar("T")
Document = dict[str, Any]
ImageFile = str | Path | bytes
_BATCH_FILES = 64
_BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    Attributes:
        method: HTTP method.
        path: path of the URL.
        read: function from the body of a good answer to the result.
        options: further arguments of `httpx.Client.request`.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    options: Mapping[str, Any] = field(default_factory=dict)

    def result(self, status: int, body: bytes) -> T:
        """Return the result of an answer.

        Raises:
            TeachmeshError: the error that the agent sent, of the same class.
            NetworkError: the answer is not one of an agent.
        """
        if status >= 400:
            raise error_of(status, body)
        return self.read(body)


def connection(
    url: str | None, token: str | None, home: str | Path | None, timeout_s: float
) -> dict[str, Any]:
    """Return the arguments of an `httpx` client for an agent.

    Args:
        url: address of the agent; None for the agent that runs in `home`.
        token: its token; None for that of the home, if the home is used.
        home: home folder of the agent.
        timeout_s: seconds to wait for one answer.

    Raises:
        NetworkError: no agent runs in the home.
    """
    if url is None:
        found = RunningWeb(home_path(home)).read()
        if found is None:
            raise NetworkError(
                f"expected a running agent of {home_path(home)}, found none; start it with: "
                "teachmesh up"
            )
        url, token = found.url, token or found.token
    headers = {"authorization": f"Bearer {token}"} if token else {}
    # A proxy must not see the token.
    return {"base_url": url, "headers": headers, "timeout": timeout_s, "trust_env": False}


def unreachable(url: object, error: Exception) -> NetworkError:
    """Return the error for an agent that does not answer."""
    reason = str(error) or type(error).__name__
    return NetworkError(f"expected an answer of {url}, got none ({reason}); is the agent running?")


def reading(*parts: str, key: str | None = None) -> Call[Any]:
    """Return a request for a document, or for the value of one of its keys.

    Args:
        parts: parts of the path; all but the first are quoted.
        key: key of the value.
    """
    return Call("GET", _path(*parts), lambda body: _value(body, key))


def changing(method: str, *parts: str, key: str | None = None, **options: Any) -> Call[Any]:
    """Return a request that changes something; see `reading` for arguments."""
    return Call(method, _path(*parts), lambda body: _value(body, key), options)


def exporting(skill: str) -> Call[bytes]:
    """Return a request for the signed bytes of a skill."""
    return Call("GET", _path("/v1/skills", skill, "export"), bytes)


def predicting(images: ImageFile | Sequence[ImageFile], options: Mapping[str, Any]) -> Call[Any]:
    """Return a request to classify images.

    Args:
        images: paths or contents of image files.
        options: `task`, `alternatives` or `false_alarms`.
    """
    several = [images] if isinstance(images, str | Path | bytes) else list(images)
    files = [("files", _file(image, n)) for n, image in enumerate(several)]
    query = {key: value for key, value in options.items() if value is not None}
    return Call("POST", "/v1/predict", _predictions, {"files": files, "params": query})


def correcting(image: ImageFile, task: str, class_name: str) -> Call[Any]:
    """Return a request to learn an image as a class of a task."""
    query = {"task": task, "class": class_name}
    files = [("files", _file(image, 0))]
    return changing("POST", "/v1/correct", files=files, params=query)


def uploading(folder: str | Path, name: str | None) -> tuple[str, list[tuple[str, list[Path]]]]:
    """Return the name of a task, and its files by class in portions for one request each.

    Args:
        folder: folder with one folder of images per class.
        name: name of the task; by default that of the folder.

    Raises:
        DataError: the folder holds no task, or an archive.
    """
    root = Path(folder).expanduser()
    classes = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    found = [
        (path.name, portion)
        for path in classes
        for portion in _portions(sorted(p for p in path.rglob("*") if p.is_file()))
    ]
    if not found:
        raise DataError(
            f"expected a folder with one folder of images per class, got '{root}'; check the path"
        )
    return name or root.resolve().name, found


def adding(upload: str, class_name: str, files: Sequence[Path]) -> Call[Any]:
    """Return a request that adds files of one class to an upload."""
    sent = [("files", _file(path, n)) for n, path in enumerate(files)]
    return changing("POST", "/v1/uploads", upload, files=sent, params={"class": class_name})


def learning(upload: str, name: str, options: Mapping[str, Any]) -> Call[Any]:
    """Return a request to learn an upload.

    Args:
        upload: id of the upload.
        name: name of the task, unless `options` has the task to add to.
        options: other options of `POST /v1/learn`.
    """
    named = {} if options.get("add_to") else {"name": name}
    return changing("POST", "/v1/learn", key="job", json={"upload": upload, **named, **options})


def result_of(job: Document) -> Document | None:
    """Return the skill of a finished job; None if it still waits or runs.

    Raises:
        TeachmeshError: the job failed or was cancelled.
    """
    if job["state"] in ("queued", "running"):
        return None
    if job["error"] is not None:
        raise error_of(422, json.dumps(job["error"]).encode())
    if job["result"] is None:
        raise TeachmeshError(f"the job {job['job']} was cancelled; nothing was saved")
    return dict(job["result"])


def event_of(line: str) -> Document | None:
    """Return the event in a line of a stream; None if the line holds none."""
    return dict(json.loads(line[6:])) if line.startswith("data: ") else None


def _portions(files: Sequence[Path]) -> Iterator[list[Path]]:
    portion: list[Path] = []
    size = 0
    for path in files:
        n_bytes = path.stat().st_size
        if portion and (len(portion) >= _BATCH_FILES or size + n_bytes > _BATCH_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(path)
        size += n_bytes
    if portion:
        yield portion


def _file(image: ImageFile, number: int) -> tuple[str, bytes]:
    if isinstance(image, bytes):
        return f"image {number + 1}", image
    path = Path(image).expanduser()
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"expected an image at '{path}', got '{reason}'; check the path") from error


def _path(*parts: str) -> str:
    first, *rest = parts
    return "/".join([first, *(quote(part, safe="") for part in rest)])


def _value(body: bytes, key: str | None) -> Any:
    document = json.loads(body)
    return document if key is None else document[key]


def _predictions(body: bytes) -> list[Document]:
    document = json.loads(body)
    if document["skipped"]:
        raise DataError(document["skipped"][0])
    return list(document["predictions"])
