"""Plans stay within their budget in forward passes for any network and task."""

from __future__ import annotations

import itertools

import pytest

from teachmesh.biases.bias_options import MOST_PASSES, BiasOptions
from teachmesh.biases.bias_plan import AUTO_BATCH_SIZE, AUTO_STEPS, TaskCosts, plan_biases
from teachmesh.biases.biased_network import PassCosts
from teachmesh.errors import UsageError
from teachmesh.learning.variants import find_variant
from teachmesh.model.head_training import MAX_EPOCHS, PATIENCE

MOBILE = PassCosts(prefix=0, forward=98, backward=94)
HALF = PassCosts(prefix=50, forward=48, backward=47)
SMALL = PassCosts(prefix=0, forward=27, backward=26)


def spent(task: TaskCosts, images: int, epochs_validated: float, small_images: int = 0) -> int:
    """Add up all costs of learning by hand."""
    costs = task.costs
    whole = task.before + (task.train + task.validation) * costs.prefix
    steps = (images - small_images) * (costs.forward + costs.backward)
    if task.small is not None:
        steps += small_images * (task.small.forward + task.small.backward)
    looks = (epochs_validated + 1) * task.validation * costs.forward
    return round(whole + steps + looks)


@pytest.mark.parametrize(
    ("costs", "small", "train", "validation", "passes", "layers", "head2toe"),
    list(
        itertools.product(
            [MOBILE, HALF],
            [None, SMALL],
            [40, 612, 54_000],
            [1, 78],
            [4.0, 8.0, 31.5],
            ["auto", "half", "all"],
            [0, 1],
        )
    ),
)
def test_no_plan_costs_more_than_its_budget(
    costs: PassCosts,
    small: PassCosts | None,
    train: int,
    validation: int,
    passes: float,
    layers: str,
    head2toe: int,
) -> None:
    """The pass without biases, prefixes, steps and validation all count."""
    task = TaskCosts(102, costs, train, validation, 103 * (train + validation), small, 777)
    plan = plan_biases(BiasOptions(layers, passes, bool(head2toe)), task)
    looks = 0.0 if plan.patience is None else plan.images / train
    last = head2toe * train * costs.forward + task.after
    whole = spent(task, plan.images, looks, plan.small_images)
    assert task.passes(whole + last) <= passes + 1e-9
    assert 0 <= plan.small_images <= plan.images
    assert (plan.small_images > 0) == (layers == "auto" and small is not None)
    assert plan.refit == (layers == "auto" and not head2toe)


def test_auto_spends_eight_passes_by_default() -> None:
    """On a task of usual size it spends all of them: 4 more steps would exceed the budget."""
    task = TaskCosts(102, MOBILE, 612, 78, 103 * 690)
    plan = plan_biases(BiasOptions("auto"), task)
    assert task.passes(spent(task, plan.images, 0)) <= 8
    assert task.passes(spent(task, plan.images + 32, 0)) > 8
    assert plan.patience is None


@pytest.mark.parametrize("train", [106, 612, 1_000])
def test_the_cost_of_a_mapper_rarely_changes_the_steps(train: int) -> None:
    """Fitting a mixture costs half a per cent of a pass, so two methods share one training."""
    fits = [103 * 2 * train, 1.005 * 103 * 2 * train]
    plans = {plan_biases(BiasOptions(), TaskCosts(102, MOBILE, train, train, int(f))) for f in fits}
    assert len(plans) == 1
    (plan,) = plans
    assert plan.images % AUTO_BATCH_SIZE == 0


def test_smaller_images_pay_for_more_steps() -> None:
    """Most steps use them, but not the last ones."""
    plain = plan_biases(BiasOptions("auto"), TaskCosts(102, MOBILE, 612, 78, 103 * 690))
    plan = plan_biases(BiasOptions("auto"), TaskCosts(102, MOBILE, 612, 78, 103 * 690, SMALL))
    assert plan.images > 2 * plain.images
    assert 0.69 < plan.small_images / plan.images < 0.71


def test_auto_stops_early_on_large_tasks() -> None:
    """Thousands of steps are enough for any number of images."""
    task = TaskCosts(102, MOBILE, 54_000, 6_000, 103 * 60_000)
    assert plan_biases(BiasOptions("auto"), task).images == AUTO_STEPS * AUTO_BATCH_SIZE


def test_the_papers_plan_is_the_papers() -> None:
    """It has at most 100 epochs, patience 10, batches of 32, and Adam 1e-3 on the head."""
    plan = plan_biases(BiasOptions("all"), TaskCosts(102, MOBILE, 612, 78, 103 * 690))
    assert (plan.images, plan.patience) == (MAX_EPOCHS * 612, PATIENCE) == (61_200, 10)
    assert (plan.batch_size, plan.head_rate) == (32, 1e-3)


@pytest.mark.parametrize("layers", ["auto", "all"])
def test_the_largest_budget_has_a_plan(layers: str) -> None:
    """It has as many epochs as a plan without a budget."""
    variant = find_variant("maha+bb").with_biases(layers, MOST_PASSES / 2)
    assert variant.biases is not None
    task = TaskCosts(102, MOBILE, 612, 78, 103 * 690)
    assert plan_biases(variant.biases, task).images == MAX_EPOCHS * 612


def test_a_budget_that_pays_for_nothing_is_refused() -> None:
    """The first pass alone costs one pass."""
    with pytest.raises(UsageError, match="raise --bb-passes"):
        plan_biases(BiasOptions("auto", 1.05), TaskCosts(102, MOBILE, 612, 78, 103 * 690))
