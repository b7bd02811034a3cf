"""Train the embedded backbone: `python -m training.pretrain --data DIR --out RUN`.

Kill it at any moment and start it again: the same weights come out, because every draw depends on
(seed, epoch, step) only and the state is saved every few hundred steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skillmesh.model.embedded import LAST_WIDTH, EmbeddedNet
from training.augment import augmented, plain
from training.mosaics import Pictures, load_pictures
from training.recipe import Recipe
from training.state import load_state, save_state
from training.teacher import TEACHER_CLASSES, load_logits

SAVE_EVERY_STEPS = 200
VALIDATION_SIZE = 64
LOG_FILE = "log.jsonl"


class Student(nn.Module):
    """The backbone with a classifier for the labels and one for the teacher's classes.

    Only the backbone is shipped.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.net = EmbeddedNet()
        self.labels = nn.Linear(LAST_WIDTH, n_classes)
        self.teacher = nn.Linear(LAST_WIDTH, TEACHER_CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> logits of the labels (N, C) and of the teacher's classes (N, 1000)."""
        latents = self.net(x)[-1]
        return self.labels(latents), self.teacher(latents)


class Run:
    """One pretraining run, from the first step or from where it was killed.

    Args:
        recipe: what to do.
        train: training images.
        validation: validation images.
        logits: (N, 1000) float16 of the teacher, or None.
        folder: where state, log and results go.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Pictures,
        validation: Pictures,
        logits: np.ndarray | None,
        folder: Path,
    ) -> None:
        self.recipe, self.train, self.validation = recipe, train, validation
        self.logits, self.folder = logits, folder
        torch.manual_seed(recipe.seed)
        n_classes = int(train.labels.max()) + 1
        self.student = Student(n_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Student(n_classes)
        self.average.load_state_dict(self.student.state_dict())
        self.optimizer = self._optimizer()
        self.steps_per_epoch = len(train) // recipe.batch_size
        self.step = 0
        self.seconds = 0.0
        self._resume()

    def _optimizer(self) -> torch.optim.SGD:
        decayed = [p for p in self.student.parameters() if p.ndim > 1]
        others = [p for p in self.student.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": self.recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.SGD(groups, lr=0.1, momentum=self.recipe.momentum, nesterov=True)

    def _resume(self) -> None:
        state = load_state(self.folder)
        if state is None:
            return
        if state["recipe"] != json.dumps(dataclasses.asdict(self.recipe), sort_keys=True):
            raise SystemExit(f"{self.folder} holds a run of another recipe; choose another --out")
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the state: a later start goes on from here."""
        save_state(
            self.folder,
            {
                "recipe": json.dumps(dataclasses.asdict(self.recipe), sort_keys=True),
                "student": self.student.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
            },
        )

    def finish(self) -> None:
        """Train to the end of the schedule."""
        total = self.steps_per_epoch * self.recipe.epochs
        while self.step < total:
            epoch, index = divmod(self.step, self.steps_per_epoch)
            before_s = time.perf_counter()
            self._train_step(epoch, index, total)
            self.seconds += time.perf_counter() - before_s
            self.step += 1
            if index + 1 == self.steps_per_epoch:
                self._log(epoch)
            if index + 1 == self.steps_per_epoch or self.step % SAVE_EVERY_STEPS == 0:
                self.save()

    def _train_step(self, epoch: int, index: int, total: int) -> None:
        recipe = self.recipe
        order = np.random.default_rng((recipe.seed, epoch)).permutation(len(self.train))
        rows = np.sort(order[index * recipe.batch_size : (index + 1) * recipe.batch_size])
        generator = torch.Generator().manual_seed(hash_seed(recipe.seed, epoch, index))
        images = augmented(self.train.pixels[rows], recipe.size_of(epoch), generator)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(self.step, total)
        self.student.train()
        by_label, by_teacher = self.student(images)
        labels = torch.from_numpy(self.train.labels[rows])
        loss = functional.cross_entropy(by_label, labels, label_smoothing=recipe.label_smoothing)
        if self.logits is not None and recipe.distill_weight > 0:
            target = torch.from_numpy(self.logits[rows].astype(np.float32))
            loss = loss + recipe.distill_weight * divergence(by_teacher, target, recipe.temperature)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._update_average()

    @torch.no_grad()
    def _update_average(self) -> None:
        # A young average follows quickly, or the random start would stay in it for long.
        decay = min(self.recipe.average_decay, (1 + self.step) / (10 + self.step))
        for kept, new in zip(
            self.average.state_dict().values(), self.student.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    @torch.no_grad()
    def accuracy(self, size: int = VALIDATION_SIZE) -> float:
        """Top-1 of the averaged weights on the validation images, fraction of 1."""
        self.average.eval()
        right = 0
        for start in range(0, len(self.validation), 200):
            images = plain(self.validation.pixels[start : start + 200], size)
            answers = self.average(images)[0].argmax(1).numpy()
            right += int((answers == self.validation.labels[start : start + 200]).sum())
        return right / len(self.validation)

    def _log(self, epoch: int) -> None:
        size = self.recipe.size_of(epoch)
        line = {
            "epoch": epoch + 1,
            "size_px": size,
            "top1": round(self.accuracy(), 4),
            "top1_at_size": round(self.accuracy(size), 4),
            "train_s": round(self.seconds, 1),
            "images_per_s": round(
                (epoch + 1) * self.steps_per_epoch * self.recipe.batch_size / self.seconds, 1
            ),
        }
        with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of softened answers, times the temperature squared.

    Args:
        student: (N, K) logits.
        teacher: (N, K) logits.
        temperature: of both.
    """
    soft = functional.log_softmax(student / temperature, dim=1)
    target = functional.log_softmax(teacher / temperature, dim=1)
    loss = functional.kl_div(soft, target, reduction="batchmean", log_target=True)
    return loss * temperature**2


def hash_seed(seed: int, epoch: int, index: int) -> int:
    """One number per (seed, epoch, step), the same on every machine."""
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1)[0])


def _schedule(text: str) -> tuple[tuple[int, int], ...]:
    pairs = [part.split("x") for part in text.split(",")]
    return tuple((int(size), int(epochs)) for size, epochs in pairs)


def main() -> None:
    """Read the options, train, and say where the results are."""
    default = Recipe()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help="MobileNetV2 weights to distil from")
    parser.add_argument("--teacher-size", type=int, default=128)
    parser.add_argument(
        "--schedule",
        type=_schedule,
        default=default.schedule,
        help="SIZExEPOCHS,..., like 32x6,48x2,64x1",
    )
    parser.add_argument("--peak-rate", type=float, default=default.peak_rate)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--fraction", type=float, default=default.fraction)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = dataclasses.replace(
        default,
        schedule=options.schedule,
        peak_rate=options.peak_rate,
        seed=options.seed,
        fraction=options.fraction,
        distill_weight=default.distill_weight if options.teacher else 0.0,
    )
    train = load_pictures(options.data, "train", options.fraction)
    validation = load_pictures(options.data, "val")
    logits = None
    if options.teacher:
        logits = load_logits(options.teacher, train, options.out, options.teacher_size)
    (options.out / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=1))
    Run(recipe, train, validation, logits, options.out).finish()
    print(f"done; export with: python -m training.export {options.out}")


if __name__ == "__main__":
    main()
