"""Write a run's weights, card and reference into the package.

    python -m training.export RUN --data ../shared/pretrain

May be called while the run goes on: the averaged weights of its last checkpoint are taken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional

from skillmesh.model.backbone import Backbone, Preprocessing, hash_weights
from skillmesh.model.embedded import CARD_FILE, WEIGHTS_FILE, EmbeddedNet, load_embedded
from skillmesh.model.macs import macs_per_image
from skillmesh.model.reference import DEFAULT_DIM, Reference, fit_reference
from skillmesh.model.registry import assets
from training.augment import plain
from training.mosaics import load_pictures
from training.pretrain import LOG_FILE
from training.state import load_state

SIZE = 96
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
REFERENCE_PER_CLASS = 10
REFERENCE_FILE = "embedded-reference.safetensors"
ARCHITECTURE = "skillmesh-embedded-1"


def averaged_weights(run: Path) -> dict[str, torch.Tensor]:
    """The averaged backbone of a run's last checkpoint, in half precision."""
    state = load_state(run)
    if state is None:
        raise SystemExit(f"{run} holds no checkpoint yet")
    prefix = "net."
    return {
        key.removeprefix(prefix): value.half().contiguous()
        for key, value in state["average"].items()
        if key.startswith(prefix) and not key.endswith("num_batches_tracked")
    }


def fit_embedded_reference(net: EmbeddedNet, data: Path, dim: int) -> Reference:
    """Scale and projection from pretraining images, enlarged to the default input size."""
    pictures = load_pictures(data, "train", REFERENCE_PER_CLASS / 500)
    parts: list[list[np.ndarray]] = [[] for _ in net.tap_names]
    with torch.inference_mode():
        for start in range(0, len(pictures), 50):
            images = plain(pictures.pixels[start : start + 50], pictures.pixels.shape[1])
            large = functional.interpolate(images, size=(SIZE, SIZE), mode="bicubic").clamp(-1, 1)
            for kept, tap in zip(parts, net(large), strict=True):
                kept.append(tap.numpy())
    return fit_reference([np.concatenate(kept) for kept in parts], dim)


def write_assets(run: Path, data: Path, folder: Path, dim: int = DEFAULT_DIM) -> dict[str, Any]:
    """Write the three files that the package ships.

    Args:
        run: folder of `training.pretrain`.
        data: the pretraining images, for the reference.
        folder: where to.
        dim: D of the multi-depth latents.

    Returns:
        The card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata = json.dumps({"schema": "skillmesh.embedded/1"})
    data_bytes = save(averaged_weights(run), metadata={"skillmesh": metadata})
    (folder / WEIGHTS_FILE).write_bytes(data_bytes)
    net = load_embedded(folder)
    reference = fit_embedded_reference(net, data, dim)
    (folder / REFERENCE_FILE).write_bytes(reference.to_bytes())
    backbone = Backbone(
        name="embedded",
        architecture=ARCHITECTURE,
        net=net,
        tap_names=net.tap_names,
        preprocessing=Preprocessing(SIZE, MEAN, STD),
        reference=reference,
        weights_sha256=hash_weights(dict(net.state_dict())),
    )
    card = {
        "architecture": ARCHITECTURE,
        "size": SIZE,
        "mean": MEAN,
        "std": STD,
        "fingerprint": backbone.fingerprint,
        "weights_file_sha256": hashlib.sha256(data_bytes).hexdigest(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "macs_per_image": macs_per_image(net, SIZE),
        "dim": reference.dim,
        "recipe": json.loads((run / "recipe.json").read_text(encoding="utf-8")),
        "epochs": _log(run),
        "data": "Tiny-ImageNet: 200 ImageNet classes, 100,000 training images of 64 x 64 pixels",
        "data_licence": (
            "ImageNet's terms: the images are for non-commercial research and education; where "
            "that does not fit, use another backbone: skillmesh backbone add NAME"
        ),
        "weights_licence": "Apache-2.0, as far as the data's terms allow",
        "bad_at": (
            "fine detail (it was trained on 64-pixel images), text, medical images, and whatever "
            "is far from photographs of objects"
        ),
    }
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n")
    return card


def _log(run: Path) -> list[dict[str, Any]]:
    path = run / LOG_FILE
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Export and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=assets())
    parser.add_argument("--dim", type=int, default=DEFAULT_DIM)
    options = parser.parse_args()
    card = write_assets(options.run, options.data, options.to, options.dim)
    sizes = {path.name: path.stat().st_size for path in sorted(options.to.iterdir())}
    print(f"fingerprint {card['fingerprint']}\nfiles {sizes}\nepochs {card['epochs'][-1:]}")


if __name__ == "__main__":
    main()
