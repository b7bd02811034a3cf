"""An agent that serves the page and the API on a free port, and callers of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.mesh_session import MeshSession
from teachmesh.web.web_limits import WebLimits
from teachmesh.web.web_server import WebServer

SMALL = WebLimits(body_bytes=1 << 20, files=16, jobs=2, uploads=2, upload_files=40, streams=2)


class Caller:
    """A program that uses one server, with or without its token.

    Args:
        server: the server.
    """

    def __init__(self, server: WebServer) -> None:
        self.server = server
        # The server ends idle connections, maybe just when a slow caller uses one again.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=server.url, timeout=100, limits=fresh)
        self.token = {"authorization": f"Bearer {server.service.access.token}"}

    def ask(self, method: str, path: str, code: int = 200, **rest: Any) -> Any:
        """Send a request with the token, check the status, and return the document."""
        headers = self.token | rest.pop("headers", {})
        answer = self.http.request(method, path, headers=headers, **rest)
        assert answer.status_code == code, answer.text
        return answer.json()

    def get(self, path: str, code: int = 200) -> Any:
        """Return the document at a path."""
        return self.ask("GET", path, code)

    def predict(self, *images: bytes, code: int = 200, **query: Any) -> Any:
        """Classify images without the token."""
        files = [("files", (f"{n}.png", image)) for n, image in enumerate(images)]
        answer = self.http.post("/v1/predict", files=files, params=query)
        assert answer.status_code == code, answer.text
        return answer.json()

    def upload(self, classes: dict[str, list[bytes]]) -> str:
        """Upload pictures of classes, and return the id of the upload."""
        upload = self.ask("POST", "/v1/uploads")["upload"]
        for name, images in classes.items():
            for start in range(0, len(images), 8):
                files = [
                    ("files", (f"{n}.png", i)) for n, i in enumerate(images[start : start + 8])
                ]
                self.ask("POST", f"/v1/uploads/{upload}", files=files, params={"class": name})
        return str(upload)

    def learn(self, classes: dict[str, list[bytes]], **options: Any) -> dict[str, Any]:
        """Learn pictures of classes, and return the finished job."""
        asked = {"upload": self.upload(classes), **options}
        job = self.ask("POST", "/v1/learn", 202, json=asked)
        return self.finish(job["job"])

    def finish(self, job: str) -> dict[str, Any]:
        """Wait for a job, whose state changes last."""
        while (found := self.get(f"/v1/jobs/{job}"))["state"] in ("queued", "running"):
            time.sleep(0.02)  # questions without a pause would slow the job down
        assert isinstance(found, dict)
        return found


@contextmanager
def served(home: Path, **options: Any) -> Iterator[Caller]:
    """Serve the agent of a home on a free port within the block."""
    with WebServer(Agent(home), port=0, **options) as server:
        caller = Caller(server)
        with caller.http:
            yield caller


def pictures(folder: Path) -> dict[str, list[bytes]]:
    """The files of a task folder by class."""
    found: dict[str, list[bytes]] = {}
    for path in sorted(folder.glob("*/*")):
        found.setdefault(path.parent.name, []).append(path.read_bytes())
    return found


def png(width: int, height: int, seed: int = 0) -> bytes:
    """A PNG file of random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@contextmanager
def running_here(home: Path, **options: Any) -> Iterator[Caller]:
    """Serve and share the agent of a home within the block, as `teachmesh up` does.

    Args:
        home: the agent's home folder.
        options: options of `Agent.share`.
    """
    stop = threading.Event()
    with served(home) as caller:
        agent, report = caller.server.service.agent, caller.server.events.add
        share = partial(agent.share, on_event=report, **options)
        with MeshSession(agent, (), lambda join: share(join=join), report) as session:
            caller.server.service.session = session
            thread = threading.Thread(target=session.run, args=((), stop))
            thread.start()
            try:
                yield caller
            finally:
                stop.set()
                thread.join()
