"""Parameter superposition: contexts separate tasks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from teachmesh_lab.baselines.psp import Psp, Superposed
from tests.lab.baselines.sample_streams import learn_all, make_stream, multi_head, weights


def hadamard(size: int) -> torch.Tensor:
    """Return a (size, size) matrix of +1 and -1 with orthogonal rows; size is a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


def superposed_layer(size: int) -> tuple[nn.Linear, Superposed]:
    """Make a linear layer of `size` inputs with a context."""
    layer = nn.Linear(size, 3, bias=False)
    superposed = Superposed(layer.weight)
    parametrize.register_parametrization(layer, "weight", superposed)
    return layer, superposed


def test_orthogonal_contexts_recover_every_model() -> None:
    """Sixteen maps stored in one matrix are recovered exactly.

    With orthogonal contexts, the contribution of another map is proportional to
    sum_i c_i(j) c_i(k) x_i, which vanishes if all inputs are equal.
    """
    size = 16
    contexts = hadamard(size)
    values = torch.randint(-9, 10, (size, 3), generator=torch.Generator().manual_seed(0)).float()
    layer, superposed = superposed_layer(size)
    with torch.no_grad():
        stored = sum(v[:, None] * c[None, :] / size for v, c in zip(values, contexts, strict=True))
        layer.parametrizations.weight.original.copy_(stored)
        for value, context in zip(values, contexts, strict=True):
            superposed.context.copy_(context)
            assert layer(torch.ones(1, size))[0].tolist() == value.tolist()


def test_learning_in_one_context_does_not_change_an_orthogonal_one() -> None:
    """A gradient step for one task leaves the answers of orthogonal tasks unchanged."""
    contexts = hadamard(8)
    layer, superposed = superposed_layer(8)
    x = torch.full((1, 8), 0.5)

    def answer(task: int) -> torch.Tensor:
        superposed.context.copy_(contexts[task])
        return layer(x)[0]

    with torch.no_grad():
        before = torch.stack([answer(task) for task in range(8)])
    loss = (answer(3) - torch.tensor([1.0, 2.0, 3.0])).square().sum()
    loss.backward()
    with torch.no_grad():
        weight = layer.parametrizations.weight.original
        weight -= 0.1 * weight.grad
        after = torch.stack([answer(task) for task in range(8)])
    others = [task for task in range(8) if task != 3]
    torch.testing.assert_close(after[others], before[others])
    assert (after[3] - before[3]).abs().max() > 0.05


def test_random_contexts_interfere_like_noise() -> None:
    """The share of one task's step that affects another is about 1 / sqrt(inputs)."""
    baseline = Psp(multi_head(), {}, seed=0)
    layer = baseline.layers[0]
    flat = []
    for task in range(40):
        baseline.select(task)
        flat.append(layer.context.flatten().clone())
    signs = torch.stack(flat)
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    pairs = torch.triu_indices(40, 40, 1)
    overlaps = (signs @ signs.T / signs.shape[1])[pairs[0], pairs[1]]
    inputs = 27  # 3 channels, 3 x 3 positions
    assert signs.shape[1] == inputs
    assert abs(float(overlaps.square().mean().sqrt()) - inputs**-0.5) < 0.02


def test_a_tasks_context_follows_from_the_seed() -> None:
    """It need not be sent, and selecting a task again restores its signs."""
    one, two = Psp(multi_head(), {}, seed=0), Psp(multi_head(), {}, seed=0)
    one.select(0)
    first = [layer.context.clone() for layer in one.layers]
    one.select(1)
    assert any((layer.context != old).any() for layer, old in zip(one.layers, first, strict=True))
    one.select(0)
    two.select(0)
    for old, mine, others in zip(first, one.layers, two.layers, strict=True):
        assert (mine.context == old).all()
        assert (others.context == old).all()
    assert {name.split(".")[0] for name in one.state()} == {"trunk"}


def test_all_tasks_share_one_set_of_weights() -> None:
    """Learning changes the weights but not their number."""
    baseline = Psp(multi_head(), {}, seed=0)
    before = weights(baseline.net)
    sizes = [p.shape for p in baseline.trunk_parameters()]
    learn_all(baseline, make_stream(2))
    after = weights(baseline.net)
    name = "trunk.first.parametrizations.weight.original"
    assert (before[name] != after[name]).any()
    assert [p.shape for p in baseline.trunk_parameters()] == sizes
