"""Write the weights, reference and card of a run into the package.

    python -m pretraining.export_weights RUN --data ../shared/pretrain

The run may still be in progress: the averaged weights of its last saved state are exported.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save

from pretraining.distillation_loop import read_log, top1
from pretraining.make_reference import (
    EMBEDDED_SIZE,
    fit_shipped_reference,
    size_and_identity,
)
from pretraining.mosaics import load_pictures
from pretraining.student_net import Student
from pretraining.training_state import EARLIER_FILE, RECIPE_FILE, load_state, write_atomically
from teachmesh.model.backbone import Backbone, hash_weights
from teachmesh.model.backbone_cards import (
    CARD_FILE,
    EMBEDDED_REFERENCE_FILE,
    RESEARCH_LICENCE,
    assets,
    with_description,
)
from teachmesh.model.embedded_backbone import WEIGHTS_FILE, EmbeddedNet, load_embedded, packed
from teachmesh.model.forward_pass import Preprocessing
from teachmesh.model.reference import DEFAULT_DIM, Reference

MEASURED_SIZES = (64, 80, 96)
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
ARCHITECTURE = "teachmesh-embedded-2"
ABOUT = {
    "data": "Tiny-ImageNet: 200 ImageNet classes, 100,000 training images of 64 x 64 pixels",
    "data_licence": (
        "ImageNet's terms: the images are for non-commercial research and education; where that "
        "does not fit, use another backbone: teachmesh backbone add NAME"
    ),
    "licence": RESEARCH_LICENCE,
    "weights_licence": "Apache-2.0, as far as the data's terms allow",
    "bad_at": (
        "fine detail (it was trained on images of at most 64 pixels), text, medical images, and "
        "whatever is far from photographs of objects"
    ),
    "swap": (
        "teachmesh backbone add NAME takes any timm network; skills of different backbones do not "
        "mix"
    ),
}


def packed_weights(run: Path) -> bytes:
    """Return the averaged backbone of a run's last state as a file with int8 convolutions.

    The file has only one metadata key, because the library writes several keys in random order.

    Raises:
        SystemExit: the run has no saved state yet.
    """
    state = load_state(run)
    if state is None:
        raise SystemExit(f"{run} holds no saved state yet; wait or look at its output")
    prefix = "net."
    tensors = {
        key.removeprefix(prefix): value
        for key, value in state["average"].items()
        if key.startswith(prefix) and not key.endswith("num_batches_tracked")
    }
    return save(
        packed(tensors), metadata={"teachmesh": json.dumps({"schema": "teachmesh.embedded/2"})}
    )


def write_assets(run: Path, data: Path, folder: Path, dim: int = DEFAULT_DIM) -> dict[str, Any]:
    """Write the three files that the package ships.

    Everything is computed before the first file is replaced, because the files belong together
    and the old files may be in use.

    Args:
        run: folder of a run of `pretraining.pretrain`.
        data: folder of the pretraining images, for fitting the reference.
        folder: folder for the three files.
        dim: dimension of the multi-depth latents, D.

    Returns:
        The model card.
    """
    weights = packed_weights(run)
    with TemporaryDirectory() as temporary:
        (Path(temporary) / WEIGHTS_FILE).write_bytes(weights)
        net = load_embedded(Path(temporary))
    reference = fit_shipped_reference(net, Preprocessing(EMBEDDED_SIZE, MEAN, STD), data, dim)
    card = describe(net, reference, run)
    card["validation_top1"] = shipped_top1(net, data, run)
    card["weights_file_sha256"] = hashlib.sha256(weights).hexdigest()
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    reference_bytes = reference.to_bytes()
    write_atomically(folder / WEIGHTS_FILE, lambda file: file.write(weights))
    write_atomically(folder / EMBEDDED_REFERENCE_FILE, lambda file: file.write(reference_bytes))
    write_atomically(folder / CARD_FILE, lambda file: file.write(text.encode()))
    return card


def shipped_top1(net: EmbeddedNet, data: Path, run: Path) -> dict[str, float]:
    """Measure the accuracy of the shipped int8 weights with the run's classifier.

    Args:
        net: the shipped backbone.
        data: folder of the pretraining images.
        run: folder of the run.

    Returns:
        The top-1 accuracy on the validation images for each image size.
    """
    state = load_state(run)
    assert state is not None  # a run with weights has a saved state
    student = Student(len(state["average"]["labels.bias"]))
    student.load_state_dict(state["average"])
    student.net = net
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pictures = load_pictures(data, "val", cache=run)
    return {f"{size} px": round(top1(student, pictures, size), 4) for size in MEASURED_SIZES}


def describe(net: EmbeddedNet, reference: Reference, run: Path) -> dict[str, Any]:
    """Return the model card: architecture, training, cost and weaknesses of the backbone."""
    backbone = Backbone(
        name="embedded",
        architecture=ARCHITECTURE,
        net=net,
        tap_names=net.tap_names,
        preprocessing=Preprocessing(EMBEDDED_SIZE, MEAN, STD),
        reference=reference,
        weights_sha256=hash_weights(net.state_dict()),
    )
    epochs = read_log(run)
    last = epochs[-1] if epochs else {}
    earlier = run / EARLIER_FILE
    card = {
        **ABOUT,
        **size_and_identity(net, backbone),
        "architecture": ARCHITECTURE,
        "mean": MEAN,
        "std": STD,
        "parameters": sum(p.numel() for p in net.parameters()),
        "recipe": json.loads((run / RECIPE_FILE).read_text(encoding="utf-8")),
        "earlier": json.loads(earlier.read_text(encoding="utf-8")) if earlier.exists() else [],
        "epochs": epochs,
        "train_images_per_s": last.get("images_per_s"),
        "train_minutes": round(last["train_s"] / 60, 1) if last else None,
    }
    return with_description(card, backbone.describe())


def main(arguments: Sequence[str] | None = None) -> None:
    """Export the weights and print the written files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the mosaics")
    parser.add_argument("--to", type=Path, default=assets(), help="default: the package")
    parser.add_argument("--dim", type=int, default=DEFAULT_DIM, help="D of multi-depth latents")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    card = write_assets(options.run, options.data, options.to, options.dim)
    sizes = {path.name: path.stat().st_size for path in sorted(options.to.iterdir())}
    print(f"fingerprint {card['fingerprint']}\nfiles {sizes}\nepochs {card['epochs'][-1:]}")


if __name__ == "__main__":
    main()
