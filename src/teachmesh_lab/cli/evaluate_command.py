"""`teachmesh evaluate`: learn all tasks of a folder and measure accuracy without an oracle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, note, percent, plain, progress_bar, say, size, table
from teachmesh.cli.shared_options import (
    BackboneOption,
    BiasOption,
    ClustersOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    HomeOption,
    JsonOption,
    MaxBytesOption,
    MethodOption,
    PassesOption,
    QualityOption,
    SamplesOption,
    SeedOption,
    VarianceFloorOption,
    output_option,
    samples_of,
    words,
)
from teachmesh_lab.cli.packing_option import PackingOption

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(app: typer.Typer) -> None:
    """Add the command `evaluate` to the application."""
    command(
        app,
        "evaluate",
        "teachmesh evaluate tasks/",
        "teachmesh evaluate tasks/ --only flowers,birds --method maha --json",
    )(evaluate)


def evaluate(
    tasks_dir: Annotated[Path, typer.Argument(help="Folder with one folder or archive per task.")],
    only: Annotated[
        str | None, typer.Option("--only", help="Names of tasks, comma-separated. Default: all.")
    ] = None,
    method: MethodOption = None,
    quality: QualityOption = None,
    bb: BiasOption = None,
    bb_passes: PassesOption = None,
    clusters: ClustersOption = None,
    samples: SamplesOption = None,
    variance_floor: VarianceFloorOption = None,
    max_bytes: MaxBytesOption = None,
    packing: PackingOption = None,
    validate: Annotated[
        bool,
        typer.Option("--validate", help="Classify validation images, to choose settings."),
    ] = False,
    ridge: Annotated[
        float | None,
        typer.Option(
            "--ridge",
            help="Ridge of the covariance relative to the mean variance, with maha only. "
            "Default: 0.1.",
            show_default=False,
        ),
    ] = None,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    report: Annotated[
        Path | None,
        output_option("--report", "--out", text="Also write an HTML report to this file."),
    ] = None,
    corrective: Annotated[
        float | None,
        typer.Option(
            "--corrective",
            help="Similarity from which another class also counts as right (0.9, 0.95).",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="How --corrective compares class names: auto, minilm (offline), clip, names.",
            show_default="auto",
        ),
    ] = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Learn all tasks of a folder, then classify their test images without a task oracle.

    The skills go to a separate bank under the agent's home; the agent's own bank is not changed.
    After an interruption, the next run continues where this one stopped: latents and trained
    biases are kept. The start of each training of biases is printed, because it takes minutes.

    Option --engine and option --dtype choose how latents are computed; each choice has latents of
    its own in the cache. Biases (--quality best) are trained, and run, with torch and fp32.

    Column mapper is the share of images with the right task. Column oracle is the share with the
    right class, given the task. Column final chooses by mapper, then head, as in the paper. Column
    direct chooses the best of all classes of all tasks. Means are unweighted over tasks. The page
    of --report also shows accuracy per class, confused classes, calibration and surest mistakes.
    """
    from teachmesh.learning.variants import MapperConstants
    from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate

    options = EvaluateOptions(
        tasks_dir,
        only=words(only),
        method=method,
        quality=quality,
        bb=bb,
        bb_passes=bb_passes,
        constants=MapperConstants(clusters, variance_floor, samples_of(samples), ridge),
        max_bytes=max_bytes,
        packing=packing,
        validate=validate,
        backbone=backbone,
        seed=seed,
        home=home,
        device=device,
        engine=engine,
        dtype=dtype,
        corrective=corrective,
        encoder=encoder,
        pictures=report is not None,
    )
    if report is not None:
        from teachmesh_lab.evaluation.html_page import check_page

        check_page(report)  # before work that takes minutes
    with progress_bar("evaluating") as progress:
        document = run_evaluate(options, progress=progress, remark=note)
    if report is not None:
        from teachmesh_lab.evaluation.evaluation_report import write_report

        note(f"report: {write_report(document, report)}")
    if json_output:
        emit(document)
    else:
        _show(document)


def _show(document: Mapping[str, Any]) -> None:
    ways = "".join(f", {key} {document[key]}" for key in ("engine", "dtype") if key in document)
    named = f"method {document['method']}, backbone {plain(document['backbone'])}{ways}"
    say(f"{named}, {document['images']} images, no task oracle")
    rows = [_row(entry["name"], entry) for entry in document["tasks"]]
    rows.append(_row("mean", document["mean"]))
    say(table(["task", "classes", "images", "mapper", "oracle", "final", "direct", "skill"], rows))
    if left_out := document["test_images_left_out"]:
        from teachmesh.data.source_files import counted  # loads Pillow, which --help must not

        say(f"{counted(left_out, 'test image')} with the pixels of learned images: left out")
    wall = document["wall_s"]
    say(
        f"seconds: latents {wall['latents']:.1f}, learn {wall['learn']:.1f}, "
        f"predict {wall['predict']:.1f}; learning cost "
        f"{document['cost']['learn_macs'] / 1e12:.2f} TMAC, "
        f"{document['cost']['backbone_passes']:.2f} backbone passes"
    )
    if "corrective" in document:
        _show_corrective(document["corrective"])


def _show_corrective(result: Mapping[str, Any]) -> None:
    plain_mean = sum(entry["right"] for entry in result["plain"]) / len(result["plain"])
    say(f"final: {percent(plain_mean)}; if equivalent classes count as right:")
    rows = [
        [row["by"].replace("_", " "), str(row["threshold"]), percent(row["mean"])]
        for row in result["corrected"]
    ]
    if not result["looks"]:
        say("compared by names only, because no skill has class moments")
    say(table([f"names by {result['encoder']}", "threshold", "right"], rows))
    if (together := result["direct_together"]) is not None:
        say(f"direct, equivalent classes as one: {percent(together['mean'])}")


def _row(name: str, entry: Mapping[str, Any]) -> list[str]:
    shares = [percent(entry[key]) for key in ("mapper", "oracle", "final", "direct")]
    counts = [str(entry.get("classes", "")), str(entry.get("test_images", ""))]
    return [plain(name), *counts, *shares, size(int(entry["skill_bytes"]))]
