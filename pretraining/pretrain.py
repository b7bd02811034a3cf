"""Train the embedded backbone: `python -m pretraining.pretrain --data DIR --out RUN`.

A run may be killed at any time. A restart with the same options produces the same weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pretraining.distillation_loop import Run, read_log
from pretraining.export_weights import packed_weights
from pretraining.mosaics import load_pictures
from pretraining.plot import plot_log
from pretraining.pretraining_recipe import Recipe
from pretraining.teacher_nets import load_logits
from pretraining.training_state import EARLIER_FILE, RECIPE_FILE, averaged_weights, write_atomically
from teachmesh.model.embedded_backbone import WEIGHTS_FILE


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, train, and print the next command.

    Args:
        arguments: command-line arguments; None for the arguments of this process.
    """
    options = _parser().parse_args(arguments)
    start, digest = averaged_weights(options.start) if options.start else (None, "")
    recipe = _recipe(options, digest)
    # Parts of a batch run in parallel; within a part, the order of sums must be fixed.
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    train = load_pictures(options.data, "train", recipe.fraction, options.out)
    validation = load_pictures(options.data, "val", cache=options.out)
    logits = None
    if options.teacher:
        logits = load_logits(options.teacher, train, options.out, recipe.teacher_size)
    run = Run(
        recipe, train, validation, logits, options.out, options.save_every, options.threads, start
    )
    text = json.dumps(dataclasses.asdict(recipe), indent=1).encode()
    write_atomically(options.out / RECIPE_FILE, lambda file: file.write(text))
    if options.start:
        earlier = json.dumps(_history(options.start), indent=1).encode()
        write_atomically(options.out / EARLIER_FILE, lambda file: file.write(earlier))
    run.finish()
    run.save()
    weights = packed_weights(options.out)
    write_atomically(options.out / WEIGHTS_FILE, lambda file: file.write(weights))
    plot_log(run.log, options.out / "log.png")
    ship = f"python -m pretraining.export_weights {options.out} --data {options.data}"
    print(f"done; ship it with: {ship}")


def _history(run: Path) -> list[dict[str, Any]]:
    """Return the recipes and logs of a run and of the earlier runs that it started from."""
    path = run / EARLIER_FILE
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    recipe = json.loads((run / RECIPE_FILE).read_text(encoding="utf-8"))
    return [*before, {"recipe": recipe, "epochs": read_log(run)}]


def _recipe(options: argparse.Namespace, start: str) -> Recipe:
    default = Recipe()
    return dataclasses.replace(
        default,
        schedule=options.schedule,
        batch_size=options.batch_size,
        peak_rate=options.peak_rate,
        warmup=options.warmup,
        start=start,
        seed=options.seed,
        fraction=options.fraction,
        parts=options.parts,
        teacher_size=options.teacher_size if options.teacher else 0,
        distill_weight=default.distill_weight if options.teacher else 0.0,
    )


def _parser() -> argparse.ArgumentParser:
    default = Recipe()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the mosaics")
    add("--out", type=Path, required=True, help="folder of the run; an interrupted run continues")
    add("--teacher", type=Path, help="MobileNetV2 weights to distil from")
    add("--teacher-size", type=int, default=112, help="side in pixels for the teacher")
    add("--schedule", type=_schedule, default=default.schedule, help="SIZExEPOCHS,SIZExEPOCHS,...")
    add("--batch-size", type=int, default=default.batch_size, help="images per step")
    add("--peak-rate", type=float, default=default.peak_rate, help="highest learning rate")
    add("--warmup", type=float, default=default.warmup, help="share of the steps until the peak")
    add("--start", type=Path, help="run whose averaged weights are the start of this one")
    add("--seed", type=int, default=default.seed, help="seed of weights, order and augmentation")
    add("--fraction", type=float, default=default.fraction, help="share of the images")
    add("--parts", type=int, default=default.parts, help="parts of a batch")
    add("--threads", type=int, default=2, help="parts computed at once; changes the speed only")
    add("--save-every", type=int, default=200, help="steps between two saved states")
    return parser


def _schedule(text: str) -> tuple[tuple[int, int], ...]:
    pairs = [part.split("x") for part in text.split(",")]
    return tuple((int(size), int(epochs)) for size, epochs in pairs)


if __name__ == "__main__":
    main()
