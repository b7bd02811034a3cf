"""Seeded splits by the content of each image."""

from __future__ import annotations

import hashlib
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.data.splits import SplitRule, carve, edges_of

IMAGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 10**6).map(str).map(str.encode)),
    min_size=1,
    max_size=60,
)
RULES = st.builds(
    SplitRule, st.integers(0, 2**63), st.sampled_from([0, 0.1, 0.4]), st.sampled_from([0, 0.1])
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(IMAGES, RULES, st.randoms(use_true_random=False))
def test_a_split_depends_on_content_and_seed_and_not_on_the_order(
    images: list[tuple[str, bytes]], rule: SplitRule, shuffler: object
) -> None:
    """Any order of listing puts each image into the same part; equal files are in one part."""
    by_image = dict(zip(images, carve(images, rule).splits, strict=True))
    shuffled = list(images)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    found = list(zip(shuffled, carve(shuffled, rule).splits, strict=True))
    assert all(by_image[image] == split for image, split in found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(IMAGES, IMAGES, RULES)
def test_only_edges_change_their_split_when_a_task_grows(
    images: list[tuple[str, bytes]], more: list[tuple[str, bytes]], rule: SplitRule
) -> None:
    """An image that is not at the edge of its class keeps its split."""
    before, after = carve(images, rule), carve(images + more, rule)
    for position in range(len(images)):
        if position not in before.edges:
            assert before.splits[position] == after.splits[position]
    both = images + more
    changed = {both[p] for p, edge in after.edges.items() if after.splits[p] != edge.natural}
    assert max(Counter(label for label, _ in changed).values(), default=0) <= 2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(IMAGES, RULES)
def test_every_class_has_training_images_and_the_others_if_there_are_enough(
    images: list[tuple[str, bytes]], rule: SplitRule
) -> None:
    """Two different images or more stay in training when some are moved."""
    carved = carve(images, rule)
    for label in {label for label, _ in images}:
        pairs = zip(images, carved.splits, strict=True)
        kinds = {content: split for (name, content), split in pairs if name == label}
        counts = Counter(kinds.values())
        assert counts["train"] >= 1
        assert counts["validation"] >= 1 or not rule.validation or counts["train"] <= 2
        assert counts["test"] >= 1 or not rule.test or counts["train"] <= 2


def test_the_largest_key_of_a_class_without_training_images_is_moved() -> None:
    """All images of the class are in the tail, so that the rule alone gives none for training."""
    rule = SplitRule(validation=0.5, test=0.5)
    images = [("a", str(n).encode()) for n in range(9)]
    carved = carve(images, rule)
    keys = [rule.key(content) for _, content in images]
    assert [n for n, split in enumerate(carved.splits) if split == "train"] == [
        keys.index(max(keys))
    ]
    assert edges_of({max(keys): "validation"}, False, False) == [max(keys)]


def test_fractions_are_right_on_average_over_images_and_seeds() -> None:
    """Test gets 10 % and validation 20 % of 4,000 draws (5 sigma = 95 and 126)."""
    counts: Counter[str] = Counter()
    for seed in range(4):
        rule = SplitRule(seed, 0.2, 0.1)
        counts.update(rule.split_of(rule.key(str(n).encode())) for n in range(1000))
    assert abs(counts["test"] - 400) < 95
    assert abs(counts["validation"] - 800) < 126


def test_a_known_split_stays_for_ever() -> None:
    """Golden: the same seed and contents must split equally in every later version."""
    images = [
        (label, hashlib.sha256(f"{label}/{n}".encode()).digest())
        for label in ("cat", "dog")
        for n in range(20)
    ]
    splits = carve(images, SplitRule()).splits
    chosen = {split: [n for n, s in enumerate(splits) if s == split] for split in splits}
    assert chosen["validation"] == [8, 14, 24, 26]
    assert chosen["test"] == [1, 7, 12, 20, 21, 33]
