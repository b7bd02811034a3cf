"""`Client` and `AsyncClient`: results and errors are those of the agent."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from teachmesh import AsyncClient, Client
from teachmesh.errors import DataError, NetworkError, UnknownSkillError, UsageError
from tests.web.web_agents import Caller, png


def token_of(caller: Caller) -> str:
    """The token of the agent."""
    return caller.server.service.access.token


def test_a_client_teaches_asks_and_corrects(caller: Caller, cold: Path) -> None:
    """A folder of this machine is learned there; errors keep their class."""
    with Client(home=caller.server.service.agent.home.path) as client:
        learned = client.learn(cold)
        assert (learned["task"], learned["validation_accuracy"]) == ("cold", 1.0)
        photo = cold / "cyan/00.png"
        assert client.predict(photo)[0]["class"] == "cyan"
        assert client.predict([photo.read_bytes(), photo], task="cold")[1]["task"] == "cold"
        done = client.correct(photo, task="cold", class_name="blue")
        assert done["left"] == ["cyan"]
        assert [skill["task"] for skill in client.skills()] == ["cold", "warm"]
        assert client.card("cold")["classes"] == ["blue", "cyan", "violet"]
        assert client.restore("cold")["changed"]
        assert len(client.history("cold")) == 3
        assert next(client.events())["task"] == "warm"
        assert ([peer["own"] for peer in client.peers()], client.status()["skills"]) == ([True], 4)
        assert client.export("cold") == caller.http.get("/v1/skills/cold/export").content
        with pytest.raises(DataError, match="text"):
            client.predict(b"text")
        with pytest.raises(UnknownSkillError, match="did you mean"):
            client.card("colt")
        with pytest.raises(UsageError, match="replace"):
            client.learn(cold)
        with pytest.raises(DataError, match="folder of images per class"):
            client.learn(cold / "missing")
        with pytest.raises(UsageError, match="without biases"):
            client.learn(cold, name="small", private=True, quality="best", max_bytes=9000)
        assert len(client.withdraw("cold")["skills"]) == 3


def test_the_client_for_asyncio_does_the_same(caller: Caller, cold: Path) -> None:
    """It has the same methods with the same parameters."""

    async def use() -> None:
        async with AsyncClient(str(caller.http.base_url), token_of(caller)) as client:
            answers = await asyncio.gather(*(client.predict(png(40, 40, n)) for n in range(4)))
            assert [found["task"] for (found,) in answers] == ["warm"] * 4
            job = await client.start_learning(cold, "hues", {})
            await client.cancel(job)
            while (await client.job(job))["state"] in ("queued", "running"):
                await asyncio.sleep(0.02)
            async for event in client.events():
                assert event["event"] == "saved"
                break

    asyncio.run(use())
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            other = getattr(AsyncClient, name)
            assert list(inspect.signature(other).parameters) == list(
                inspect.signature(method).parameters
            )


def test_an_agent_that_does_not_run_is_a_network_error(tmp_path: Path) -> None:
    """The message names the next command, or the address."""
    with pytest.raises(NetworkError, match="teachmesh up"):
        Client(home=tmp_path)
    with Client("http://127.0.0.1:9/") as client, pytest.raises(NetworkError, match="running"):
        client.status()
