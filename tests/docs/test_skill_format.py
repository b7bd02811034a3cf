"""The pages about the skill file agree with the code: tensors, limits and the golden example."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from teachmesh.mapping.anchor_kinds import MAX_SPREAD
from teachmesh.mapping.moments import EVIDENCE_UNIT
from teachmesh.mapping.packed_moments import MAX_ENTRIES, PackedMoments
from teachmesh.mapping.typicality import MAX_FALSE_ALARMS, MAX_IMAGES, MAX_SCORES, MAX_VALUES
from teachmesh.packet.card import SCHEMA
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.signing import CONTEXT
from teachmesh.packet.tensor_layout import ANCHORS

ROOT = Path(__file__).parents[2]
NAMES = ("skill_format", "skill_card", "skill_tensors", "skill_packed", "other_files")
PAGE = "".join((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in NAMES)
GOLDEN = (ROOT / "tests" / "packet" / "golden_skill_v2.safetensors").read_bytes()


def test_the_table_lists_exactly_the_tensors_of_all_anchors() -> None:
    """Name, dtype and shape, as `tensor_specs` declares them."""
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (\w+) \| \(([\w, ]+)\) \|", PAGE, flags=re.MULTILINE)
    listed = {name: (dtype, shape) for name, dtype, shape in rows if name.split(".")[0] in ANCHORS}
    specs = [(kind, *one) for kind, a in ANCHORS.items() for one in a.tensor_specs.items()]
    specs += [(PackedMoments.kind, *one) for one in PackedMoments.tensor_specs.items()]
    assert listed == {
        f"{kind}.{name}": (spec.dtype, ", ".join(map(str, spec.shape)))
        for kind, name, spec in specs
    }


def test_the_limits_are_the_defaults() -> None:
    """Every field of `Limits` has a row with its value."""
    rows = re.findall(r"\| (\d+)[\w ,]* \| `(\w+)` \|", PAGE)
    assert {name: float(value) for value, name in rows} == vars(DEFAULT_LIMITS)


def test_the_bounds_of_anchors_and_held_out_scores_are_those_of_the_code() -> None:
    """Each number is on the page, in the sentence about it."""
    assert f"MUST be at most {MAX_SPREAD:g} [VALUE]" in PAGE
    assert f"one row of at most {MAX_VALUES} F32 [SCHEMA]" in PAGE
    assert f"an integer from 0 to {MAX_IMAGES} |" in PAGE
    assert f"the min(n, {MAX_SCORES}) lowest scores" in PAGE
    assert f"Rates above {MAX_FALSE_ALARMS:g} are not supported" in PAGE
    assert f"(evidence - background) / {EVIDENCE_UNIT:g}`" in PAGE
    assert f"MUST be at most {MAX_ENTRIES} [VALUE]" in PAGE
    assert f'"{CONTEXT[:-1].decode()}" 0x00 SHA-256' in PAGE
    assert f'| `"{SCHEMA}"`;' in PAGE


def test_the_golden_example_is_the_golden_file() -> None:
    """Size, id and first bytes."""
    assert f"({len(GOLDEN):,} bytes)" in PAGE
    assert hashlib.sha256(GOLDEN).hexdigest() in PAGE
    dump = re.findall(r"^[0-9a-f]{8}  ((?:[0-9a-f]{2} ){15}[0-9a-f]{2})", PAGE, flags=re.MULTILINE)
    first = bytes.fromhex("".join(dump))
    assert len(first) == 64
    assert GOLDEN.startswith(first)
