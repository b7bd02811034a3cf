"""`Client`: a running agent, used over HTTP from Python."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from teachmesh.errors import MissingExtraError
from teachmesh.web import http_calls
from teachmesh.web.http_calls import Call, Document, ImageFile

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("httpx", "web") from error

T = TypeVar("T")
POLL_S = 0.2


class Client:
    """A running agent, used over HTTP from Python; close it, or use it in a `with` statement.

    Errors are those of `Agent`, because the server sends class and message. An address without an
    answer is a `NetworkError`.

    Args:
        url: address of the agent; by default that of the agent that runs in `home`.
        token: its token, needed for changes; by default that of the home.
        home: home folder of the agent; by default as for `Agent`.
        timeout_s: seconds to wait for one answer.

    Raises:
        NetworkError: no agent runs in the home.
        MissingExtraError: the extra `web` is not installed (raised by the import).

    Examples:
        >>> import tempfile
        >>> from teachmesh import Agent, Client
        >>> from teachmesh.web.web_server import WebServer
        >>> with WebServer(Agent(tempfile.mkdtemp()), port=0) as server:
        ...     with Client(server.url) as client:
        ...         client.skills()
        []
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        home: str | Path | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._http = httpx.Client(**http_calls.connection(url, token, home, timeout_s))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        images: ImageFile | Sequence[ImageFile],
        *,
        task: str | None = None,
        alternatives: int = 3,
        false_alarms: float = 0.05,
    ) -> list[Document]:
        """Return one document per image: task, class, probability, author, runners-up.

        Args:
            images: paths or contents of image files, at most 64.
            task: the task if it is known.
            alternatives: number of runners-up.
            false_alarms: fraction of known images that may be called unknown.

        Raises:
            DataError: an image cannot be read, or there is no skill.
        """
        options = {"task": task, "alternatives": alternatives, "false_alarms": false_alarms}
        return list(self._send(http_calls.predicting(images, options)))

    def correct(self, image: ImageFile, *, task: str, class_name: str) -> Document:
        """Learn an image as a class of a task; see `Agent.correct` for errors."""
        return dict(self._send(http_calls.correcting(image, task, class_name)))

    def learn(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        add_to: str | None = None,
        replace: bool = False,
        private: bool = False,
        method: str | None = None,
        quality: str | None = None,
        max_bytes: int | None = None,
    ) -> Document:
        """Learn a folder of this machine, and return the document of the saved skill.

        Args:
            folder: folder with one folder of images per class.
            name: name of the task; by default that of the folder.
            add_to: task of the agent that the images are added to.
            replace: whether to replace the agent's skill of the same name.
            private: whether the skill stays on the agent's machine.
            method: method of learning; by default the agent's.
            quality: preset, `fast` (one backbone pass) or `best` (with biases where they help).
            max_bytes: largest size of the skill in bytes.

        Raises:
            DataError: the images cannot be used.
            UsageError: the task exists, or an option is invalid.
        """
        options: Document = {"add_to": add_to, "replace": replace, "private": private}
        options |= {"method": method, "quality": quality, "max_bytes": max_bytes}
        job = self.start_learning(folder, name, options)
        while (found := http_calls.result_of(self.job(job))) is None:
            time.sleep(POLL_S)
        return found

    def start_learning(self, folder: str | Path, name: str | None, options: Document) -> str:
        """Upload a folder, begin to learn it, and return the id of the job; see `learn`."""
        task, portions = http_calls.uploading(folder, name)
        upload = self._send(http_calls.changing("POST", "/v1/uploads", key="upload"))
        for class_name, files in portions:
            self._send(http_calls.adding(upload, class_name, files))
        return str(self._send(http_calls.learning(upload, task, options)))

    def job(self, job: str) -> Document:
        """Return state and progress of a learning job."""
        return dict(self._send(http_calls.reading("/v1/jobs", job)))

    def cancel(self, job: str) -> Document:
        """Cancel a learning job."""
        return dict(self._send(http_calls.changing("DELETE", "/v1/jobs", job)))

    def skills(self) -> list[Document]:
        """Return the active skills."""
        return list(self._send(http_calls.reading("/v1/skills", key="skills")))

    def card(self, skill: str) -> Document:
        """Return the card of a skill."""
        return dict(self._send(http_calls.reading("/v1/skills", skill, key="card")))

    def history(self, skill: str) -> list[Document]:
        """Return the versions of a task, newest first."""
        call = http_calls.reading("/v1/skills", skill, "history", key="versions")
        return list(self._send(call))

    def restore(self, skill: str, version: str | int | None = None) -> Document:
        """Make an earlier version active; see `Agent.restore` for errors."""
        parts = ("/v1/skills", skill, "restore")
        return dict(self._send(http_calls.changing("POST", *parts, json={"version": version})))

    def withdraw(self, skill: str) -> Document:
        """Withdraw a task of this agent everywhere."""
        parts = ("/v1/skills", skill, "withdraw")
        return dict(self._send(http_calls.changing("POST", *parts)))

    def export(self, skill: str) -> bytes:
        """Return the signed bytes of a skill, which any agent can import."""
        return self._send(http_calls.exporting(skill))

    def peers(self) -> list[Document]:
        """Return the agents that the agent has heard of, itself first."""
        return list(self._send(http_calls.reading("/v1/peers", key="agents")))

    def invite(self, *, minutes: float = 60.0, at: Sequence[str] = ()) -> Document:
        """Invite another agent, and return the document of `teachmesh invite --json`.

        Args:
            minutes: time until the invite expires.
            at: addresses at which other machines reach this agent; by default, its own.

        Raises:
            ConfigError: the agent is not encrypted.
        """
        query = {"minutes": minutes, "at": list(at)}
        return dict(self._send(http_calls.changing("POST", "/v1/invites", params=query)))

    def invites(self) -> list[Document]:
        """Return the invites of this agent, without their secrets."""
        return list(self._send(http_calls.reading("/v1/invites", key="invites")))

    def revoke(self, invite: str) -> Document:
        """Revoke an open invite by its id."""
        return dict(self._send(http_calls.changing("DELETE", "/v1/invites", invite)))

    def join(self, text: str) -> list[str]:
        """Join other agents with an invite or an endpoint, and return their endpoints.

        Raises:
            UsageError: the text is neither.
            NetworkError: the invite is refused, or its agent cannot be reached.
            ConfigError: `teachmesh up` did not start the agent, so that it cannot join now.
        """
        call = http_calls.changing("POST", "/v1/join", key="endpoints", json={"join": text})
        return list(self._send(call))

    def status(self) -> Document:
        """Return the document of `teachmesh status --json`."""
        return dict(self._send(http_calls.reading("/v1/status")))

    def events(self) -> Iterator[Document]:
        """Yield events as they happen: the kept ones first, then each new one."""
        with self._http.stream("GET", "/v1/events", timeout=None) as answer:
            for line in answer.iter_lines():
                if (event := http_calls.event_of(line)) is not None:
                    yield event

    def _send(self, call: Call[T]) -> T:
        try:
            answer = self._http.request(call.method, call.path, **call.options)
        except httpx.HTTPError as error:
            raise http_calls.unreachable(self._http.base_url, error) from error
        return call.result(answer.status_code, answer.content)
