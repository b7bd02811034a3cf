"""Activations at the cut, kept: the same wherever they lie, computed no more often than needed."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from teachmesh.biases.activation_cache import CacheBudget, KeptActivations, scratch_folder
from teachmesh.biases.bias_layout import biasable_layers, choose_layers
from teachmesh.biases.biased_network import BeneficialBiases
from tests.model.nets import pictures, tiny_backbone

N = 12
IMAGES = pictures(N)


@pytest.fixture(scope="module")
def late() -> BeneficialBiases:
    """Biases on the second of two convolutions."""
    return biased("last:1")


def biased(which: str) -> BeneficialBiases:
    """The small network with biases."""
    forward = tiny_backbone().forward_pass
    return BeneficialBiases(forward, choose_layers(biasable_layers(forward.net, 32), which))


class Source:
    """Images by row; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        self.asked.extend(rows.tolist())
        return IMAGES[torch.from_numpy(rows)]


def room_for(bb: BeneficialBiases, in_memory: int, on_disk: int, folder: Path) -> CacheBudget:
    """CacheBudget for so many images, and one byte."""
    with KeptActivations(bb, Source(), 1, CacheBudget()) as kept:
        each = kept.bytes_each
    return CacheBudget(in_memory * each + 1, on_disk * each + 1, folder)


@pytest.mark.parametrize(
    ("in_memory", "on_disk"), [(N, 0), (5, 0), (0, 4), (5, 4), (0, 0), (3, 100)]
)
def test_any_mixture_of_places_gives_the_same_activations(
    late: BeneficialBiases, tmp_path: Path, in_memory: int, on_disk: int
) -> None:
    """Memory, disk, computed again: within half precision of the prefix, in the order asked."""
    source = Source()
    expected = late.prefix(IMAGES)
    room = room_for(late, in_memory, on_disk, tmp_path)
    with KeptActivations(late, source, N, room) as kept:
        assert sum(kept.places) == min(N, in_memory + on_disk)
        for rows in ([3, 0, 11], [11, 5, 4, 3], list(range(N)), [7]):
            for found, whole in zip(kept.rows(np.array(rows)), expected, strict=True):
                torch.testing.assert_close(found.float(), whole[rows], atol=2e-3, rtol=2e-3)
        kept_rows = min(N, in_memory + on_disk)
        counts = np.bincount(source.asked, minlength=N)
        assert (counts[:kept_rows] == 1).all()
        assert counts[kept_rows:].sum() == sum(
            row >= kept_rows for row in itertools.chain([3, 0, 11, 11, 5, 4, 3, 7], range(N))
        )
        assert kept.macs == len(source.asked) * late.costs.prefix


def test_images_are_kept_as_their_bytes_where_the_first_layer_has_biases() -> None:
    """Exactly, at one byte per number, at no multiply-accumulate."""
    bb, source = biased("all"), Source()
    with KeptActivations(bb, source, N, CacheBudget()) as kept:
        assert kept.bytes_each == 3 * 32 * 32
        for _ in range(2):
            (found,) = kept.rows(np.array([4, 2]))
            assert torch.equal(found, bb.prefix(IMAGES[[4, 2]])[0])
        assert (kept.macs, source.asked) == (0, [4, 2])


def test_the_file_has_no_name_and_is_gone_at_the_end(
    late: BeneficialBiases, tmp_path: Path
) -> None:
    """A process that is killed leaves nothing behind."""
    room = room_for(late, 0, N, tmp_path)
    with KeptActivations(late, Source(), N, room) as kept:
        kept.rows(np.arange(N))
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_the_network_takes_what_was_kept(late: BeneficialBiases) -> None:
    """The suffix of kept rows is the whole pass, up to half precision."""
    values = torch.linspace(-0.5, 0.5, late.layout.total)
    with KeptActivations(late, Source(), N, CacheBudget()) as kept:
        found = late.suffix(kept.rows(np.arange(N)), values)
    for one, other in zip(found, late.taps(IMAGES, values), strict=True):
        torch.testing.assert_close(one, other, atol=5e-3, rtol=5e-3)


def test_stores_share_their_room(late: BeneficialBiases, tmp_path: Path) -> None:
    """Together they keep no more than the room has; the first one chooses first."""
    room = room_for(late, 15, 4, tmp_path)
    with (
        KeptActivations(late, Source(), N, room) as first,
        KeptActivations(late, Source(), N, room) as second,
        KeptActivations(late, Source(), N, room) as third,
    ):
        assert [first.places, second.places, third.places] == [(N,), (3, 4), (0,)]
        for kept in (first, second, third):
            assert torch.equal(kept.rows(np.arange(N))[0], first.rows(np.arange(N))[0])


def test_no_more_than_half_of_what_is_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the limit says, for all stores together."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1001))
    room = CacheBudget(disk_bytes=1 << 60)
    assert [room.take_disk(30, 10), room.take_disk(30, 10)] == [30, 20]


def test_files_go_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else to the folder for large ones, not to one that may lie in memory."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert scratch_folder() == CacheBudget().folder == tmp_path
    for variable in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("teachmesh.biases.activation_cache._FOR_LARGE_FILES", tmp_path / "large")
    assert scratch_folder() == Path(tempfile.gettempdir())
    (tmp_path / "large").mkdir()
    assert scratch_folder() == tmp_path / "large"
