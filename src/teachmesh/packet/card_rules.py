"""Rules for the names, numbers and sizes on a card."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timezone

from teachmesh.data.names import PATH_START, check_class_name, check_name, comparison_key, shown
from teachmesh.errors import DataError, SkillRefused
from teachmesh.packet.bias_card import check_bias_card
from teachmesh.packet.card import Card, check_schema
from teachmesh.packet.limits import DEFAULT_LIMITS, Limits
from teachmesh.packet.parent_card import check_parents

_HEX_64 = re.compile(r"[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_.]{0,31}")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,32}")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_PRIVACY = ("statistics", "samples", "images")
_PATH_IN_TEXT = re.compile(PATH_START.pattern + r"[^\s/\\]")
_MAX_COUNT = 10**9
_MAX_MACS = 2**63 - 1
_MAX_COST_S = 1e9
_LAST_S = 253402300799.0
"""End of the year 9999."""


def check_card(card: Card, limits: Limits) -> None:
    """Check every field of a card; called by `encode` and by `decode`.

    Raises:
        SkillRefused: VERSION or SCHEMA for the wrong schema. LIMIT for too many classes, warnings
            or calibration values. NAME for a name that is empty, too long, not printable, not
            NFC or repeated, or that looks like a path. VALUE for an invalid number or text.
    """
    check_schema(card.schema)
    check_labels(card.task, card.classes, limits)
    _check_counts(card)
    _check_provenance(card, limits)
    _check_numbers(card)
    _check_extras(card, limits)
    check_parents(card.parents, card.classes)
    if card.biases is not None:
        check_bias_card(card.biases, limits)


def now() -> str:
    """Return the current UTC time in the format of cards."""
    return datetime.now(timezone.utc).strftime(_TIME_FORMAT)


def time_text(seconds: float) -> str:
    """Return a time in the format of cards; a time that does not exist is the last one.

    Args:
        seconds: seconds since the epoch.
    """
    return datetime.fromtimestamp(min(seconds, _LAST_S), timezone.utc).strftime(_TIME_FORMAT)


def check_labels(task: str, classes: Sequence[str], limits: Limits = DEFAULT_LIMITS) -> None:
    """Check the names of a task and its classes; a teacher calls this before learning.

    Raises:
        SkillRefused: VALUE if there are no classes, LIMIT if there are too many, and NAME as in
            `check_card`.
    """
    if not classes:
        raise SkillRefused("VALUE", "expected at least one class")
    if len(classes) > limits.classes:
        raise SkillRefused(
            "LIMIT", f"expected at most {limits.classes} classes, got {len(classes)}"
        )
    _check_text("task", task, limits.task_name, as_file=True)
    for name in classes:
        _check_class_name(name, limits)
    if len({comparison_key(name) for name in classes}) != len(classes):
        raise SkillRefused("NAME", "two class names are equal but for case or composition")


def _check_counts(card: Card) -> None:
    n_classes = len(card.classes)
    if len(card.images_per_class) != n_classes:
        raise SkillRefused(
            "VALUE",
            f"expected {n_classes} numbers of images per class, got {len(card.images_per_class)}",
        )
    if not all(1 <= count <= _MAX_COUNT for count in card.images_per_class):
        raise SkillRefused("VALUE", "expected at least one image in every class")


def _check_provenance(card: Card, limits: Limits) -> None:
    _check_text("alias", card.alias, limits.alias, as_file=True)
    _check_text("backbone", card.backbone_name, limits.task_name, as_file=True)
    for field in ("backbone_fingerprint", "reference_id", "author"):
        _check_hex(field, getattr(card, field))
    if card.replaces is not None:
        _check_hex("replaces", card.replaces)
    if not _VERSION.fullmatch(card.version):
        raise SkillRefused("VALUE", "expected a version number in the card")
    if not _is_time(card.created):
        raise SkillRefused("VALUE", "expected 'created' like 2026-11-23T11:00:00Z")


def _check_numbers(card: Card) -> None:
    if not 0 <= card.validation_images <= _MAX_COUNT:
        raise SkillRefused("VALUE", "the number of validation images is out of range")
    accuracy = card.validation_accuracy
    # The comparisons have the form "not (a <= x <= b)" so that NaN fails too.
    if accuracy is not None and not 0.0 <= accuracy <= 1.0:
        raise SkillRefused("VALUE", "expected a validation accuracy between 0 and 1")
    if not 0 <= card.cost_macs <= _MAX_MACS or not 0.0 <= card.cost_s <= _MAX_COST_S:
        raise SkillRefused("VALUE", "the costs on the card are out of range")
    if not all(math.isfinite(value) for value in card.calibration.values()):
        raise SkillRefused("VALUE", "expected finite calibration values")


def _check_extras(card: Card, limits: Limits) -> None:
    if card.privacy not in _PRIVACY:
        raise SkillRefused("VALUE", f"expected privacy of {', '.join(_PRIVACY)}")
    if not card.anchors or list(card.anchors) != sorted(set(card.anchors)):
        raise SkillRefused("VALUE", "expected at least one anchor, sorted, none twice")
    if card.method not in card.anchors:
        raise SkillRefused("VALUE", "expected the method to be one of the anchors")
    if len(card.warnings) > limits.warnings or len(card.calibration) > limits.calibration:
        raise SkillRefused("LIMIT", "too many warnings or calibration values on the card")
    for warning in card.warnings:
        _check_text("warning", warning, limits.warning)
        if _PATH_IN_TEXT.search(warning):
            raise SkillRefused("NAME", "a warning on the card contains a path")
    if not all(_IDENTIFIER.fullmatch(name) for name in card.calibration):
        raise SkillRefused("NAME", "expected short lower-case names of calibration values")


def _check_text(kind: str, text: str, limit: int, *, as_file: bool = False) -> None:
    """Check that a name follows the rules of `data.names` and is already normalised."""
    # Check the length first, because normalising a long text takes time.
    if len(text) > limit:
        raise SkillRefused("NAME", f"expected a {kind} of at most {limit} characters")
    try:
        name = check_name(kind, text, limit, as_file=as_file)
    except DataError as error:
        raise SkillRefused("NAME", str(error)) from error
    if name != text:
        raise SkillRefused("NAME", f"expected the {kind} {shown(text)!r} in Unicode NFC")


def _check_class_name(name: str, limits: Limits) -> None:
    _check_text("class", name, limits.class_name)
    try:
        check_class_name(name, limits.class_name)
    except DataError as error:
        raise SkillRefused("NAME", str(error)) from error


def _check_hex(field: str, text: str) -> None:
    if not _HEX_64.fullmatch(text):
        raise SkillRefused("VALUE", f"expected 64 lower-case hex digits in {field!r}")


def _is_time(text: str) -> bool:
    """Return whether a text is a valid time (past or future, because clocks may be wrong)."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.strptime(text, _TIME_FORMAT)
    except ValueError:
        return False
    return True
