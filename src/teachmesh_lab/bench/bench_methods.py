"""Methods that a run can compare, with their kinds, training options and built-in settings."""

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


Scalar = str | int | float | bool

OPTIONS: Mapping[str, int | float | str] = {
    "epochs": 5,
    "batch_size": 32,
    "rate": 1e-3,
    "size_px": 32,
    "choice_tasks": 3,
    "net": "quick",
    "norms": "frozen",
    "replay_passes": 0.0,
    "warm_up": 1,
    "task_inference": "none",
}
"""Training options of baselines and their defaults.

- `size_px`: side of the images in pixels; 0 for the network's own input size.
- `net`: "embedded" (pretrained), "small" (random weights), "backbone" (the grid's backbone,
  pretrained), "resnet18" or "resnet50" (timm, random weights). "quick" and "paper" depend on the
  method (`net_name`).
- `norms`: whether batch norms keep their statistics ("frozen") or learn them ("running").
- `replay_passes`: how often ER replays its buffer in an epoch; 0 for as many old images as new.
- `warm_up`: epochs in which LwF trains a new head alone.
- `task_inference`: "entropy" if SUPSUP infers tasks as well, as its authors do.
"""
NETS = ("quick", "paper", "embedded", "small", "backbone", "resnet18", "resnet50")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "net": NETS,
    "norms": ("frozen", "running"),
    "task_inference": ("none", "entropy"),
}
_LEAST: Mapping[str, int] = {
    "epochs": 1,
    "batch_size": 1,
    "size_px": 8,
    "choice_tasks": 1,
    "replay_passes": 0,
    "warm_up": 0,
}
_OWN_SIZE = ("size_px", 0)
_RANDOM_START = {"psp": "resnet18", "supsup": "resnet50", "parallel-supsup": "resnet50"}
"""Method that the paper trains from random weights -> the paper's network."""


def net_name(method: str, net: str) -> str:
    """Return the network that a method starts from.

    - "quick" is the embedded network, or the small one for methods that the paper trains from
      random weights.
    - "paper" is the grid's backbone, or the ResNet that the paper uses for such a method.

    Args:
        method: name of a baseline.
        net: value of the option `net`.

    Examples:
        >>> [net_name(method, "quick") for method in ("ewc", "psp")]
        ['embedded', 'small']
        >>> [net_name(method, "paper") for method in ("ewc", "psp", "supsup")]
        ['backbone', 'resnet18', 'resnet50']
        >>> net_name("ewc", "small")
        'small'
    """
    if net == "quick":
        return "small" if method in _RANDOM_START else "embedded"
    return _RANDOM_START.get(method, "backbone") if net == "paper" else net


def hyper_of(method: str, options: Mapping[str, Scalar]) -> dict[str, float]:
    """Return the hyper-parameters that options set for a method.

    Args:
        method: name of a baseline.
        options: training options with defaults.

    Examples:
        >>> hyper_of("er", with_defaults({"replay_passes": 1})), hyper_of("ewc", with_defaults({}))
        ({'passes': 1.0}, {})
    """
    if method == "er":
        return {"passes": float(options["replay_passes"])}
    if method == "lwf":
        return {"warm_up": float(options["warm_up"])}
    if method in ("supsup", "parallel-supsup"):
        return {"infer": float(options["task_inference"] == "entropy")}
    return {}


def with_defaults(options: Mapping[str, Scalar]) -> dict[str, int | float | str]:
    """Check training options and add default values for missing ones.

    Raises:
        UsageError: an unknown option, or a value of the wrong type or outside its range.

    Examples:
        >>> with_defaults({"epochs": 2})["epochs"], with_defaults({})["rate"]
        (2, 0.001)
    """
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError(
                f"expected options of baselines out of {', '.join(OPTIONS)}, got {name!r}"
                f"{did_you_mean(name, list(OPTIONS))}"
            )
        _check_option(name, value)
    return {**OPTIONS, **options}


def _check_option(name: str, value: Scalar) -> None:
    usual = OPTIONS[name]
    kind = (int, float) if isinstance(usual, float) else type(usual)
    # In Python a bool is also an int.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"expected option {name!r} like {usual!r}, got {value!r}")
    if isinstance(value, str):
        if value not in _CHOICES[name]:
            known = ", ".join(_CHOICES[name])
            raise UsageError(f"expected option {name!r} out of {known}, got {value!r}")
    elif name in _LEAST:
        if value < _LEAST[name] and (name, value) != _OWN_SIZE:
            raise UsageError(f"expected option {name!r} of at least {_LEAST[name]}, got {value!r}")
    elif not 0 < value < 1:
        raise UsageError(f"expected option {name!r} between 0 and 1, got {value!r}")


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


def training_options(options: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the options of baselines among the options of a grid."""
    return {name: value for name, value in options.items() if name not in OWNERS}


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


def options_in_use(methods: Collection[str], options: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the options without constants of task mappers that none of the methods uses.

    Examples:
        >>> options_in_use(["maha", "ewc"], {"clusters": 5, "samples": 1, "epochs": 2})
        {'samples': 1, 'epochs': 2}
    """
    bases = {VARIANTS[method].method for method in methods if method in VARIANTS}
    return {k: v for k, v in options.items() if k not in OWNERS or OWNERS[k] in bases}


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
        '{"grid":{},"usual":{"choice_tasks":3}}'
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
    used = OPTIONS if kind is Kind.TRAINED else {"choice_tasks": OPTIONS["choice_tasks"]}
    net = {"embedded": embedded_card()["fingerprint"]} if kind is Kind.TRAINED else {}
    own = _package(BASELINES_GROUP, method)
    return _recipe_text(own | net | {"grid": grid, "usual": dict(used)})


def _package(group: str, method: str) -> dict[str, object]:
    """Return the package of a method as a part of its recipe, empty for teachmesh itself."""
    known = method in bench_methods()
    return {} if known else {"package": package_of(group, method)}


def _recipe_text(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
