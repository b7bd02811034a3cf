"""Use the agent that runs in a home from the command line, so that an answer takes milliseconds.

The results are those that the command would compute itself, bit for bit, with the engine and the
number type of the running agent. Without a running agent, or if it has other settings, is busy or
does not answer, the command works by itself. Nothing here loads torch or a package of the extra
`web`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from teachmesh.agent.answers.prediction import Answers
from teachmesh.bank.home_place import home_path
from teachmesh.errors import DataError, NetworkError, TeachmeshError
from teachmesh.web import bare_http
from teachmesh.web.http_errors import SCHEMA, error_of
from teachmesh.web.named_images import NamedImage, named_images
from teachmesh.web.running_web import RunningWeb, WebAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from teachmesh.agent.known_skills.catalogue import SkillInfo
    from teachmesh.agent.known_skills.skill_versions import SkillVersion
    from teachmesh.bank.withheld import Withheld


class NoRunningAgent(NetworkError):
    """The running agent cannot be used, so the command works by itself."""

    def __init__(self) -> None:
        super().__init__(
            "expected an answer of the running agent, got none; try again with --local"
        )


class RunningAgent:
    """The agent that runs in a home, with the methods of `Agent` that commands need.

    Args:
        address: where the agent answers.
    """

    def __init__(self, address: WebAddress) -> None:
        parts = urlsplit(address.url)
        # On this machine no token is needed, and another program may have the port by now.
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        self._headers = {} if local else {"Authorization": f"Bearer {address.token}"}
        # An agent that listens on all addresses also listens on this one.
        host = "127.0.0.1" if parts.hostname in (None, "0.0.0.0", "::") else parts.hostname
        self._place = (str(host), parts.port or 0)

    @classmethod
    def of(
        cls,
        home: str | Path | None,
        *,
        backbone: str | None = None,
        method: str | None = None,
        device: str = "auto",
    ) -> RunningAgent | None:
        """Return the running agent of a home, if it has the wanted settings; otherwise None."""
        address = RunningWeb(home_path(home)).read()
        if address is None:
            return None
        found = cls(address)
        try:
            settings = found.document("/v1/agent")
            if not Path(settings["home"]).samefile(home_path(home)):
                return None  # the file is an old one, and another agent has the port
            usual = settings["configured"]
        except (NoRunningAgent, OSError, KeyError):  # another program may have the port
            return None
        wanted = (backbone or usual["backbone"], method or usual["method"], device)
        has = (settings["backbone"], settings["method"], settings["device"])
        return found if has == wanted else None

    def document(self, *parts: str) -> dict[str, Any]:
        """Return the document at a path; all parts but the first are quoted.

        Raises:
            TeachmeshError: the error of the agent.
            NoRunningAgent: the agent cannot answer.
        """
        first, *rest = parts
        return self._send("GET", "/".join([first, *(quote(part, safe="") for part in rest)]))

    def unusable_reasons(self) -> list[str]:
        """Return the result of `BankView.unusable_reasons`."""
        skills = self.document("/v1/skills")["skills"]
        return [f"{s['display_name']}: {s['reason']}" for s in skills if not s["usable"]]

    def predict_many(
        self,
        asked: Sequence[str | bytes],
        *,
        task: str | None,
        alternatives: int,
        false_alarms: float,
        progress: Callable[[int, int], None],
    ) -> Answers:
        """Return the result of `Agent.predict_many` for paths and contents of images.

        Raises:
            NoRunningAgent: there are too many images, or the agent cannot answer.
        """
        images = named_images(asked)
        if images is None:
            raise NoRunningAgent
        progress(0, len(images))
        request: dict[str, Any] = {
            "names": [image.name for image in images],
            "unreadable": {
                n: i.content for n, i in enumerate(images) if isinstance(i.content, str)
            },
            "task": task,
            "alternatives": alternatives,
            "false_alarms": false_alarms,
        }
        found = self._send("POST", "/v1/predict/named", *_form(request, images))
        progress(len(images), len(images))
        return Answers.from_json(found)

    def infos(self) -> list[SkillInfo]:
        """Return the result of `BankView.infos`."""
        from teachmesh.agent.known_skills.catalogue import SkillInfo

        skills = self._send("GET", "/v1/skills?all=true")["skills"]
        return [SkillInfo(**{**skill, "anchors": tuple(skill["anchors"])}) for skill in skills]

    def digest(self) -> str:
        """Return the result of `BankView.digest`."""
        return str(self.document("/v1/skills")["digest"])

    def find(self, selector: str) -> SkillInfo:
        """Return the result of `BankView.find`."""
        from teachmesh.agent.known_skills.catalogue import SkillInfo

        skill = {**self._known(selector)["skill"]}
        del skill["own"]
        return SkillInfo(**{**skill, "anchors": tuple(skill["anchors"])})

    def card(self, skill_id: str) -> dict[str, Any]:
        """Return the result of `BankView.card`."""
        return dict(self._known(skill_id)["card"])

    def history(self, selector: str) -> list[SkillVersion]:
        """Return the result of `skill_versions.skill_history`."""
        from teachmesh.agent.known_skills.skill_versions import SkillVersion

        versions = self._known(selector, "history")["versions"]
        return [SkillVersion(**{**v, "classes": tuple(v["classes"])}) for v in versions]

    def status(self) -> dict[str, Any]:
        """Return the result of `BankView.status`."""
        return self.document("/v1/status")

    @property
    def withheld(self) -> Withheld:
        """The skills that the agent keeps back, read from its home."""
        from teachmesh.bank.withheld import Withheld

        return Withheld(Path(self.document("/v1/agent")["home"]))

    def peers(self) -> dict[str, Any]:
        """Return the result of `known_agents.peers_document`."""
        return self.document("/v1/peers")

    def _known(self, selector: str, *rest: str) -> dict[str, Any]:
        try:
            return self.document("/v1/skills", selector, *rest)
        except KeyError as error:  # over HTTP an unknown skill has a class of its own
            raise DataError(str(error)) from None

    def _send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            sent = {**self._headers, **(headers or {})}
            status, answer = bare_http.request(self._place, method, path, body, sent)
            document = json.loads(answer)
        except (OSError, ValueError, KeyError) as error:
            raise NoRunningAgent from error
        if not isinstance(document, dict):
            raise NoRunningAgent
        if status >= 400:
            raise _error(status, document)
        return document


def _error(status: int, document: Mapping[str, Any]) -> TeachmeshError:
    """Return the error of an answer; `NoRunningAgent` if the command should work by itself."""
    if status in (401, 403, 408, 413, 421, 429, 500, 504) or document.get("schema") != SCHEMA:
        return NoRunningAgent()
    return error_of(status, json.dumps(document).encode())


def _form(request: Mapping[str, Any], images: Sequence[NamedImage]) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a form with a document and the contents of images."""
    boundary = os.urandom(16).hex()
    start = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    parts = [f'{start}document"\r\n\r\n{json.dumps(request)}\r\n'.encode()]
    for image in images:
        if isinstance(image.content, bytes):
            parts += [f'{start}files"; filename="x"\r\n\r\n'.encode(), image.content, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    kind = f"multipart/form-data; boundary={boundary}"
    return b"".join(parts), {"Content-Type": kind}
