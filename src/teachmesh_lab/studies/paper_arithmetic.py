"""Recompute numbers of the paper: `python -m teachmesh_lab.studies.paper_arithmetic`.

Numbers in Sec. 6 that depend only on sizes are computed from the manifest of the SKILL-102 tasks
and the size of the network. A table compares them with the printed numbers. A test checks that
the copy of this table in docs/results/arithmetic.md is up to date.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from teachmesh_lab.evaluation.cost_ledger import ALPHA, TaskCost, account
from teachmesh_lab.streams.manifest import all_tasks, skill102

XCEPTION_MACS = 8_355_355_496
"""Counted multiply-accumulates of the convolutions of Xception for one 299 x 299 image."""
LATENT = 2048
CLUSTERS = 25
SAMPLES = 5
IMAGE_BYTES = 299 * 299 * 3
BIASES = 50_312
"""Number of output channels of all convolutions of Xception, including depthwise ones."""
PAPER_TRAIN = 2_041_225
"""Number of training images in the paper; the manifest has six fewer."""
EPOCHS = 100
_FLOAT = 4


@dataclass(frozen=True)
class Line:
    """One recomputed number.

    Attributes:
        quantity: meaning of the number, and where the paper prints it.
        printed: the number as printed in the paper.
        recomputed: the number computed from task and network sizes.
        how: description of the computation, or a remark.
    """

    quantity: str
    printed: str
    recomputed: str
    how: str


@dataclass(frozen=True)
class Variant:
    """One row of Fig. 10 as printed: multiply-accumulates, bytes and efficiency."""

    name: str
    teacher: float
    bytes: float
    student: float
    efficiency: str


FIGURE_10 = (
    Variant("GMMC", 1.69e14, 8.22e7, 0, "0.99999519"),
    Variant("GMMC + BB", 1.53e16, 1.03e8, 0, "0.999999934"),
    Variant("MAHA", 1.69e14, 6.72e9, 5.00e9, "0.996630551"),
    Variant("MAHA + BB", 1.53e16, 6.74e9, 5.00e9, "0.999962712"),
    Variant("parallel SUPSUP", 9.91e15, 3.03e8, 0, "0.999999697"),
)


def mean_classes() -> float:
    """Return the mean number of classes per task: 49.34."""
    tasks = skill102()
    return sum(task.used_classes for task in tasks) / len(tasks)


def head_bytes() -> float:
    """Return the size of an average head in bytes, with float32 weights and biases."""
    return (LATENT + 1) * mean_classes() * _FLOAT


def gmmc_bytes() -> float:
    """Return the size in bytes of an average GMMC skill: head, means, variances and weights."""
    return head_bytes() + CLUSTERS * (2 * LATENT + 1) * _FLOAT


def maha_bytes() -> float:
    """Return the size in bytes of an average MAHA skill, with five raw images per class."""
    return head_bytes() + SAMPLES * mean_classes() * IMAGE_BYTES


def head_training_macs() -> float:
    """Return the cost of training all heads for 100 epochs, with 3 matrix products per image."""
    forward = sum(task.train * task.used_classes for task in skill102()) * LATENT
    return 3.0 * EPOCHS * forward


def shared_images() -> int:
    """Return the number of images that MAHA shares, with five images per class."""
    return SAMPLES * sum(task.used_classes for task in skill102())


def efficiency_of(variant: Variant) -> float:
    """Compute the efficiency of a row of Fig. 10 from the row's own columns, with alpha = 1,000.

    A single agent learns N times as much and receives nothing, so N cancels out.
    """
    return variant.teacher / (variant.teacher + ALPHA * variant.bytes + variant.student)


def makespan_efficiency(agents: int, packing: str) -> float:
    """Return the efficiency if no task is split; the agent with the most images limits it."""
    costs = [TaskCost(task.name, task.train, 0) for task in skill102()]
    return account(costs, agents, packing=packing).efficiency


def lines() -> list[Line]:
    """Return every recomputed number, in the order of the paper."""
    return [*_data(), *_learning(), *_figure_10(), *_students(), *_makespans(), *_bytes(), *_test()]


def table() -> str:
    """Return the recomputed numbers as a Markdown table."""
    rows = [
        "| quantity | paper prints | recomputed | computation and remarks |",
        "|---|---|---|---|",
        *(f"| {x.quantity} | {x.printed} | {x.recomputed} | {x.how} |" for x in lines()),
    ]
    return "\n".join(rows) + "\n"


def _data() -> list[Line]:
    tasks = skill102()
    used = sum(t.used_classes for t in tasks)
    published = sum(t.classes for t in tasks)
    return [
        Line(
            "classes (Sec. 4)",
            "5,033",
            f"{used:,}",
            f"{published:,} as published, which Fig. 2b prints; each task cut at 500",
        ),
        Line(
            "training images",
            f"{PAPER_TRAIN:,}",
            f"{sum(t.train for t in tasks):,}",
            f"{len(tasks)} tasks; the code learns {len(all_tasks())}",
        ),
        Line(
            "validation, test images",
            "243,464",
            f"{sum(t.validation for t in tasks):,}, {sum(t.test for t in tasks):,}",
            "the code chooses its epoch on the test images",
        ),
    ]


def _learning() -> list[Line]:
    one_pass = PAPER_TRAIN * XCEPTION_MACS
    return [
        Line(
            "learning without BB (Fig. 9)",
            "1.73e16",
            f"{one_pass + head_training_macs():.2e}",
            f"one forward pass {one_pass:.3e}, heads at most {head_training_macs():.1e}: latents "
            "are computed once",
        ),
        Line(
            "learning with BB (Fig. 9)",
            "1.56e18",
            f"{1.56e18 / one_pass:.1f} passes",
            f"{1.56e18 / one_pass / 3:.1f} epochs at three passes each; the paper names no number",
        ),
    ]


def _figure_10() -> list[Line]:
    first = Line(
        "teacher, no BB (Fig. 10)",
        "1.69e14",
        f"{1.73e16 / 102:.3e}",
        f"1.73e16 / 102; the caption says 51 agents, which would be {1.73e16 / 51:.2e}",
    )
    return [
        first,
        *(
            Line(
                f"efficiency, {v.name} (Fig. 10)",
                v.efficiency,
                f"{efficiency_of(v):.7f}",
                "from the row's own columns, alpha = 1,000",
            )
            for v in FIGURE_10
        ),
    ]


def _students() -> list[Line]:
    covariance = shared_images() * LATENT**2
    images = shared_images() * XCEPTION_MACS
    maha = FIGURE_10[2]
    full = Variant("", maha.teacher, maha.bytes, covariance + LATENT**3 + images, "")
    return [
        Line(
            "student, MAHA (Fig. 10)",
            "5.00e9",
            f"{covariance + LATENT**3:.2e}",
            f"covariance of {shared_images():,} images {covariance:.2e}, inversion {LATENT**3:.1e}",
        ),
        Line(
            "student, MAHA, images that travel",
            "not counted",
            f"{images:.2e}",
            f"the shared images pass the backbone of every student: more than the teacher's "
            f"{maha.teacher:.2e}; efficiency {efficiency_of(full):.3f}, below the paper's goal 0.5",
        ),
    ]


def _makespans() -> list[Line]:
    cases = ((102, "longest-first"), (51, "longest-first"), (51, "given"), (26, "longest-first"),
             (10, "longest-first"))  # fmt: skip
    result = []
    for agents, packing in cases:
        efficiency = makespan_efficiency(agents, packing)
        order = "longest first" if packing == "longest-first" else "in the given order"
        result.append(
            Line(
                f"efficiency of {agents} agents with whole tasks",
                "above 0.99",
                f"{efficiency:.3f}",
                f"speed-up {efficiency * agents:.1f}, {order}: the largest task alone bounds it",
            )
        )
    return result


def _bytes() -> list[Line]:
    biased = gmmc_bytes() + BIASES * _FLOAT
    return [
        Line(
            "bytes per task, GMMC (Sec. 6)",
            "813 KB",
            f"{gmmc_bytes() / 1e3:.1f} KB",
            f"head {head_bytes() / 1e3:.1f}, clusters with weights; 101 of them "
            f"{101 * gmmc_bytes():.3g}, as Fig. 10 prints",
        ),
        Line(
            "bytes per task, GMMC + BB",
            "883 KB",
            f"{biased / 1e3:.0f} KB",
            f"{BIASES:,} biases in the code, not 22,000; 101 of them {101 * biased:.3g}, as Fig. "
            "10 prints, against its own text",
        ),
        Line(
            "bytes per task, MAHA",
            "1.74 MB",
            f"{maha_bytes() / 1e6:.1f} MB",
            f"raw pixels; 101 of them {101 * maha_bytes():.3g}, as Fig. 10 prints, against its "
            "own text",
        ),
    ]


def _test() -> list[Line]:
    classes = sum(t.used_classes for t in skill102())
    gmmc = 102 * CLUSTERS * 2 * LATENT
    return [
        Line(
            "tasks at which GMMC's line is zero (Fig. 6)",
            "800",
            f"{0.952 / 0.0012:.0f}",
            f"at 102 tasks the line gives {0.952 - 0.0012 * 102:.4f}, the text 0.8494: a straight "
            "line through something that saturates",
        ),
        Line(
            "mapper per test image, GMMC",
            "not counted",
            f"{gmmc / 1e6:.1f} MMAC",
            "two products per cluster and dimension",
        ),
        Line(
            "mapper per test image, MAHA",
            "not counted",
            f"{classes * LATENT / 1e6:.1f} MMAC",
            f"in linear form; as Eq. 5 is written {classes * LATENT**2 / 1e9:.1f} GMAC, "
            f"{classes * LATENT**2 / XCEPTION_MACS:.1f} passes",
        ),
        Line(
            "second pass with BB per test image",
            "not counted",
            f"{XCEPTION_MACS / 1e9:.2f} GMAC",
            "the mapper needs the pass without biases",
        ),
    ]


def main() -> None:
    """Write the table to standard output."""
    sys.stdout.write(table())


if __name__ == "__main__":
    main()
