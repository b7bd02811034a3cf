"""Backbones of a home are added, loaded, exported, imported and removed by alias."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from teachmesh.data.backbone_store import BackboneStore, StoredBackbone, pack, unpack
from teachmesh.errors import BackboneError, DataError
from teachmesh.model.backbone import Backbone
from teachmesh.model.backbone_cards import (
    EMBEDDED,
    assets,
    backbone_names,
    export_backbone,
    known_fingerprints,
    reference_bytes,
    remove_backbone,
)
from teachmesh.model.backbone_registry import add_timm, import_backbone, load_backbone
from teachmesh.model.reference_images import LOOKS
from tests.model.nets import SHARED_WEIGHTS, needs_timm, pictures, random_timm, state_sha256
from tests.model.test_reference_images import LEAST, write_images

pytestmark = needs_timm
NAME = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights, including the classifier."""
    return random_timm(NAME, tmp_path_factory.mktemp("weights"), half=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """A folder of backbones with one backbone, `net`; tests only read it."""
    folder = tmp_path_factory.mktemp("home")
    add(folder, weights, alias="net")
    return folder


def add(folder: Path, weights: Path, **changes: Any) -> Backbone:
    """Add the small network, with a reference from few images."""
    arguments: dict[str, Any] = {"size": 32, "dim": 24, "reference_images": 40, **changes}
    return add_timm(folder, NAME, weights=weights, **arguments)


def test_an_added_backbone_is_loaded_bit_by_bit(tmp_path: Path, weights: Path) -> None:
    """Fingerprint and latents are equal; progress ends at the last reference image."""
    seen: list[tuple[int, int]] = []
    added = add(tmp_path, weights, progress=lambda done, total: seen.append((done, total)))
    loaded = load_backbone(tmp_path, NAME)
    assert seen == [(32, 40), (40, 40)]
    assert loaded.fingerprint == added.fingerprint
    assert state_sha256(loaded) == state_sha256(added)
    one, two = added.embed(pictures(3)), loaded.embed(pictures(3))
    np.testing.assert_array_equal(one.multi, two.multi)
    np.testing.assert_array_equal(one.last, two.last)
    assert (loaded.name, loaded.dim, loaded.last_dim) == (NAME, 24, 1024)
    assert np.isfinite(one.multi).all()
    assert np.abs(one.multi[0] - one.multi[1]).max() > 1e-3


def test_the_same_weights_are_the_same_backbone(tmp_path: Path, home: Path, weights: Path) -> None:
    """Home, precision of the file and classifier make no difference."""
    state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()}
    bare = {k: v for k, v in state.items() if not k.startswith("classifier.")}
    assert len(bare) == len(state) - 2
    save_file(bare, str(tmp_path / "bare.safetensors"))
    one = load_backbone(home, "net")
    two = add(tmp_path / "home", tmp_path / "bare.safetensors")
    assert one.fingerprint == two.fingerprint


def test_other_weights_or_choices_are_another_backbone(
    tmp_path: Path, home: Path, weights: Path
) -> None:
    """One bit of a weight, the size, the mean or the reference changes the backbone."""
    state = load_file(weights)
    state["conv_stem.weight"].view(-1).view(torch.int16)[0] ^= 1
    save_file(state, str(tmp_path / "bit.safetensors"))
    reference = BackboneStore(home).load("net").reference
    prints = [
        load_backbone(home, "net").fingerprint,
        add(tmp_path, tmp_path / "bit.safetensors", alias="a", reference=reference).fingerprint,
        add(tmp_path, weights, alias="b", reference=reference, size=40).fingerprint,
        add(tmp_path, weights, alias="c", reference=reference, mean=(0.5, 0.5, 0.5)).fingerprint,
        add(tmp_path, weights, alias="d", reference_images=33).fingerprint,
    ]
    assert len(set(prints)) == len(prints)


def test_a_peers_reference_makes_its_backbone(tmp_path: Path, home: Path, weights: Path) -> None:
    """Fetched by hash, it gives an equal fingerprint; one of another network is refused."""
    wanted = load_backbone(home, "net")
    reference = reference_bytes(home, wanted.reference_id)
    assert reference is not None
    assert reference_bytes(home, "0" * 64) is None
    assert add(tmp_path, weights, reference=reference).fingerprint == wanted.fingerprint
    other = random_timm("resnet10t", tmp_path)
    with pytest.raises(BackboneError, match="the reference belongs to another backbone"):
        add_timm(tmp_path, "resnet10t", weights=other, size=32, reference=reference)
    assert BackboneStore(tmp_path).names() == [NAME]


def test_a_reference_is_made_from_a_persons_images(
    tmp_path: Path, home: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress counts the looks; a folder of too few images is refused and nothing is saved."""
    monkeypatch.setattr("teachmesh.model.reference_images.MIN_IMAGES", LEAST)
    photos, backbones = write_images(tmp_path / "photos", LEAST, 4), tmp_path / "home"
    seen: list[tuple[int, int]] = []
    added = add(
        backbones,
        weights,
        reference_folder=photos,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (LEAST * (1 + len(LOOKS)),) * 2
    assert load_backbone(backbones, NAME).fingerprint == added.fingerprint
    procedural = load_backbone(home, "net")
    assert added.identity.weights_sha256 == procedural.identity.weights_sha256
    assert added.reference_id != procedural.reference_id
    next(photos.rglob("*.png")).unlink()
    with pytest.raises(DataError, match=f"at least {LEAST} readable images"):
        add(backbones, weights, alias="few", reference_folder=photos)
    assert backbone_names(backbones) == [EMBEDDED, NAME]


def test_a_backbone_is_exported_to_one_file(tmp_path: Path, home: Path) -> None:
    """Imported, it has an equal fingerprint under another alias; the file is deterministic."""
    data = export_backbone(home, "net")
    carried = import_backbone(tmp_path, data, "carried")
    assert carried.fingerprint == load_backbone(home, "net").fingerprint
    assert load_backbone(tmp_path, "carried").fingerprint == carried.fingerprint
    assert export_backbone(tmp_path, "carried") == data
    assert import_backbone(tmp_path, data).name == NAME


def test_a_forged_or_damaged_file_is_not_imported(tmp_path: Path, home: Path) -> None:
    """The fingerprint is computed from the content; nothing is saved."""
    stored = unpack(export_backbone(home, "net"))
    turned = bytearray(stored.weights)
    turned[-1] ^= 1
    forged = [
        StoredBackbone(stored.about, bytes(turned), stored.reference),
        StoredBackbone({**stored.about, "size": 48}, stored.weights, stored.reference),
        StoredBackbone({**stored.about, "fingerprint": None}, stored.weights, stored.reference),
        StoredBackbone({"schema": "x"}, stored.weights, stored.reference),
        StoredBackbone(stored.about, stored.weights, b""),
        StoredBackbone(
            {**stored.about, "options": {"checkpoint_path": "x"}}, stored.weights, stored.reference
        ),
    ]
    for one in forged:
        with pytest.raises(BackboneError, match=r"expected|malformed"):
            import_backbone(tmp_path, pack(one), "net")
    assert backbone_names(tmp_path) == [EMBEDDED]


def test_a_backbone_that_was_changed_on_disk_is_not_loaded(tmp_path: Path, weights: Path) -> None:
    """One flipped bit in its weights is enough."""
    add(tmp_path, weights, alias="net")
    path = tmp_path / "net" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BackboneError, match="'net' is damaged: its fingerprint is not the one"):
        load_backbone(tmp_path, "net")


def test_the_error_of_a_misspelt_alias_names_the_nearest(home: Path) -> None:
    """This holds for load, export and remove; without a near alias, all are listed."""
    for act in (load_backbone, export_backbone, remove_backbone):
        with pytest.raises(BackboneError, match=r"got 'nett' \(did you mean 'net'\?\)"):
            act(home, "nett")
    with pytest.raises(BackboneError, match="known are: embedded, net"):
        load_backbone(home, "something else")


def test_a_taken_or_reserved_alias_is_refused_before_the_work(home: Path, tmp_path: Path) -> None:
    """The weights file does not exist and is never opened."""
    missing = tmp_path / "none.safetensors"
    for alias, words in (("net", "'net' is taken"), (EMBEDDED, "package's own"), ("a/b", "file")):
        with pytest.raises(BackboneError, match=words):
            add(home, missing, alias=alias)
        with pytest.raises(BackboneError, match=words):
            import_backbone(home, export_backbone(home, "net"), alias)


def test_the_embedded_backbone_can_be_neither_removed_nor_exported(tmp_path: Path) -> None:
    """It is part of the package, and every agent has it."""
    with pytest.raises(BackboneError, match="part of the package"):
        remove_backbone(tmp_path, EMBEDDED)
    with pytest.raises(BackboneError, match="every agent has"):
        export_backbone(tmp_path, EMBEDDED)


def test_a_size_that_the_network_cannot_take_is_an_error(tmp_path: Path) -> None:
    """A transformer has one size unless `img_size` sets another."""
    name = "vit_tiny_patch16_224"
    weights = random_timm(name, tmp_path, img_size=32)
    few: dict[str, Any] = {"weights": weights, "dim": 8, "reference_images": 33}
    with pytest.raises(BackboneError, match=r"cannot take images of 48 px .*img_size=48"):
        add_timm(tmp_path, name, options={"img_size": "32"}, size=48, **few)
    added = add_timm(tmp_path, name, options={"img_size": "32"}, **few)
    assert (added.size, added.last_dim) == (32, 192)


def test_removing_a_backbone_frees_its_alias(tmp_path: Path, weights: Path) -> None:
    """Only that backbone is removed."""
    add(tmp_path, weights, alias="one")
    import_backbone(tmp_path, export_backbone(tmp_path, "one"), "two")
    remove_backbone(tmp_path, "one")
    assert backbone_names(tmp_path) == [EMBEDDED, "two"]


@pytest.mark.skipif(not (assets() / "embedded.json").exists(), reason="no embedded backbone yet")
def test_fingerprints_of_a_home_are_known_without_loading(home: Path, tmp_path: Path) -> None:
    """The embedded one is always listed; a damaged one hides no other."""
    import_backbone(tmp_path, export_backbone(home, "net"), "net")
    (tmp_path / "broken").mkdir()
    known = known_fingerprints(tmp_path)
    assert known[load_backbone(home, "net").fingerprint] == "net"
    assert sorted(known.values()) == [EMBEDDED, "net"]


@pytest.mark.shared
@pytest.mark.skipif(not SHARED_WEIGHTS.exists(), reason="no ../shared/weights")
def test_the_measuring_weights_can_be_added(tmp_path: Path) -> None:
    """They are added as in the README, with few reference images to save time."""
    half = (0.5, 0.5, 0.5)
    backbone = add_timm(
        tmp_path,
        "mobilenetv2_100",
        weights=SHARED_WEIGHTS,
        options={"pad_type": "same"},
        size=160,
        mean=half,
        std=half,
        reference_images=8,
    )
    described = backbone.describe()
    assert (described["tap_channels"], described["last_dim"], described["dim"]) == (
        4528,
        1280,
        1024,
    )
    assert 150e6 < described["macs_per_image"] < 160e6


def test_agents_of_one_process_share_the_embedded_backbone(tmp_path: Path) -> None:
    """The folder of a home does not matter, and the network is loaded once."""
    one, other = (load_backbone(tmp_path / name, "embedded") for name in ("alice", "bob"))
    assert one is other
    assert load_backbone(tmp_path, "embedded", torch.device("cpu")) is one
