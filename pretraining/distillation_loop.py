"""The training loop. Random numbers depend on (seed, epoch, step), also in a resumed run."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pretraining.augment import augmented, plain
from pretraining.mosaics import Pictures
from pretraining.parts import Parts
from pretraining.pretraining_recipe import Recipe
from pretraining.student_net import Student, loss_of, optimizer_of
from pretraining.training_state import load_state, save_state, write_atomically

LOG_FILE = "log.jsonl"
VALIDATION_SIZE = 64
_VALIDATION_BATCH = 200


class Run:
    """A pretraining run; it continues from its last saved state if there is one.

    Args:
        recipe: settings of the run.
        train: training images.
        validation: validation images.
        logits: (N, 1000) float16 logits of the teacher; None to train without a teacher.
        folder: folder for state and log.
        save_every_steps: number of steps between saves; the end of each epoch is also saved.
        workers: number of threads for the parts of a batch; results do not depend on it.
        start: initial weights (`training_state.averaged_weights`); None for random weights.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Pictures,
        validation: Pictures,
        logits: np.ndarray | None,
        folder: Path,
        save_every_steps: int,
        workers: int = 1,
        start: dict[str, torch.Tensor] | None = None,
    ) -> None:
        self.recipe, self.train, self.validation = recipe, train, validation
        self.logits, self.folder, self.save_every_steps = logits, folder, save_every_steps
        torch.manual_seed(recipe.seed)
        n_classes = int(train.labels.max()) + 1
        self.student = Student(n_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            self.student.load_state_dict(start)
        self.average = Student(n_classes)
        self.average.load_state_dict(self.student.state_dict())
        self.optimizer = optimizer_of(self.student, recipe)
        self.steps_per_epoch = len(train) // recipe.batch_size
        self.step = 0
        self.seconds = 0.0
        self.log: list[dict[str, Any]] = []
        self._resume()
        # The parts are made after the state is loaded, because replicas start with its statistics.
        self.parts = Parts(self.student, recipe.parts, workers)

    def _resume(self) -> None:
        state = load_state(self.folder)
        if state is None:
            return
        if state["recipe"] != self._recipe():
            raise SystemExit(f"{self.folder} holds a run of another recipe; choose another --out")
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]
        print(f"going on at step {self.step}", flush=True)

    def _recipe(self) -> str:
        return json.dumps(dataclasses.asdict(self.recipe), sort_keys=True)

    def save(self) -> None:
        """Save the state, so that the run can be resumed from this step."""
        state = {
            "recipe": self._recipe(),
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "log": self.log,
        }
        save_state(self.folder, state)
        # The log is derived from the state, so a kill between these two writes loses no line.
        text = "".join(json.dumps(line) + "\n" for line in self.log).encode()
        write_atomically(self.folder / LOG_FILE, lambda file: file.write(text))

    def finish(self) -> None:
        """Train to the end of the schedule."""
        total = self.steps_per_epoch * self.recipe.epochs
        while self.step < total:
            epoch, index = divmod(self.step, self.steps_per_epoch)
            before_s = time.perf_counter()
            self._train_step(epoch, index, total)
            self.seconds += time.perf_counter() - before_s
            self.step += 1
            epoch_ends = index + 1 == self.steps_per_epoch
            if epoch_ends:
                self._note(epoch)
            if epoch_ends or self.step % self.save_every_steps == 0:
                self.save()
        self.parts.close()

    def _train_step(self, epoch: int, index: int, total: int) -> None:
        recipe = self.recipe
        order = np.random.default_rng((recipe.seed, epoch)).permutation(len(self.train))
        # Sorted, so that the large arrays are read in one direction.
        rows = np.sort(order[index * recipe.batch_size : (index + 1) * recipe.batch_size])
        # Rows alternate between the parts; otherwise the parts would have different classes.
        rows_of = [rows[part :: recipe.parts] for part in range(recipe.parts)]
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(self.step, total)
        self.student.train()

        def loss_of_part(replica: nn.Module, part: int) -> torch.Tensor:
            mine = rows_of[part]
            generator = torch.Generator().manual_seed(seed_of(recipe.seed, epoch, index, part))
            size = recipe.size_of(epoch)
            images = augmented(self.train.pixels[mine], size, generator)
            labels = torch.from_numpy(self.train.labels[mine])
            return loss_of(replica(images), labels, self._soft(mine), recipe)

        self.parts.step(loss_of_part)
        self.optimizer.step()
        self._update_average()

    def _soft(self, rows: np.ndarray) -> torch.Tensor | None:
        if self.logits is None:
            return None
        return torch.from_numpy(self.logits[rows].astype(np.float32))

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early averages change quickly, so that the random initial weights are soon forgotten.
        decay = min(self.recipe.average_decay, (1 + self.step) / (10 + self.step))
        for kept, new in zip(
            self.average.state_dict().values(), self.student.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _note(self, epoch: int) -> None:
        size = self.recipe.size_of(epoch)
        images = (epoch + 1) * self.steps_per_epoch * self.recipe.batch_size
        line = {
            "epoch": epoch + 1,
            "size_px": size,
            "top1_at_size": round(top1(self.average, self.validation, size), 4),
            "train_s": round(self.seconds, 1),
            "images_per_s": round(images / self.seconds, 1),
        }
        if epoch + 1 == self.recipe.epochs:
            line["top1"] = round(top1(self.average, self.validation, VALIDATION_SIZE), 4)
        self.log.append(line)
        print(line, flush=True)


def read_log(run: Path) -> list[dict[str, Any]]:
    """Read the log of a run, with one entry per finished epoch."""
    path = run / LOG_FILE
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@torch.no_grad()
def top1(student: Student, pictures: Pictures, size: int) -> float:
    """Return the fraction of the images that a student classifies correctly.

    Args:
        student: the network; it is switched to evaluation mode.
        pictures: N labelled images.
        size: side in pixels to which the images are resized.
    """
    student.eval()
    right = 0
    for start in range(0, len(pictures), _VALIDATION_BATCH):
        rows = slice(start, start + _VALIDATION_BATCH)
        answers = student(plain(pictures.pixels[rows], size))[0].argmax(1)
        right += int((answers.numpy() == pictures.labels[rows]).sum())
    return right / len(pictures)


def seed_of(*numbers: int) -> int:
    """Derive a seed from (seed, epoch, step, part); it is the same on every machine.

    Examples:
        >>> seed_of(0, 0, 0, 0) == seed_of(0, 0, 0, 0), seed_of(0, 0, 0, 1) == seed_of(0, 1, 0, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
