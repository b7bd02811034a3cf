"""The HTTP API: asking, teaching, correcting and skills, as a program uses it."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from teachmesh.agent import Agent
from teachmesh.errors import ConfigError
from teachmesh.web import api_examples
from teachmesh.web.access import TOKEN_VARIABLE, choose_access
from tests.conftest import write_task
from tests.web.web_agents import Caller, pictures, png


def test_pictures_that_were_uploaded_make_the_skill_of_their_folder(
    caller: Caller, tmp_path: Path
) -> None:
    """The answers of an agent that learned the folder are the same, bit for bit."""
    folder = write_task(tmp_path, "warm")
    other = Agent(tmp_path / "home")
    other.learn(folder)
    image = (folder / "red/00.png").read_bytes()
    over_http = caller.predict(image)["predictions"][0]
    direct = other.predict_one(image).to_dict()
    same = ("task", "class", "probability", "unknown", "alternatives", "familiarity")
    assert [over_http[key] for key in same] == [direct[key] for key in same]


def test_documents_have_the_keys_of_the_examples(caller: Caller) -> None:
    """OpenAPI shows the examples, so they must be right."""
    found = {
        "PREDICT": caller.predict(png(40, 40)),
        "SKILLS": caller.get("/v1/skills"),
        "CARD": caller.get("/v1/skills/warm"),
        "HISTORY": caller.get("/v1/skills/warm/history"),
        "STATUS": caller.get("/v1/status"),
        "PEERS": caller.get("/v1/peers"),
        "PENDING": caller.get("/v1/peers/pending"),
        "QUARANTINE": caller.get("/v1/skills/quarantine/list"),
        "AGENT": caller.get("/v1/agent"),
        "RUNS": caller.get("/v1/runs"),
        "JOB": caller.get("/v1/jobs")["jobs"][0],
    }
    for name, document in found.items():
        assert getattr(api_examples, name).keys() <= document.keys(), name
    prediction = api_examples.PREDICT["predictions"][0]
    assert found["PREDICT"]["predictions"][0].keys() == prediction.keys()
    assert found["PEERS"]["agents"][0].keys() == api_examples.PEERS["agents"][0].keys()
    assert found["SKILLS"]["skills"][0].keys() == api_examples.SKILL.keys()
    documented = caller.get("/v1/openapi.json")["paths"]
    assert {"/v1/predict", "/v1/learn", "/v1/correct", "/v1/events", "/metrics"} <= set(documented)
    body = documented["/v1/learn"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"quality", "max_bytes", "private"} <= set(body["properties"])
    assert all(field["description"] for field in body["properties"].values())


def test_a_task_grows_is_corrected_restored_and_withdrawn(caller: Caller, cold: Path) -> None:
    """Each change is a version; the events say so, and an exported skill comes back."""
    images = pictures(cold)
    blue = images.pop("blue")
    assert caller.learn(images, name="cold")["state"] == "done"
    grown = caller.learn({"blue": blue}, add_to="cold")
    assert grown["result"]["classes"] == ["blue", "cyan", "violet"]
    photo = {"files": ("mine.png", png(48, 48))}
    asked = {"task": "cold", "class": "cyan"}
    done = caller.ask("POST", "/v1/correct", files=photo, params=asked)
    assert done.keys() == api_examples.CORRECT.keys()
    assert len(caller.get("/v1/skills/cold/history")["versions"]) == 3
    back = caller.ask("POST", "/v1/skills/cold/restore", json={"version": 1})
    assert (back["changed"], back.keys()) == (True, api_examples.RESTORED.keys())
    skill = caller.http.get("/v1/skills/cold/export")
    assert skill.headers["content-disposition"].endswith("cold.skill")
    assert caller.ask("DELETE", f"/v1/skills/{back['skill']}")["task"] == "cold"
    form = {"files": ("cold.skill", skill.content)}
    assert caller.ask("POST", "/v1/skills", files=form)["skills"][0]["id"] == back["skill"]
    gone = caller.ask("POST", "/v1/skills/cold/withdraw")
    assert gone.keys() == api_examples.WITHDRAWN.keys()
    assert [skill["task"] for skill in caller.get("/v1/skills")["skills"]] == ["warm"]
    saved = [event for _, event in caller.server.events.after(0) if event["event"] == "saved"]
    assert [event["task"] for event in saved] == ["warm", "cold", "cold", "cold"]


def test_quality_and_size_are_those_of_learning_on_the_command_line(
    caller: Caller, cold: Path
) -> None:
    """A skill keeps to its size; `best` learns biases, which a smaller skill cannot have."""
    small = caller.learn(pictures(cold), name="small", max_bytes=20_000, quality="fast")["result"]
    assert small["size_bytes"] <= 20_000
    assert caller.get("/v1/skills/warm")["skill"]["size_bytes"] > 20_000
    failed = caller.learn(pictures(cold), name="best", max_bytes=20_000, quality="best")
    assert "without biases" in failed["error"]["message"]
    caller.ask("DELETE", "/v1/skills/small")
    for wrong in ({"quality": "x"}, {"max_bytes": 0}, {"max_bytes": "y"}):
        asked = {"upload": "x", "name": "cold", **wrong}
        message = caller.ask("POST", "/v1/learn", 400, json=asked)["message"]
        assert next(iter(wrong)) in message


def test_a_job_that_fails_or_is_cancelled_changes_nothing(caller: Caller, cold: Path) -> None:
    """The error is that of the command line, and names the caller's files only."""
    failed = caller.learn({"a": [b"no image"] * 3, "b": [png(9, 9)]}, name="broken")
    assert (failed["state"], failed["error"]["exit_code"]) == ("failed", 4)
    assert str(caller.server.service.agent.home.path) not in json.dumps(failed)
    lock = caller.server.service.agent.learning
    with lock:  # so that the job waits
        asked = {"upload": caller.upload(pictures(cold)), "name": "cold"}
        job = caller.ask("POST", "/v1/learn", 202, json=asked)["job"]
        caller.ask("DELETE", f"/v1/jobs/{job}")
    assert caller.finish(job)["state"] == "cancelled"
    assert caller.get("/v1/skills")["skills"][0]["task"] == "warm"
    uploads = caller.server.service.agent.home.cache / "web-uploads"
    assert list(uploads.iterdir()) == []


def test_a_stranger_waits_until_it_is_trusted_or_blocked(caller: Caller, tmp_path: Path) -> None:
    """The decisions are those of `teachmesh peers`, and the agent follows them at once."""
    stranger = Agent(tmp_path / "stranger")
    learned = stranger.learn(write_task(tmp_path, "cold"))
    agent = caller.server.service.agent
    agent.trust.set_policy("ask")
    form = {"files": ("cold.skill", stranger.read(learned.skill_id))}
    caller.ask("POST", "/v1/skills", files=form)
    assert [skill["task"] for skill in caller.get("/v1/peers/pending")["skills"]] == ["cold"]
    blue = (tmp_path / "cold/blue/00.png").read_bytes()
    assert caller.predict(blue)["predictions"][0]["task"] == "warm"
    done = caller.ask("POST", f"/v1/peers/{stranger.id}/trust")
    assert (done["agent"]["standing"], done.keys()) == ("trusted", api_examples.PEER.keys())
    assert caller.predict(blue)["predictions"][0]["task"] == "cold"
    caller.ask("POST", f"/v1/peers/{stranger.id}/block")
    assert [skill["task"] for skill in caller.get("/v1/skills")["skills"]] == ["warm"]
    assert caller.ask("POST", f"/v1/peers/{stranger.id}/praise", 400)["exit_code"] == 2
    assert caller.ask("POST", "/v1/peers/QQQQ-QQQQ/trust", 400)["exit_code"] == 2


def test_events_and_metrics_are_read_as_they_are_written(caller: Caller) -> None:
    """A reader continues after the last event that it has."""
    log = caller.server.events
    log.add({"event": "received", "task": "x\n\ndata: forged"})
    last = log.after(0)[-1][0]
    with caller.http.stream(
        "GET", "/v1/events", headers={"last-event-id": str(last - 1)}
    ) as answer:
        lines = answer.iter_lines()
        found = next(line for line in lines if line.startswith("data: "))
        assert json.loads(found[6:])["task"] == "x\n\ndata: forged"
    text = caller.http.get("/metrics").text
    assert "teachmesh_skills_usable 1" in text
    assert 'teachmesh_http_requests_total{method="POST",status="200"}' in text
    assert all(line.startswith(("#", "teachmesh_")) for line in text.splitlines())


def test_other_machines_need_a_token_that_a_person_chose(tmp_path: Path) -> None:
    """Without it the server does not start; the home's own token is for its owner only."""
    with pytest.raises(ConfigError, match=TOKEN_VARIABLE):
        choose_access("0.0.0.0", tmp_path, {})
    with pytest.raises(ConfigError, match="16 ASCII"):
        choose_access("0.0.0.0", tmp_path, {TOKEN_VARIABLE: "short"})
    chosen = choose_access(
        "0.0.0.0", tmp_path, {TOKEN_VARIABLE: "long enough to guess not".replace(" ", "-")}
    )
    assert not chosen.is_local
    assert not (tmp_path / "web.token").exists()
    access = choose_access("127.0.0.1", tmp_path, {})
    assert choose_access("127.0.0.1", tmp_path, {}) == access
    assert stat.S_IMODE((tmp_path / "web.token").stat().st_mode) == 0o600


def test_head_and_body_of_an_answer_are_sent_at_once(caller: Caller) -> None:
    """Otherwise asyncio leaves Nagle's algorithm on, which adds 40 ms."""
    assert caller.server._socket.proto == socket.IPPROTO_TCP
