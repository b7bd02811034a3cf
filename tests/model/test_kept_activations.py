"""Activations at the cut, kept: the same wherever they lie, computed no more often than needed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from skillmesh.model.biases import BeneficialBiases
from skillmesh.model.biases_layout import biasable_layers, choose_layers
from skillmesh.model.kept_activations import KeptActivations
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


def limits(bb: BeneficialBiases, in_memory: int, on_disk: int, folder: Path) -> dict[str, object]:
    """Room for so many images."""
    with KeptActivations(bb, Source(), 1) as kept:
        each = kept.bytes_each
    return {
        "ram_limit_bytes": in_memory * each + 1,
        "disk_limit_bytes": on_disk * each + 1,
        "folder": folder,
    }


@pytest.mark.parametrize(
    ("in_memory", "on_disk"), [(N, 0), (5, 0), (0, 4), (5, 4), (0, 0), (3, 100)]
)
def test_any_mixture_of_places_gives_the_same_activations(
    late: BeneficialBiases, tmp_path: Path, in_memory: int, on_disk: int
) -> None:
    """Memory, disk, computed again: within half precision of the prefix, in the order asked."""
    source = Source()
    expected = late.prefix(IMAGES)
    room = limits(late, in_memory, on_disk, tmp_path)
    with KeptActivations(late, source, N, **room) as kept:  # type: ignore[arg-type]
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
    with KeptActivations(bb, source, N) as kept:
        assert kept.bytes_each == 3 * 32 * 32
        for _ in range(2):
            (found,) = kept.rows(np.array([4, 2]))
            assert torch.equal(found, bb.prefix(IMAGES[[4, 2]])[0])
        assert (kept.macs, source.asked) == (0, [4, 2])


def test_the_file_has_no_name_and_is_gone_at_the_end(
    late: BeneficialBiases, tmp_path: Path
) -> None:
    """A process that is killed leaves nothing behind."""
    room = limits(late, 0, N, tmp_path)
    with KeptActivations(late, Source(), N, **room) as kept:  # type: ignore[arg-type]
        kept.rows(np.arange(N))
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_the_network_takes_what_was_kept(late: BeneficialBiases) -> None:
    """The suffix of kept rows is the whole pass, up to half precision."""
    values = torch.linspace(-0.5, 0.5, late.layout.total)
    with KeptActivations(late, Source(), N) as kept:
        found = late.suffix(kept.rows(np.arange(N)), values)
    for one, other in zip(found, late.taps(IMAGES, values), strict=True):
        torch.testing.assert_close(one, other, atol=5e-3, rtol=5e-3)
