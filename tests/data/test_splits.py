"""Seeded, stratified splits."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.data.splits import carve, shares

KEYS = st.lists(
    st.tuples(st.sampled_from("abc"), st.text(max_size=5)), min_size=1, max_size=120, unique=True
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(KEYS, st.integers(0, 2**63), st.booleans(), st.randoms(use_true_random=False))
def test_a_split_depends_on_names_and_seed_and_not_on_the_order(
    keys: list[tuple[str, str]], seed: int, with_test: bool, shuffler: object
) -> None:
    """Any order of listing puts each image into the same part."""
    by_key = dict(zip(keys, carve(keys, seed, with_test=with_test), strict=True))
    shuffled = list(keys)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert by_key == dict(zip(shuffled, carve(shuffled, seed, with_test=with_test), strict=True))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(KEYS, st.integers(0, 100), st.booleans())
def test_every_class_has_its_shares_and_a_training_image(
    keys: list[tuple[str, str]], seed: int, with_test: bool
) -> None:
    """Stratified: the counts of each class are exactly the shares of its size."""
    splits = carve(keys, seed, with_test=with_test)
    for label in {label for label, _ in keys}:
        counts = Counter(s for (k, _), s in zip(keys, splits, strict=True) if k == label)
        n_validation, n_test = shares(sum(counts.values()), with_test=with_test)
        assert (counts["validation"], counts["test"]) == (n_validation, n_test)
        assert counts["train"] >= 1


def test_every_image_is_as_likely_to_be_tested_as_any_other() -> None:
    """Over 400 seeds each of 20 images is in the test part about 40 times (5 sigma = 30)."""
    keys = [("a", str(n)) for n in range(20)]
    hits = Counter(
        position
        for seed in range(400)
        for position, split in enumerate(carve(keys, seed, with_test=True))
        if split == "test"
    )
    assert all(10 <= hits[position] <= 70 for position in range(20))


def test_a_known_split_stays_for_ever() -> None:
    """Golden: the same seed and names must split equally in every later version."""
    keys = [(label, f"{label}/{n}.png") for label in ("cat", "dog") for n in range(10)]
    splits = carve(keys, 0, with_test=True)
    chosen = {split: [keys[i][1] for i, s in enumerate(splits) if s == split] for split in splits}
    assert chosen["validation"] == ["cat/9.png", "dog/5.png"]
    assert chosen["test"] == ["cat/8.png", "dog/8.png"]
