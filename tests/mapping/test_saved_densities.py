"""Densities on the disk: the same bits as densities that were derived now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from teachmesh.bank.folder import ArrayFiles
from teachmesh.mapping import moments as moments_module
from teachmesh.mapping import moments_scan
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.mapping.moments import MomentsMapper
from tests.mapping.banks import METRIC, mapper_of, questions, random_anchor, random_anchors

BANK = random_anchors(70)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few slots, few blocks in memory, and two rounds with few tasks."""
    monkeypatch.setattr(moments_scan, "BLOCK_ROWS", 60)
    monkeypatch.setattr(moments_scan, "BLOCKS_IN_MEMORY", 2)
    monkeypatch.setattr(moments_module, "SMALL_BANK", 20)
    monkeypatch.setattr(moments_module, "SHORTLIST", 6)
    monkeypatch.setattr(moments_module, "LEADING", (8, 3))


def saving_mapper(folder: Path) -> MomentsMapper:
    """Return an empty mapper that keeps its densities in a folder, and asks for anchors."""
    return MomentsMapper(
        METRIC,
        lambda key: (BANK[key], None),
        lambda part, origin: ArrayFiles(folder / part, origin),
    )


def restart(folder: Path, keys: list[str]) -> tuple[MomentsMapper, int]:
    """Start a mapper with these tasks; return it, and the number of tasks that were restored."""
    mapper = saving_mapper(folder)
    restored = mapper.restore(keys)
    for key in keys:
        mapper.add(key, BANK[key])
    mapper.save()
    return mapper, len(restored)


def assert_equal_bits(one: MomentsMapper, other: MomentsMapper) -> None:
    """Compare all scores of two mappers."""
    latents = questions(6, seed=5)
    first, second = one.score(latents), other.score(latents)
    assert first.keys == second.keys
    assert first.task.tobytes() == second.task.tobytes()
    for key in first.keys:
        assert one.within(key, latents).tobytes() == other.within(key, latents).tobytes()
        assert one.familiarity(key, latents).tobytes() == other.familiarity(key, latents).tobytes()


@pytest.mark.parametrize("seed", range(3))
def test_restarts_additions_and_removals_change_no_bit(tmp_path: Path, seed: int) -> None:
    """The oracle is a mapper that derives everything, in one order, without a disk."""
    random = np.random.default_rng(seed)
    present, mapper, others = set[str](), saving_mapper(tmp_path), 0
    for _ in range(5):
        for key in random.permutation(sorted(BANK))[: random.integers(5, 40)].tolist():
            if key in present and random.random() < 0.5:
                mapper.remove(key)
                present.discard(key)
            else:
                mapper.add(key, BANK[key])
                present.add(key)
        mapper.save()
        if random.random() < 0.6:
            wanted = random.permutation(sorted(present)).tolist()
            mapper, found = restart(tmp_path, wanted)
            others += found
        if present:
            assert_equal_bits(mapper, mapper_of({key: BANK[key] for key in sorted(present)}))
    assert others


def test_most_tasks_are_found_again_and_the_files_are_few(tmp_path: Path) -> None:
    """At most a third of the slots of a block is not saved; replaced files are removed."""
    mapper = saving_mapper(tmp_path)
    for key, anchor in BANK.items():
        mapper.add(key, anchor)
        mapper.save()  # after each skill, as an agent does that receives them one by one
    blocks = len(mapper._densities._blocks) + len(mapper._leading._blocks)
    assert len(list(tmp_path.rglob("*.arrays"))) <= blocks
    _, restored = restart(tmp_path, sorted(BANK))
    assert restored > len(BANK) / 2


def test_files_without_any_wanted_task_are_removed(tmp_path: Path) -> None:
    """The disk does not fill with densities of skills that were removed."""
    restart(tmp_path, sorted(BANK))
    assert list(tmp_path.rglob("*.arrays"))
    saving_mapper(tmp_path).restore([])
    assert not list(tmp_path.rglob("*.arrays"))


def test_small_banks_write_nothing(tmp_path: Path) -> None:
    """Deriving a few densities is as fast as reading them."""
    restart(tmp_path, sorted(BANK)[:20])
    assert not list(tmp_path.iterdir())


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """Each replaces the files of the other; both keep the right densities, and so does a third."""
    keys = sorted(BANK)
    one, _ = restart(tmp_path, keys[:40])
    two, _ = restart(tmp_path, keys[:40])
    for n, key in enumerate(keys[40:]):
        for mapper in (one, two)[:: 1 if n % 2 else -1]:
            mapper.add(key, BANK[key])
            mapper.save()
    expected = mapper_of(BANK)
    for mapper in (one, two, restart(tmp_path, keys)[0]):
        assert_equal_bits(mapper, expected)


@pytest.mark.parametrize("changed", [True, False])
def test_densities_of_another_formula_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    """A version of the code that derives other bits starts with nothing."""
    restart(tmp_path, sorted(BANK))
    if changed:
        derive: Callable[..., object] = torch.linalg.cholesky
        monkeypatch.setattr(torch.linalg, "cholesky", lambda a: derive(a) * (1 + 1e-15))
    assert bool(saving_mapper(tmp_path).restore(sorted(BANK))) is not changed


def test_blocks_with_other_arrays_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bounds of the first round are saved, too, so a new formula for them counts."""
    restart(tmp_path, sorted(BANK))
    put = moments_scan.DensityBlock.put

    def larger(block: moments_scan.DensityBlock, key: str, density: TaskDensity) -> int:
        slot = put(block, key, density)
        block.sizes[slot] *= 2
        return slot

    monkeypatch.setattr(moments_scan.DensityBlock, "put", larger)
    assert saving_mapper(tmp_path).restore(sorted(BANK)) == set()


def test_anchors_are_loaded_only_for_the_tasks_that_are_asked(tmp_path: Path) -> None:
    """Skills need not be in memory; a task that is only added to be scored is not loaded."""
    restart(tmp_path, sorted(BANK))
    asked: list[str] = []

    def source(key: str) -> tuple[MomentsAnchor, None]:
        asked.append(key)
        return BANK[key], None

    stores = lambda part, origin: ArrayFiles(tmp_path / part, origin)  # noqa: E731
    mapper = MomentsMapper(METRIC, source, stores)
    found = sorted(mapper.restore(sorted(BANK)))
    mapper.score(questions(3))
    assert asked == []
    mapper.within(found[0], questions(3))
    assert asked == [found[0]]


def test_densities_do_not_depend_on_the_alignment_of_moments() -> None:
    """Products of matrices at other addresses may be rounded otherwise."""
    mapper = MomentsMapper(METRIC)
    anchor = random_anchor(3)
    expected = mapper.derive(anchor)[0]
    moments = anchor.moments()
    for shift in range(1, 8):
        memory = np.empty(moments.roots.size + 8)
        roots = memory[shift : shift + moments.roots.size].reshape(moments.roots.shape)
        roots[:] = moments.roots
        again = type(expected).of(type(moments)(moments.means, roots, moments.rest, moments.share))
        assert again.matrix.tobytes() == expected.matrix.tobytes()
        assert again.offsets.tobytes() == expected.offsets.tobytes()
