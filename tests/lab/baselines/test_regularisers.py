"""EWC, online EWC, SI and MAS against fine-tuning, torch's derivatives and explicit sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from teachmesh_lab.baselines.ewc import Ewc, diagonal_fisher, own_labels
from teachmesh_lab.baselines.fine_tune import FineTune
from teachmesh_lab.baselines.mas import Mas, output_sensitivity
from teachmesh_lab.baselines.online_ewc import OnlineEwc
from teachmesh_lab.baselines.quadratic import Quadratic
from teachmesh_lab.baselines.si import SynapticIntelligence
from teachmesh_lab.baselines.training_loop import learn
from tests.lab.baselines.sample_streams import (
    QUICK,
    learn_all,
    make_stream,
    multi_head,
    random_images,
    same_bits,
    weights,
)

Regulariser = Ewc | OnlineEwc | SynapticIntelligence | Mas
KINDS = [Ewc, OnlineEwc, SynapticIntelligence, Mas]
OTHERS = {"images": 10.0, "decay": 0.9, "damping": 0.001}


def make(kind: type[Regulariser], strength: float) -> Regulariser:
    """Make a fresh regulariser on a fresh network."""
    hyper = {"strength": strength, **{k: v for k, v in OTHERS.items() if k in kind.grid}}
    assert hyper.keys() == kind.grid.keys()
    return kind(multi_head(), hyper, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_strength_zero_is_fine_tuning_bit_for_bit(kind: type[Regulariser]) -> None:
    """Measuring importances must not disturb the random numbers of training."""
    plain = learn_all(FineTune(multi_head(), {}, seed=0), make_stream())
    regularised = learn_all(make(kind, 0.0), make_stream())
    assert same_bits(weights(plain.net), weights(regularised.net))


@pytest.mark.parametrize("kind", KINDS)
def test_strength_protects_the_important_weights(kind: type[Regulariser]) -> None:
    """The second task changes weights that matter for the first task less."""
    stream = make_stream(2)
    moved = []
    for strength in (0.0, 10000.0 if "Ewc" in kind.__name__ else 10.0):
        baseline = make(kind, strength)
        learn_all(baseline, stream[:1])
        first = [p.detach().clone() for p in baseline.penalty.parameters]
        baseline.begin(1, stream[1])
        learn(baseline, [1], QUICK)
        penalty = baseline.penalty
        parts = zip(penalty.importance, penalty.parameters, first, strict=True)
        terms = [(weight * (p.detach() - old) ** 2).sum() for weight, p, old in parts]
        moved.append(float(torch.stack(terms).sum()))
    assert 0 < moved[1] < moved[0] / 2


def test_the_pull_is_the_gradient_of_the_sum_over_old_tasks() -> None:
    """Oracle: one parabola per task, differentiated by torch."""
    generator = torch.Generator().manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(4, 3, generator=generator))
    penalty = Quadratic([parameter])
    terms: list[tuple[Tensor, Tensor]] = []
    for _ in range(3):
        importance = torch.rand(4, 3, generator=generator)
        importance[0] = 0  # important for no task
        with torch.no_grad():
            parameter += torch.randn(4, 3, generator=generator)
        penalty.add_centred_here([importance])
        terms.append((importance, parameter.detach().clone()))
    with torch.no_grad():
        parameter += 1
    loss = sum((50.0 / 2 * weight * (parameter - old) ** 2).sum() for weight, old in terms)
    assert isinstance(loss, Tensor)
    (expected,) = torch.autograd.grad(loss, [parameter])
    parameter.grad = torch.zeros_like(parameter)
    penalty.pull(50.0)
    torch.testing.assert_close(parameter.grad, expected)
    assert (parameter.grad[0] == 0).all()


def test_the_fisher_information_is_the_mean_of_squared_gradients_of_single_images() -> None:
    """Oracle: one backward pass per image."""
    net = multi_head()
    net.add_head(0, 5)
    images, labels = random_images(20), torch.arange(20) % 5
    expected = [torch.zeros_like(p) for p in net.trunk.parameters()]
    for i in range(20):
        net.zero_grad()
        net.cross_entropy(net.latents(images[i : i + 1]), 0, labels[i : i + 1]).backward()
        for total, parameter in zip(expected, net.trunk.parameters(), strict=True):
            assert parameter.grad is not None
            total += parameter.grad**2 / 20
    found = diagonal_fisher(net, 0, images, labels)
    torch.testing.assert_close(found, expected)
    assert all((tensor >= 0).all() for tensor in found)


def test_the_outputs_sensitivity_is_the_mean_absolute_gradient_of_single_images() -> None:
    """Oracle: one backward pass per image."""
    net = multi_head()
    net.add_head(0, 4)
    images = random_images(18)
    expected = [torch.zeros_like(p) for p in net.trunk.parameters()]
    for i in range(18):
        net.zero_grad()
        (net.logits(net.latents(images[i : i + 1]), 0) ** 2).sum().backward()
        for total, parameter in zip(expected, net.trunk.parameters(), strict=True):
            assert parameter.grad is not None
            total += parameter.grad.abs() / 18
    torch.testing.assert_close(output_sensitivity(net, 0, images), expected)


def test_labels_of_the_fisher_information_follow_the_networks_own_answers() -> None:
    """Shares of 4,000 draws for one image are within four standard deviations."""
    net = multi_head()
    net.add_head(0, 3)
    image = random_images(1)
    with torch.no_grad():
        chances = net.logits(net.latents(image), 0).softmax(1)[0].numpy()
    images = image.expand(4000, -1, -1, -1)
    drawn = own_labels(net, 0, images, torch.Generator().manual_seed(1))
    shares = np.bincount(drawn.numpy(), minlength=3) / 4000
    assert (np.abs(shares - chances) < 4 * np.sqrt(chances * (1 - chances) / 4000)).all()


def test_online_ewc_decays_old_importances_and_moves_the_centre() -> None:
    """After two tasks, the importance is decay times the first plus the second."""
    stream = make_stream(2)
    baseline = make(OnlineEwc, 1.0)
    learn_all(baseline, stream[:1])
    first = [tensor.clone() for tensor in baseline.penalty.importance]
    baseline.begin(1, stream[1])
    learn(baseline, [1], QUICK)
    parameters = [p.detach().clone() for p in baseline.penalty.parameters]
    baseline.end(1)
    torch.testing.assert_close(baseline.penalty.centre, parameters, rtol=0, atol=0)
    plain = make(OnlineEwc, 1.0)
    plain.hyper["decay"] = 0.0
    learn_all(plain, stream[:1])
    plain.begin(1, stream[1])
    learn(plain, [1], QUICK)
    plain.end(1)
    for old, both, second in zip(
        first, baseline.penalty.importance, plain.penalty.importance, strict=True
    ):
        torch.testing.assert_close(both, 0.9 * old + second)


def test_si_sums_up_the_gain_of_each_weights_steps() -> None:
    """Oracle: path integral of a parabola over two steps, by hand."""
    baseline = make(SynapticIntelligence, 0.0)
    baseline.begin(0, make_stream(1)[0])
    start = [p.detach().clone() for p in baseline.penalty.parameters]
    for factor in (0.5, 0.25):  # gradients x and x/2 of the loss x^2 / 2
        for parameter in baseline.penalty.parameters:
            parameter.grad = parameter.detach().clone()
        baseline.before_step()
        with torch.no_grad():
            for parameter in baseline.penalty.parameters:
                parameter *= factor
        baseline.after_step()
    # x -> x/2 gains x * x/2; x/2 -> x/8 gains x/2 * 3x/8.
    expected = [x**2 * (1 / 2 + 3 / 16) for x in start]
    torch.testing.assert_close(baseline.path, expected)
    baseline.end(0)
    moved = [(x * 7 / 8) ** 2 + OTHERS["damping"] for x in start]
    importance = [path / square for path, square in zip(expected, moved, strict=True)]
    torch.testing.assert_close(baseline.penalty.importance, importance)


def test_si_gives_no_importance_to_weights_whose_steps_raised_the_loss() -> None:
    """A negative importance would push weights away from their old values."""
    baseline = make(SynapticIntelligence, 1.0)
    baseline.begin(0, make_stream(1)[0])
    for parameter in baseline.penalty.parameters:
        parameter.grad = torch.ones_like(parameter)
    baseline.before_step()
    with torch.no_grad():
        for parameter in baseline.penalty.parameters:
            parameter += 1  # up the gradient
    baseline.after_step()
    baseline.end(0)
    assert all((tensor == 0).all() for tensor in baseline.penalty.importance)


def test_the_state_is_weights_and_importances() -> None:
    """As in the paper's example, EWC needs weights and Fisher information of their size."""
    stream = make_stream(2)
    sizes = {}
    for kind in KINDS:
        baseline = learn_all(make(kind, 1.0), stream)
        sizes[kind] = {name.split(".")[0] for name in baseline.state()}
    assert sizes[Ewc] == {"trunk", "heads", "importance", "centre"}
    others = (OnlineEwc, SynapticIntelligence, Mas)
    assert all(sizes[kind] == {"trunk", "heads", "importance"} for kind in others)


def test_the_strengths_to_try_span_two_powers_of_ten() -> None:
    """The grids are those that the results of the documentation were chosen from."""
    strengths = (100.0, 1000.0, 10000.0)
    assert Ewc.grid == {"strength": strengths, "images": (256.0,)}
    assert OnlineEwc.grid == {"strength": strengths, "decay": (0.95,), "images": (256.0,)}


def test_the_state_of_ewc_has_a_centre_and_that_of_online_ewc_has_none() -> None:
    """Online EWC is centred at the weights, which are sent anyway."""
    for kind, has_centre in ((Ewc, True), (OnlineEwc, False)):
        baseline = make(kind, 1.0)
        learn_all(baseline, make_stream(1))
        names = {name.partition(".")[0] for name in baseline.state()}
        assert ("centre" in names, "importance" in names) == (has_centre, True)
