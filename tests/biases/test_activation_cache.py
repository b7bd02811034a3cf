"""Kept activations are equal wherever they are stored, and computed only when needed."""

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
    """Images by row; records the rows that were requested."""

    def __init__(self) -> None:
        self.requested: list[int] = []

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        self.requested.extend(rows.tolist())
        return IMAGES[torch.from_numpy(rows)]


def budget_for(bb: BeneficialBiases, in_memory: int, on_disk: int, folder: Path) -> CacheBudget:
    """Return a budget for this many images, and one byte more."""
    with KeptActivations(bb, Source(), 1, CacheBudget()) as kept:
        each = kept.bytes_each
    return CacheBudget(in_memory * each + 1, on_disk * each + 1, folder)


def places(kept: KeptActivations) -> list[int]:
    """Return the number of images that fit in memory, and on disk if it is used."""
    return [len(store[0]) for store in kept._stores]


@pytest.mark.parametrize(
    ("in_memory", "on_disk"), [(N, 0), (5, 0), (0, 4), (5, 4), (0, 0), (3, 100)]
)
def test_any_mixture_of_places_gives_the_same_activations(
    late: BeneficialBiases, tmp_path: Path, in_memory: int, on_disk: int
) -> None:
    """From memory, disk or a new pass: the prefix within half precision, in the requested order."""
    source = Source()
    expected = late.prefix(IMAGES)
    budget = budget_for(late, in_memory, on_disk, tmp_path)
    with KeptActivations(late, source, N, budget) as kept:
        assert sum(places(kept)) == min(N, in_memory + on_disk)
        for rows in ([3, 0, 11], [11, 5, 4, 3], list(range(N)), [7]):
            for found, whole in zip(kept.rows(np.array(rows)), expected, strict=True):
                torch.testing.assert_close(found.float(), whole[rows], atol=2e-3, rtol=2e-3)
        kept_rows = min(N, in_memory + on_disk)
        counts = np.bincount(source.requested, minlength=N)
        assert (counts[:kept_rows] == 1).all()
        assert counts[kept_rows:].sum() == sum(
            row >= kept_rows for row in itertools.chain([3, 0, 11, 11, 5, 4, 3, 7], range(N))
        )
        assert kept.macs == len(source.requested) * late.costs.prefix


def test_images_are_kept_as_their_bytes_where_the_first_layer_has_biases() -> None:
    """The images come back exactly; they take one byte per number and no multiply-accumulate."""
    bb, source = biased("all"), Source()
    with KeptActivations(bb, source, N, CacheBudget()) as kept:
        assert kept.bytes_each == 3 * 32 * 32
        for _ in range(2):
            (found,) = kept.rows(np.array([4, 2]))
            assert torch.equal(found, bb.prefix(IMAGES[[4, 2]])[0])
        assert (kept.macs, source.requested) == (0, [4, 2])


def test_the_file_has_no_name_and_is_gone_at_the_end(
    late: BeneficialBiases, tmp_path: Path
) -> None:
    """A process that is killed leaves nothing behind."""
    budget = budget_for(late, 0, N, tmp_path)
    with KeptActivations(late, Source(), N, budget) as kept:
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


def test_stores_share_their_budget(late: BeneficialBiases, tmp_path: Path) -> None:
    """Together they keep no more than the budget allows; earlier stores are served first."""
    budget = budget_for(late, 15, 4, tmp_path)
    with (
        KeptActivations(late, Source(), N, budget) as first,
        KeptActivations(late, Source(), N, budget) as second,
        KeptActivations(late, Source(), N, budget) as third,
    ):
        assert [places(kept) for kept in (first, second, third)] == [[N], [3, 4], [0]]
        for kept in (first, second, third):
            assert torch.equal(kept.rows(np.arange(N))[0], first.rows(np.arange(N))[0])


def test_no_more_than_half_of_the_free_disk_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the free space is a bound for all stores together, below any larger limit."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1001))
    budget = CacheBudget(disk_bytes=1 << 60)
    assert [budget.reserve_disk(30, 10), budget.reserve_disk(30, 10)] == [30, 20]


def test_files_go_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise they go to /var/tmp, not to a folder that may lie in memory."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert scratch_folder() == CacheBudget().folder == tmp_path
    for variable in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("teachmesh.biases.activation_cache._FOR_LARGE_FILES", tmp_path / "large")
    assert scratch_folder() == Path(tempfile.gettempdir())
    (tmp_path / "large").mkdir()
    assert scratch_folder() == tmp_path / "large"
