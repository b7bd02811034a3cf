"""Weights from the hub, which files replace here so that no test needs the internet."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from teachmesh.errors import BackboneError
from teachmesh.model.backbone_registry import add_timm
from teachmesh.model.timm_net import create, import_timm
from teachmesh.model.timm_weights import published_weights
from tests.model.nets import needs_timm, random_timm

pytestmark = needs_timm
NAME = "resnet10t"


def published_at(path: Path) -> object:
    """Return timm's configuration of a network that is published at a web address only."""
    return import_timm().models.PretrainedCfg(url=path.as_uri())


def test_a_downloaded_file_fills_the_network(tmp_path: Path) -> None:
    """The network has the weights of the file, without the classifier."""
    path = random_timm(NAME, tmp_path)
    overlay = {"file": str(path), "custom_load": False, "num_classes": 4}
    net = create(NAME, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
    expected = {k: v for k, v in load_file(path).items() if not k.startswith("fc.")}
    state = net.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_an_old_checkpoint_is_read_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checksum is verified; a file that would run code is refused."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    state = {"conv.weight": torch.arange(4.0)}
    for name, content in (("good", state), ("evil", {"run": Evil()})):
        plain = tmp_path / f"{name}.pth"
        torch.save(content, plain)
        digest = hashlib.sha256(plain.read_bytes()).hexdigest()[:8]
        plain.rename(tmp_path / f"{name}-{digest}.pth")
    (good,), (evil,) = tmp_path.glob("good-*"), tmp_path.glob("evil-*")
    found = published_weights(published_at(good))["state_dict"]
    assert torch.equal(found["conv.weight"], state["conv.weight"])
    wrong = good.rename(tmp_path / "good-00000000.pth")
    for path in (evil, wrong, tmp_path / "missing-00000000.pth"):
        with pytest.raises(BackboneError, match="could not get the weights from the hub"):
            published_weights(published_at(path))


class Evil:
    """Run a command when a careless reader unpickles this."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 1",)


def test_without_internet_the_message_has_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client of the hub is offline with an empty cache; no file is left behind."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    words = r"from the hub \(.*\); connect to the internet, or bring a file: --weights FILE"
    with pytest.raises(BackboneError, match=words):
        add_timm(tmp_path / "backbones", NAME)
    assert not (tmp_path / "backbones").exists()
