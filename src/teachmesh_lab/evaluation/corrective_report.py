"""Report on equivalent classes and corrected accuracies, as in Fig. 11 and 12 of the paper."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SHOWN_PAIRS = 30


def corrective_section(
    result: Mapping[str, Any],
    table: Callable[[Sequence[str], Sequence[Sequence[str]]], str],
    bars: Callable[[Sequence[Mapping[str, Any]], Sequence[str]], str],
) -> str:
    """Return the section about equivalent classes for an evaluation's page.

    Args:
        result: document of `corrective.correct`.
        table: function that returns an HTML table.
        bars: function that draws one bar per task for each of the given keys.
    """
    plain = {entry["name"]: entry["right"] for entry in result["plain"]}
    at = {
        row["by"]: row["tasks"]
        for row in result["corrected"]
        if row["threshold"] == result["threshold"]
    }
    better = [name for name in plain if at["names"][name] > plain[name]]
    shown = {"plain": plain, **at}
    groups = [{"name": name, **{key: shown[key][name] for key in shown}} for name in better]
    rows = [[g["name"], *(f"{100 * g[key]:.1f} %" for key in shown)] for g in groups]
    pairs = [
        [": ".join(pair["one"]), ": ".join(pair["other"]), f"{pair['similarity']:.2f}"]
        for pair in result["equivalent"][:SHOWN_PAIRS]
    ]
    n_pairs = result["n_equivalent"]["names_and_looks" if result["looks"] else "names"]
    looks = " and look alike" if result["looks"] else " (no looks: no skill has class moments)"
    header = ["task", *(way.replace("_", " ") for way in shown)]
    return "".join(
        [
            "<h2>Equivalent classes</h2>",
            f"<p>{n_pairs} pairs of classes of different tasks have names of similarity "
            f"{result['threshold']:g} or more (encoder {html.escape(result['encoder'])}){looks}. "
            "An answer with such a class counts as right here; the accuracies above are plain.</p>",
            _together(result["direct_together"]),
            table(header, rows) if rows else "<p>No answer changes.</p>",
            bars(groups, list(shown)) if groups else "",
            table(["class", "equivalent to", "similarity"], pairs) if pairs else "",
        ]
    )


def _together(result: Mapping[str, Any] | None) -> str:
    """Return a sentence about *direct* with equivalent classes as one."""
    if result is None:
        return ""
    return f"<p>Direct, with equivalent classes as one: {100 * result['mean']:.1f} %.</p>"
