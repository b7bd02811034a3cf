"""Second passes: each image with the biases of its task, from the first biased layer on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from teachmesh.agent.answers.second_passes import Refiner
from teachmesh.biases.apply_biases import fold_biases
from teachmesh.biases.head2toe import Head2Toe, choose_maps
from teachmesh.biases.refine_decisions import refine
from teachmesh.biases.second_pass import SecondPass
from teachmesh.mapping.decisions import Decisions
from teachmesh.mapping.fusion import log_softmax
from teachmesh.model.backbone import Backbone
from teachmesh.model.head import Head
from teachmesh.packet.bias_card import BiasCard
from teachmesh.packet.bias_tensors import SkillBiases
from teachmesh.packet.skill import Skill
from tests.biases.bias_nets import TABLES, size_of, timm_backbone
from tests.biases.bias_samples import biased, decisions_of
from tests.model.nets import needs_timm, pictures, tiny_backbone
from tests.packet.sample_skills import sample_bias_card, sample_card

N = 40
WIDTHS = {"last": 7, "multi": 6}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """A backbone of two convolutions with 5 and 7 channels."""
    return tiny_backbone()


def values_of(which: str, seed: int) -> np.ndarray:
    """Draw biases large enough to change answers."""
    size = {"all": 12, "last:1": 7}[which]
    return np.random.default_rng(seed).normal(0, 0.5, size).astype(np.float32)


def skill_of(which: str, features: str, seed: int, width: int | None = None) -> Skill:
    """Build a skill with fp32 biases and a random head."""
    generator = np.random.default_rng(seed + 100)
    weight = generator.normal(size=(3, width or WIDTHS[features])).astype(np.float32)
    values = values_of(which, seed)
    biases = SkillBiases.of(values, None, Head(weight, np.zeros(3, np.float32)))
    card = BiasCard(
        choice=which,
        first_layer=2 - (2 if which == "all" else 1),
        layers=2 if which == "all" else 1,
        floats=len(values),
        features=features,
        weight=0.5,
        accuracy_without=0.5,
        accuracy_with=0.6,
        cost_macs=1,
        passes=1.0,
    )
    return Skill(sample_card(biases=card), biases.tensors())


def decisions(ids: tuple[str, ...]) -> Decisions:
    """Build uniform decisions of the first pass."""
    even = np.full((N, 3), -np.log(3))
    return decisions_of(ids, np.zeros((N, len(ids))), [even] * len(ids), comparable=False)


def test_a_mixed_batch_equals_one_whole_pass_per_image(backbone: Backbone) -> None:
    """The batch has all layers, one layer, both kinds of latents, and a task without biases."""
    skills = {
        "a": skill_of("all", "last", 1),
        "b": skill_of("last:1", "multi", 2),
        "c": skill_of("all", "multi", 3),
    }
    second = SecondPass(backbone, skills)
    images = pictures(N)
    _, kept = second.first(images)
    ids = ("a", "b", "c", "d without biases")
    tasks = np.random.default_rng(0).integers(0, 4, N)
    biased_decisions = second.opinions(
        decisions(ids),
        [(i, int(t)) for i, t in enumerate(tasks)],
        lambda rows: tuple(tensor[torch.from_numpy(rows)] for tensor in kept),
    )
    found = {
        (int(i), o.task): o.posteriors[n] for o in biased_decisions for n, i in enumerate(o.rows)
    }
    assert set(found) == {(i, t) for i, t in enumerate(tasks.tolist()) if t < 3}
    for (i, t), posteriors in found.items():
        np.testing.assert_allclose(
            posteriors, by_hand(backbone, skills[ids[t]], images[i]), atol=1e-5
        )


def by_hand(backbone: Backbone, skill: Skill, image: torch.Tensor) -> np.ndarray:
    """Run one image of one task through the whole network."""
    card, biases = skill.card.biases, skill.biases()
    assert card is not None
    assert biases is not None
    bb = biased(backbone, card.choice)
    taps = bb.taps(image[None], torch.from_numpy(np.array(biases.values)))
    latents = taps[-1] if card.features == "last" else backbone.reference.apply(taps)
    return log_softmax(biases.head().logits(latents.numpy()))[0]


def test_the_first_pass_gives_the_backbones_own_latents(backbone: Backbone) -> None:
    """Keeping activations does not change the latents for mapping."""
    second = SecondPass(backbone, {"b": skill_of("last:1", "multi", 2)})
    latents, kept = second.first(pictures(5))
    expected = backbone.embed(pictures(5))
    np.testing.assert_allclose(latents.last, expected.last, atol=1e-6)
    np.testing.assert_allclose(latents.multi, expected.multi, atol=1e-6)
    for one, other in zip(kept, second.kept(pictures(5)), strict=True):
        torch.testing.assert_close(one, other)


def test_late_biases_keep_activations_and_cost_the_suffix_only(backbone: Backbone) -> None:
    """No image is kept if no skill has biases on the first layer."""
    late = SecondPass(backbone, {"b": skill_of("last:1", "multi", 2)})
    assert late.network.splits
    assert late.network.costs.prefix > 0
    both = SecondPass(
        backbone, {"b": skill_of("last:1", "multi", 2), "a": skill_of("all", "last", 1)}
    )
    assert both.network.costs.prefix == 0


def skill_of_any(backbone: Backbone, seed: int) -> Skill:
    """Build a skill with biases on all layers, and a random head on the last latents."""
    layout = biased(backbone).layout
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 0.1, layout.total).astype(np.float32)
    weight = generator.normal(size=(3, backbone.last_dim)).astype(np.float32)
    card = sample_bias_card(layout)
    biases = SkillBiases.of(values, None, Head(weight, np.zeros(3, np.float32)))
    return Skill(sample_card(biases=card), biases.tensors())


@needs_timm
@pytest.mark.parametrize("name", TABLES)
def test_tasks_share_no_batch_where_a_network_cannot_mix_them(name: str) -> None:
    """Tables of positions are shared by all images, so their biases belong to one task."""
    backbone = timm_backbone(name)
    skills = {"a": skill_of_any(backbone, 1), "b": skill_of_any(backbone, 2)}
    second, images = SecondPass(backbone, skills), pictures(4, size_of(name))
    _, kept = second.first(images)
    assert not second.network.mixes
    biased_decisions = second.opinions(
        decisions(("a", "b")),
        [(i, i % 2) for i in range(4)],
        lambda rows: tuple(tensor[torch.from_numpy(rows)] for tensor in kept),
    )
    assert [found.rows.tolist() for found in biased_decisions] == [[0, 2], [1, 3]]
    for skill, found in zip(skills.values(), biased_decisions, strict=True):
        biases = skill.biases()
        assert biases is not None
        values = torch.from_numpy(np.array(biases.values))
        net = fold_biases(backbone.forward_pass.net, biased(backbone).layout, values)
        with torch.no_grad():
            last = [net(images[i : i + 1].float() / 127.5 - 1)[-1] for i in found.rows.tolist()]
        expected = log_softmax(biases.head().logits(torch.cat(last).numpy()))
        np.testing.assert_allclose(found.posteriors, expected, atol=1e-4)


def test_a_task_with_head2toe_reads_its_own_maps(backbone: Backbone) -> None:
    """Other tasks have biases that begin elsewhere; a head of another width gives NaN."""
    bb = biased(backbone, "last:1")
    values = torch.from_numpy(values_of("last:1", 5))
    toe = Head2Toe(bb, values, choose_maps(bb.layout, values, bb.per_image))
    features = toe.features(bb.prefix(pictures(N))).numpy()
    skills = {
        "a": skill_of("all", "last", 1),
        "h": skill_of("last:1", "head2toe", 5, width=features.shape[1]),
        "w": skill_of("last:1", "head2toe", 5, width=11),
    }
    second = SecondPass(backbone, skills)
    _, kept = second.first(pictures(N))
    pairs = [(i, i % 3) for i in range(N)]
    first, maps, wrong = second.opinions(
        decisions(("a", "h", "w")),
        pairs,
        lambda rows: tuple(tensor[torch.from_numpy(rows)] for tensor in kept),
    )
    assert np.isfinite(first.posteriors).all()
    biases = skills["h"].biases()
    assert biases is not None
    expected = log_softmax(biases.head().logits(features[maps.rows]))
    np.testing.assert_allclose(maps.posteriors, expected, atol=1e-4)
    assert np.isnan(wrong.posteriors).all()


def test_biases_that_do_not_fit_the_network_are_ignored(backbone: Backbone) -> None:
    """With any card of an untrusted peer, nothing stops, and the first pass decides."""
    good = skill_of("all", "last", 1)
    card = good.card.biases
    assert card is not None
    misfits = {
        "too late": {"first_layer": 7},
        "other layers": {"layers": 1},
        "other place": {"first_layer": 1},
    }
    skills = {
        name: Skill(
            dataclasses.replace(good.card, biases=dataclasses.replace(card, **changes)),  # type: ignore[arg-type]
            good.tensors,
        )
        for name, changes in misfits.items()
    }
    skills["other width"] = skill_of("all", "last", 1, width=9)
    assert SecondPass(backbone, skills).skill_ids == frozenset()


def test_no_second_pass_runs_twice(backbone: Backbone) -> None:
    """Oracle, mapper and direct answers mostly need identical passes."""
    second = SecondPass(backbone, {"a": skill_of("all", "last", 1)})
    asked: list[int] = []
    images = pictures(N)

    def kept(rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        asked.extend(rows.tolist())
        return second.kept(images[torch.from_numpy(rows)])

    before = decisions(("a", "z"))
    refiner = Refiner(second, before, kept)
    some = np.where(np.arange(N) < 10, 0, 1)
    first = refiner.given(some)
    everything = refiner.given(np.zeros(N, dtype=np.int64))
    assert sorted(asked) == list(range(N))
    np.testing.assert_array_equal(first.within[0][:10], everything.within[0][:10])
    assert first.within[0][10:].tobytes() == before.within[0][10:].tobytes()
    assert refine(before, []).within[0].tobytes() == before.within[0].tobytes()
