"""Methods that a run can compare, with their kinds, options and built-in settings."""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

from teachmesh.data.entry_points import (
    BASELINES_GROUP,
    MAPPERS_GROUP,
    offered_names,
    package_of,
)
from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError
from teachmesh.learning.variants import OWNERS, VARIANTS, MapperConstants, find_variant
from teachmesh_lab.bench.baseline_options import (
    OPTIONS,
    Scalar,
    options_read,
    training_options,
    with_defaults,
)


class Kind(Enum):
    """Kind of a method, which decides how the bench runs it."""

    OURS = "ours"  # one skill per task, learned from latents only and shared with other agents
    ADAPTED = "adapted"  # one skill per task, with biases: each answer needs a second backbone pass
    FROZEN = "frozen"  # a closed-form classifier on frozen latents
    TRAINED = "trained"  # the whole network is trained on one task after another


CLOSED_FORMS = (
    "ncm", "slda", "layup", "ranpac", "gh-nb", "gh-lda", "gh-qda", "fecam", "lr-rgda",
)  # fmt: skip
FROZEN = tuple(name + ending for name in CLOSED_FORMS for ending in ("", "-multi"))
"""Closed-form methods: on the paper's latents, and with the ending on multi-depth latents."""
TRAINED = (
    "fine-tune", "ewc", "online-ewc", "si", "mas", "lwf", "er", "psp", "supsup",
    "parallel-supsup", "joint",
)  # fmt: skip


def bench_methods() -> dict[str, Kind]:
    """Return the kind of every method by name, teachmesh's own methods first."""
    kinds = {
        name: Kind.OURS if variant.biases is None else Kind.ADAPTED
        for name, variant in VARIANTS.items()
    }
    kinds |= dict.fromkeys(FROZEN, Kind.FROZEN)
    return kinds | dict.fromkeys(TRAINED, Kind.TRAINED)


GROUPS = {"ours": Kind.OURS, "biased": Kind.ADAPTED, "frozen": Kind.FROZEN, "trained": Kind.TRAINED}
"""Group name -> kind; a group consists of the methods of its kind.

`biased` leaves out the variants of the paper (`+bb-all` and those that end in `-always`), because
they take about six times as long. Name them, or use the keys `bb` and `keep` of a grid.
"""


def expand_methods(names: Iterable[str]) -> tuple[str, ...]:
    """Replace each group with its methods; keep the order, and drop repeated names.

    Examples:
        >>> expand_methods(["slda", "frozen"])[:4]
        ('slda', 'ncm', 'ncm-multi', 'slda-multi')
    """
    kinds = bench_methods()
    found: list[str] = []
    for name in names:
        wanted = GROUPS.get(name)
        group = [m for m, kind in kinds.items() if kind is wanted and not _is_paper_way(m)]
        found += [name] if wanted is None else group
    return tuple(dict.fromkeys(found))


def _is_paper_way(method: str) -> bool:
    """Return whether biases are trained to the end, or kept although they do not help."""
    return method in VARIANTS and method.endswith(("-all", "-always"))


def check_bench_method(name: str) -> Kind:
    """Return the kind of a method of teachmesh or of another package.

    Raises:
        UsageError: an unknown method; the message suggests the most similar name.
        ConfigError: another package offers the method, and it cannot be used.
    """
    kinds = bench_methods()
    if name in kinds:
        return kinds[name]
    if name in offered_names(MAPPERS_GROUP):
        return Kind.OURS
    baselines = offered_names(BASELINES_GROUP)
    if name in baselines:
        from teachmesh_lab.baselines.baseline_registry import BASELINES

        return Kind(BASELINES[name].kind)
    known = (*kinds, *offered_names(MAPPERS_GROUP), *baselines)
    raise UsageError(
        f"expected a method out of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}"
    )


def check_estimated(name: str) -> None:
    """Check that the costs of a method can be estimated before a run.

    Raises:
        UsageError: the method is from another package.
    """
    if name not in bench_methods():
        raise UsageError(
            f"expected methods of teachmesh in an estimate, got {name!r} of another package; run "
            "the bench without --dry-run, which counts its costs"
        )


_HEAD = "model.head_training"
_MODULES: Mapping[str, tuple[str, ...]] = {
    "gmmc": ("mapping.gmmc", "mapping.gmm_fit", _HEAD),
    "maha": ("mapping.maha", _HEAD),
    "moments": (
        "mapping.moments",
        "mapping.moments_fit",
        "mapping.discriminant",
        "mapping.ridge",
        "mapping.whitening",
    ),
}
"""Modules of `teachmesh` whose constants affect the results of a task mapper."""


def constants_of(options: Mapping[str, Scalar]) -> MapperConstants:
    """Return the constants of task mappers among the options of a grid or a cell.

    Raises:
        UsageError: a value has the wrong type or is out of range.
    """
    found: dict[str, Any] = {name: v for name, v in options.items() if name in OWNERS}
    return MapperConstants(**found)


def mapper_options_of(method: str, options: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the options of a grid that affect one of teachmesh's own methods.

    Examples:
        >>> mapper_options_of("maha+bb", {"clusters": 5, "samples": 1, "epochs": 2})
        {'samples': 1}
    """
    return dict(constants_of(options).of_method(find_variant(method).method).given())


def options_of(method: str, options: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the options of a grid that affect the results of a method.

    Examples:
        >>> options = {"clusters": 5, "choice_tasks": 1, "epochs": 2}
        >>> [options_of(method, options) for method in ("gmmc", "slda", "ncm", "fine-tune")]
        [{'clusters': 5}, {'choice_tasks': 1}, {}, {'epochs': 2}]
    """
    kind = check_bench_method(method)
    if kind in (Kind.OURS, Kind.ADAPTED):
        return mapper_options_of(method, options)
    read = _options_read(method, kind)
    return {name: value for name, value in options.items() if name in read}


def _options_read(method: str, kind: Kind) -> frozenset[str]:
    chooses = None if method in bench_methods() else _chooses(method)
    return options_read(method, trained=kind is Kind.TRAINED, chooses=chooses)


def _chooses(method: str) -> bool:
    """Return whether a baseline of another package has hyper-parameters to choose."""
    from teachmesh_lab.baselines.baseline_registry import BASELINES

    return any(len(values) > 1 for values in BASELINES[method].grid.values())


def options_in_use(methods: Collection[str], options: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the options without those that none of the methods uses.

    Examples:
        >>> options_in_use(["maha", "slda"], {"clusters": 5, "samples": 1, "choice_tasks": 2})
        {'samples': 1, 'choice_tasks': 2}
    """
    used = {name for method in methods for name in options_of(method, options)}
    return {name: value for name, value in options.items() if name in used}


def check_training_options(options: Mapping[str, Scalar], methods: Collection[str]) -> None:
    """Check the options of baselines among the options of a grid.

    Raises:
        UsageError: an option is unknown, has a wrong value, or would be ignored.
    """
    given = training_options(options)
    with_defaults(given)
    used = options_in_use(methods, given)
    if unused := [name for name in given if name not in used]:
        raise UsageError(
            f"expected options that a method of the grid uses, got {unused[0]!r} with "
            f"{', '.join(methods)}; leave it out, or add a baseline that uses it"
        )


def check_mapper_options(
    options: Mapping[str, Scalar], own: Collection[str], real: Collection[str]
) -> None:
    """Check the constants of task mappers among the options of a grid.

    Args:
        options: options of the grid.
        own: methods of the grid that are teachmesh's own.
        real: methods that real processes learn, with the constants of the code.

    Raises:
        UsageError: a value is out of range, or a constant would be ignored.
    """
    constants = constants_of(options)
    if not constants.given():
        return
    constants.check_used({find_variant(method).method for method in own} or {"baselines"}, "")
    for method in real:
        if used := mapper_options_of(method, options):
            raise UsageError(
                f"expected no {', '.join(used)} for {method!r} in 'real', because real agents use "
                "the default; leave it out, or leave the method out of 'real'"
            )


def constants_in_code(method: str) -> dict[str, dict[str, Any]]:
    """Return the constants in the code that affect a task mapper, by module and name.

    Args:
        method: name of the task mapper.
    """
    return {name: _constants(name) for name in _MODULES[method]}


def _constants(name: str) -> dict[str, Any]:
    module = importlib.import_module(f"teachmesh.{name}")
    kinds = (int, float, str, tuple)
    return {key: v for key, v in vars(module).items() if key.isupper() and isinstance(v, kinds)}


def expand_lists(options: Mapping[str, Any]) -> list[dict[str, Scalar]]:
    """Return all combinations of options; a list stands for several values.

    Examples:
        >>> expand_lists({"clusters": [1, 25], "epochs": 5})
        [{'clusters': 1, 'epochs': 5}, {'clusters': 25, 'epochs': 5}]
    """
    values = [value if isinstance(value, list) else [value] for value in options.values()]
    return [dict(zip(options, chosen, strict=True)) for chosen in itertools.product(*values)]


def recipe_of(method: str) -> str:
    """Return the settings in the code that affect a method's results, as JSON text.

    They are part of a cell's key, so a cell is computed again when one of them changes. They are:

    - baselines: the hyper-parameters to try, and the default options that they use;
    - trained baselines: also the embedded network, which they may start from;
    - task mappers: all constants of their modules;
    - methods with biases: also the version of the bias-training code, and when it is measured;
    - methods of other packages: the name and version of the package; of mappers, also the constants
      of the training of heads.

    Raises:
        UsageError: an unknown method.

    Examples:
        >>> recipe_of("ncm")
        '{"grid":{},"usual":{}}'
    """
    # Imported here because these modules load torch, and figures and reports need no recipe.
    from teachmesh.model.backbone_cards import embedded_card
    from teachmesh_lab.baselines.baseline_registry import BASELINES
    from teachmesh_lab.evaluation import bias_store

    kind = check_bench_method(method)
    if kind is Kind.OURS and method not in VARIANTS:
        head = {_HEAD: _constants(_HEAD)}  # the head chooses the class, as with `gmmc` and `maha`
        return _recipe_text(_package(MAPPERS_GROUP, method) | {"constants": head})
    if kind in (Kind.OURS, Kind.ADAPTED):
        measured = {"biases": bias_store.VERSION, "measured": "after every task"}
        biases = {} if kind is Kind.OURS else measured
        return _recipe_text({"constants": constants_in_code(VARIANTS[method].method), **biases})
    grid = {name: list(values) for name, values in BASELINES[method].grid.items()}
    read = _options_read(method, kind)
    usual = {name: value for name, value in OPTIONS.items() if name in read}
    net = {"embedded": embedded_card()["fingerprint"]} if kind is Kind.TRAINED else {}
    own = _package(BASELINES_GROUP, method)
    return _recipe_text(own | net | {"grid": grid, "usual": usual})


def _package(group: str, method: str) -> dict[str, object]:
    """Return the package of a method as a part of its recipe, empty for teachmesh itself."""
    known = method in bench_methods()
    return {} if known else {"package": package_of(group, method)}


def _recipe_text(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
