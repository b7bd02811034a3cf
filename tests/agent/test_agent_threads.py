"""Many threads use one agent: each answer is that of one state of the bank."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teachmesh import Agent, UsageError
from teachmesh.packet.signing import sign
from tests.biases.test_biases_decide import answering_the_next_class

READERS = 3


def _stripes(seed: int) -> tuple[np.ndarray, list[str]]:
    """Return 8 images of two classes, with colours of their own."""
    draws = np.random.default_rng(seed)
    colours = draws.integers(0, 255, (2, 1, 1, 3))
    noise = draws.integers(-20, 20, (8, 24, 24, 3))
    images = np.repeat(colours, 4, axis=0) + noise
    return images.clip(0, 255).astype(np.uint8), [f"{seed} left"] * 4 + [f"{seed} right"] * 4


def _answers(agent: Agent, images: np.ndarray) -> tuple[Any, ...]:
    return tuple(
        (p.task, p.class_name, p.skill_id, p.unknown, round(p.probability, 5), p.same_as)
        for p in agent.predict(images)
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """An agent that learned four tasks; the last one has biases."""
    made = Agent(tmp_path_factory.mktemp("threads") / "teacher")
    for seed in range(4):
        made.learn(_stripes(seed), name=f"task {seed}", split=(0, 0))
    return made


def _read_all(threads: list[Callable[[], None]]) -> list[BaseException]:
    """Run functions at the same time; return what they raised."""
    raised: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    started = [threading.Thread(target=guarded, args=(work,)) for work in threads]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return raised


def test_each_answer_belongs_to_one_state_of_the_bank(tmp_path: Path, teacher: Agent) -> None:
    """Threads answer while skills arrive, one with biases, and while a task is learned."""
    ids = sorted(teacher.bank.ids())
    skill = teacher.bank.load(ids[-1]).skill
    biased = sign(answering_the_next_class(skill, teacher), teacher.key).data
    parcels = [*(teacher.read(skill_id) for skill_id in ids[:-1]), biased]
    images, own = _stripes(0)[0][:3], _stripes(9)
    alone = Agent(tmp_path / "alone")
    alone.receive(parcels[0])
    legal = [_answers(alone, images)]
    for parcel in parcels[1:]:
        alone.receive(parcel)
        legal.append(_answers(alone, images))
    agent = Agent(tmp_path / "home")
    agent.receive(parcels[0])
    done = threading.Event()
    found: list[tuple[Any, ...]] = []

    def read() -> None:
        while not done.is_set() or not found:
            found.append(_answers(agent, images))
            assert all(info.n_classes == 2 for info in agent.skills.values())

    def write() -> None:
        try:
            for parcel in parcels[1:]:
                count = len(found)
                agent.receive(parcel)
                while len(found) < count + READERS:
                    done.wait(0.001)
        finally:
            done.set()

    assert _read_all([write, *[read] * READERS]) == []
    assert [answer for answer in found if answer not in legal] == []
    assert _answers(agent, images) == legal[-1]
    done.clear()
    found.clear()
    with_own = _read_all([lambda: _learn_then(agent, own, done), *[read] * READERS])
    assert with_own == []
    legal = [legal[-1], _answers(agent, images)]
    assert [answer for answer in found if answer not in legal] == []


def _learn_then(agent: Agent, task: tuple[np.ndarray, list[str]], done: threading.Event) -> None:
    try:
        agent.learn(task, name="own", split=(0, 0))
    finally:
        done.set()


def test_of_threads_that_learn_one_task_exactly_one_succeeds(tmp_path: Path) -> None:
    """The others get the error of a task that was learned before."""
    agent = Agent(tmp_path / "home")
    raised = _read_all([lambda: _learn_then(agent, _stripes(5), threading.Event())] * 3)
    assert [type(error) for error in raised] == [UsageError, UsageError]
    assert list(agent.skills) == ["own"]
