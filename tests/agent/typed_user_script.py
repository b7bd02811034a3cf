"""A program of a user: `make lint` checks it with mypy --strict, nothing runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from teachmesh import Agent, Evaluation, LearnResult, Prediction, TeachmeshError


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """Two black images."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(3, 8, 8), index


def work(folder: Path) -> tuple[str, list[float]]:
    """Use each method once."""
    agent = Agent(folder / "home")
    pixels = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    results: list[LearnResult] = [
        agent.learn(folder / "task"),
        agent.learn((pixels, ["a", "b"]), name="pair"),
        agent.learn({"a": [pixels[0]], "b": [pixels[1]]}, name="mapping"),
        agent.learn(Photos(), name="data set", replace=True),
        agent.learn([(pixels[0], "a"), (pixels[1], "b")], name="list"),
    ]
    one: Prediction = agent.predict_one(folder / "image.png", task=results[0].task)
    many: list[Prediction] = agent.predict([Image.new("RGB", (8, 8)), pixels[0], b"", "a.png"])
    many += agent.predict(torch.zeros(3, 8, 8))
    latents: np.ndarray = agent.latents(pixels)
    report: Evaluation = agent.evaluate(folder / "task", images="all")
    info = agent.skills["pair"]
    exported: Path = agent.export(info.id, folder / "pair.skill").path
    with agent.share(join=["tcp/127.0.0.1:7447"]) as node:
        facts: tuple[list[str], Path] = node.endpoints, exported
    probabilities = [prediction.probability for prediction in many]
    return f"{one.class_name} {facts}", [*probabilities, report.final, float(latents.sum())]


def safe(folder: Path) -> str:
    """Catch the base class of all errors."""
    try:
        return work(folder)[0]
    except TeachmeshError as error:
        return str(error)
