"""Biases on networks of every kind, checked against Eq. 1 and 2 written out."""

from __future__ import annotations

import threading

import pytest
import torch

from teachmesh.biases.apply_biases import add_bias, fold_biases
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.errors import BackboneError
from teachmesh.model.backbone import hash_weights
from tests.biases.bias_nets import SIZES, biased, by_hand, forward_pass, layout_of, some_values
from tests.model.nets import needs_timm, pictures

OURS = ("tiny", "embedded")
NETS = [pytest.param(n, marks=[] if n in OURS else needs_timm) for n in SIZES]


def close(found: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]) -> None:
    """Assert equality within 1e-5 of the largest number of each tap."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert float((one - other).abs().max() / other.abs().max()) <= 1e-5


def test_one_bias_per_channel_for_any_height_and_width() -> None:
    """With different channels, height and width, B[c] is added to channel c only."""
    output = torch.zeros(2, 4, 3, 5)
    bias = torch.tensor([1.0, 2.0, 3.0, 4.0])
    found = add_bias(output.clone(), bias, axis=1)
    for channel in range(4):
        assert (found[:, channel] == bias[channel]).all()
    rows = torch.stack([bias, 10 * bias])
    mixed = add_bias(output.clone(), rows, axis=1)
    for image in range(2):
        for channel in range(4):
            assert (mixed[image, channel] == rows[image, channel]).all()


def test_the_released_code_spreads_its_bias_and_differs_from_equation_1() -> None:
    """The code views (N, C, H, W) as (N, H, W, C) and adds along the last axis.

    Channel 0 of 4 channels of 3 x 3 then gets 1 2 3 4 1 2 3 4 1: another bias at every position,
    and not the same ones for another height or width.
    """
    bias = torch.tensor([1.0, 2.0, 3.0, 4.0])
    output = torch.zeros(1, 4, 3, 3)
    released = (output.view(1, 3, 3, 4) + bias).view(1, 4, 3, 3)
    assert released[0, 0].flatten().tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 1]
    ours = add_bias(output.clone(), bias, axis=1)
    assert ours[0, 0].unique().tolist() == [1.0]
    assert not torch.equal(ours, released)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("which", ["all", "half", "last:2"])
def test_biases_equal_the_equations_written_out(name: str, which: str) -> None:
    """Checked for whole passes and suffixes, all kinds of layers, norms folded or not."""
    net, forward = forward_pass(name)
    bb = biased(forward, which)
    values, images = some_values(bb.layout), pictures(3, SIZES[name])
    expected = by_hand(net, bb.layout, values, images)
    close(bb.taps(images, values), expected)
    close(bb.suffix(bb.prefix(images), values), expected)
    learning = values.clone().requires_grad_()
    close(tuple(tap.detach() for tap in bb.taps(images, learning)), expected)
    assert bb.splits == (bb.layout.first > 0)


@pytest.mark.parametrize("name", NETS)
def test_images_of_different_tasks_share_a_batch(name: str) -> None:
    """Each image has its own biases, as in one pass per task; also from the cut on."""
    net, forward = forward_pass(name)
    images = pictures(4, SIZES[name])
    for which in ("all", "half"):
        bb = biased(forward, which)
        values = some_values(bb.layout, rows=4)
        single = [by_hand(net, bb.layout, row, images[i : i + 1]) for i, row in enumerate(values)]
        expected = tuple(torch.cat(taps) for taps in zip(*single, strict=True))
        close(bb.taps(images, values), expected)
        close(bb.suffix(bb.prefix(images), values), expected)


@pytest.mark.parametrize("name", NETS)
def test_folded_biases_give_the_same_outputs(name: str) -> None:
    """Folding adds no layers and leaves the first network as it was."""
    net, forward = forward_pass(name)
    layout = layout_of(forward, "all")
    values, images = some_values(layout), pictures(2, SIZES[name])
    before = hash_weights(dict(forward.net.state_dict()))
    folded = fold_biases(forward.net, layout, values)
    with torch.no_grad():
        close(folded(images.float() / 127.5 - 1), by_hand(net, layout, values, images))
    assert hash_weights(dict(forward.net.state_dict())) == before


def test_the_network_is_untouched_by_passes_and_gradients() -> None:
    """It stays bit-identical, and no gradient of a weight is ever computed."""
    _, forward = forward_pass("tiny")
    before = hash_weights(dict(forward.net.state_dict()))
    bb = biased(forward)
    values = some_values(bb.layout).requires_grad_()
    plain = forward.taps(pictures(2))
    torch.stack([tap.sum() for tap in bb.taps(pictures(2), values)]).sum().backward()
    assert values.grad is not None
    assert (values.grad != 0).any()
    assert hash_weights(dict(forward.net.state_dict())) == before
    assert all(parameter.grad is None for parameter in forward.net.parameters())
    for one, other in zip(forward.taps(pictures(2)), plain, strict=True):
        assert torch.equal(one, other)


def test_biases_of_zero_change_nothing() -> None:
    """No biases, zeros, and the first pass without biases agree."""
    _, forward = forward_pass("tiny")
    bb = biased(forward, "last:1")
    images = pictures(3)
    expected = forward.taps(images)
    taps, kept = bb.first_pass(images)
    close(taps, expected)
    close(bb.taps(images, None), expected)
    close(bb.suffix(kept, torch.zeros(bb.layout.total)), expected)


def test_a_task_with_late_biases_fits_into_an_earlier_cut() -> None:
    """`within` puts zeros before its biases in a wider layout."""
    _, forward = forward_pass("tiny")
    early, late = biased(forward), biased(forward, "last:1")
    values = some_values(late.layout)
    wide = late.layout.within(early.layout, values)
    close(early.taps(pictures(2), wide), late.taps(pictures(2), values))


def test_gradients_are_those_of_the_equations() -> None:
    """The oracle is finite differences of the network written out."""
    net, forward = forward_pass("tiny")
    bb = biased(forward)
    values = some_values(bb.layout).requires_grad_()
    loss = bb.taps(pictures(2), values)[-1].square().sum()
    (gradient,) = torch.autograd.grad(loss, values)
    step = 1e-2
    for index in (0, 4, 5, 11):
        moved = [values.detach().clone() for _ in range(2)]
        moved[0][index] += step
        moved[1][index] -= step
        up, down = (by_hand(net, bb.layout, v, pictures(2))[-1].square().sum() for v in moved)
        slope = float((up - down) / (2 * step))
        assert float(gradient[index]) == pytest.approx(slope, rel=0.02, abs=2e-3)


def test_threads_do_not_disturb_each_other() -> None:
    """Each thread has its own modules around the shared weights."""
    _, forward = forward_pass("tiny")
    bb = biased(forward)
    tasks = [some_values(bb.layout, seed=seed) for seed in range(4)]
    expected = [bb.taps(pictures(2), values) for values in tasks]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(10):
            found = bb.taps(pictures(2), tasks[number])
            if not all(map(torch.equal, found, expected[number])):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_costs_are_those_of_the_layers() -> None:
    """Forward is the cost of the whole network; backward has no gradients of weights."""
    _, forward = forward_pass("tiny")
    first, second = 16 * 16 * 5 * 27, 8 * 8 * 7 * 45
    whole = biased(forward).costs
    assert (whole.prefix, whole.forward) == (0, first + second)
    # The biases of the first layer need the gradient of its output, from the second convolution.
    assert whole.backward == second
    late = biased(forward, "last:1").costs
    assert (late.prefix, late.forward, late.backward) == (first, second, 0)


def test_biases_of_another_network_are_refused() -> None:
    """The number of biases or images differs, or the network lacks the layers."""
    _, forward = forward_pass("tiny")
    bb = biased(forward)
    with pytest.raises(BackboneError, match="expected 12 biases"):
        bb.taps(pictures(2), torch.zeros(11))
    with pytest.raises(BackboneError, match="of 2 images"):
        bb.taps(pictures(2), torch.zeros(3, 12))


@needs_timm
def test_layers_of_another_network_are_refused() -> None:
    """A layout lists its layers by name."""
    _, tiny = forward_pass("tiny")
    _, other = forward_pass("resnet10t")
    with pytest.raises(BackboneError, match="belong to another backbone"):
        BeneficialBiases(tiny, layout_of(other, "all"))
