"""`teachmesh bench`: comparison of methods on a stream of tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, note, percent, plain, progress_bar, say, size, table
from teachmesh.cli.shared_options import (
    BackboneOption,
    HomeOption,
    JsonOption,
    integers,
    refuse_options,
    words,
)
from teachmesh.errors import EXIT_SKIPPED
from teachmesh_lab.cli.simulate_command import register_simulate
from teachmesh_lab.cli.tasks_command import register_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RunArgument = Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command group `bench` to the application."""
    group = application(
        "Compare our methods, those of the paper and baselines, with one agent and with many."
    )
    app.add_typer(group, name="bench")
    command(group, "list", "teachmesh bench list", "teachmesh bench list --json")(list_presets)
    command(
        group,
        "run",
        "teachmesh bench run paper-mini --out mini",
        "teachmesh bench run paper-small --tasks my-tasks/ --out small --workers 2 --json",
    )(run)
    command(
        group,
        "report",
        "teachmesh bench report mini",
        "teachmesh bench report mini --latex --csv --pdf",
    )(report)
    command(
        group,
        "compare",
        "teachmesh bench compare mini mini-again",
        "teachmesh bench compare mini other --json",
    )(compare)
    command(
        group,
        "scale",
        "teachmesh bench scale --tasks 1000",
        "teachmesh bench scale --tasks 10000 --json",
    )(scale)
    register_simulate(group)
    register_tasks(group)


def scale(
    tasks: Annotated[
        int, typer.Option("--tasks", min=1, help="Number of skills of 16 classes each.")
    ] = 1000,
    images: Annotated[
        int, typer.Option("--images", min=1, help="Number of images that are mapped together.")
    ] = 256,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure an agent with many synthetic skills: mapping, start, memory, adding.

    The skills are written to a temporary folder in the home's cache, 85 KB each, and have the
    statistics of real ones. The home's own bank is not used. An agent starts twice: the first start
    computes a matrix per skill, 250 KB each, and later starts read them from the disk.
    """
    from teachmesh.bank.home import resolve_home
    from teachmesh_lab.bench.bank_scale import measure_scale

    cache = resolve_home(home).cache
    with progress_bar("writing skills") as progress:
        document = measure_scale(tasks, cache, progress, images=images)
    if json_output:
        emit(document)
        return
    say(f"{document['tasks']} tasks with {document['classes']} classes")
    say(f"mapping an image: {document['map_over_backbone']:.3f} passes of MobileNetV2 at 160 px")
    first = f"first start: {document['first_start_s']:.1f} s"
    say(f"start: {document['start_s']:.1f} s ({first}), {size(document['rss_bytes'])} of memory")
    say(f"adding a skill and removing it: {document['add_ms']:.2f} ms")


def list_presets(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """List the presets: compared methods, duration, expected results.

    Backbones that a preset needs and the home lacks are listed too.
    """
    from teachmesh.bank.home import Home
    from teachmesh.bank.home_place import home_path
    from teachmesh.model.backbone_cards import backbone_names
    from teachmesh_lab.bench.grid_config import load_config, preset_names

    known = set(backbone_names(Home(home_path(home), create=False).backbones))
    presets = [load_config(name) for name in preset_names()]
    documents = [
        {
            "name": preset.name,
            "about": " ".join(preset.about.split()),
            "expected": " ".join(preset.expected.split()),
            "methods": list(dict.fromkeys(m for grid in preset.grids for m in grid.methods)),
            "missing_backbones": sorted({grid.backbone for grid in preset.grids} - known),
        }
        for preset in presets
    ]
    if json_output:
        emit({"schema": "teachmesh.bench-presets/1", "presets": documents})
        return
    for document in documents:
        say(f"{document['name']}: {document['about']}")
        say(f"  expect: {document['expected']}")
        say(f"  methods: {', '.join(document['methods'])}")
        if document["missing_backbones"]:
            say(f"  needs the backbone {', '.join(document['missing_backbones'])}")


def run(
    context: typer.Context,
    preset: Annotated[
        str, typer.Argument(help="Name of a preset, or a .toml file.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the run. Default: bench-<name> here."),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            help="Other tasks: a folder, builtin, torchvision:A,B, hf:user/name, skill-102:FOLDER.",
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", help="Methods of the preset to run, comma-separated.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="Seeds, comma-separated: 0,1,2.")
    ] = None,
    agents: Annotated[
        str | None, typer.Option("--agents", help="Numbers of agents, comma-separated: 1,4.")
    ] = None,
    backbone: BackboneOption = None,
    only: Annotated[
        bool,
        typer.Option("--only", help="Leave earlier runs in the folder out of the summary."),
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", help="local, or ray (extra: ray; RAY_ADDRESS for a cluster).")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes, one thread each. Default: one per core."),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="Device of all networks: cpu, auto, cuda, cuda:1 or mps. Accelerators round "
            "differently.",
        ),
    ] = "cpu",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate the cost without computing.")
    ] = False,
    speed: Annotated[
        float, typer.Option("--speed", help="Multiply-accumulates per second, for --dry-run.")
    ] = 1e11,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compute the missing cells of a grid (method, stream, seed, agents).

    A second run in the same folder adds its methods and grids to the summary.

    Each cell is one file. After a kill at any moment, the next run computes only the missing cells.
    Results depend on the configuration only. Seconds are stored separately, so that two runs of one
    configuration agree in everything else.
    """
    from teachmesh.bank.home import resolve_home
    from teachmesh_lab.bench.grid_config import Overrides, load_config, override
    from teachmesh_lab.bench.run_grid import check_engine, make_engine, run_bench

    ignored = ("engine", "workers", "device", "out", "only") if dry_run else ("speed",)
    refuse_options(context, ignored, "with --dry-run" if dry_run else "without --dry-run")
    check_engine(engine)
    several = (None if text is None else integers(text) for text in (seeds, agents))
    changes = Overrides(tasks, backbone, words(methods), *several)
    config = override(load_config(preset), changes)
    opened = resolve_home(home)
    if dry_run:
        from teachmesh_lab.bench.dry_run import estimate

        document = estimate(config, opened, speed)
        emit(document) if json_output else _show_plan(document)
        return

    folder = (out or Path(f"bench-{config.name}")).absolute()
    document = run_bench(
        config,
        folder,
        opened,
        lambda: make_engine(engine, folder, opened, workers, device),
        log=note,
        only=only,
    )
    if json_output:
        emit(document)
    else:
        _show(document["details"])
        say(f"results: {plain(str(folder))}; pages: teachmesh bench report {plain(str(folder))}")
    if document["failed"]:
        raise typer.Exit(EXIT_SKIPPED)


def report(
    run_folder: RunArgument,
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", min=0, help="Multiply-accumulates per byte. Default: the run's."),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Also write tables/*.tex, for the package booktabs.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Also write tables/*.csv.")] = False,
    for_print: Annotated[
        bool, typer.Option("--pdf", help="Also write figures/*.pdf, and PNG files with 300 dpi.")
    ] = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Draw the figures and write report.html and report.md of a run.

    A run that is not finished has a report, too, which lists the missing cells. Needs the extra
    bench. The home is not read, because the run may come from another machine.
    """
    from teachmesh_lab.bench.bench_report import write_bench_report

    _ = home  # every command accepts --home, but this one does not need a home
    page = write_bench_report(
        run_folder, alpha=alpha, latex=latex, as_csv=as_csv, for_print=for_print
    )
    if json_output:
        figures = sorted(str(path) for path in (run_folder / "figures").glob("*.svg"))
        tables = sorted(str(path) for path in (run_folder / "tables").glob("*.*"))
        document = {"report": str(page), "figures": figures, "tables": tables}
        emit({"schema": "teachmesh.bench-report/1", **document})
    else:
        say(f"report: {plain(str(page))}")


def compare(
    first: RunArgument,
    second: RunArgument,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compare the results of two runs and show the differences.

    Seconds are shown, but not compared. The home is not read.
    """
    from teachmesh_lab.bench.compare_runs import compare_runs

    _ = home  # every command accepts --home, but this one does not need a home
    document = compare_runs(first, second)
    if json_output:
        emit(document)
        return
    same = "the same" if document["identical"] else "NOT the same"
    say(f"results, seconds left out: {same}")
    rows = [
        [plain(row["stream"]), str(row["tasks"]), plain(row["method"]), str(row["agents"]),
         "yes" if row["oracle"] else "no",
         *(percent(value) for value in row["accuracy"]),
         *(percent(value) for value in row["mapper"])]
        for row in document["rows"]
    ]  # fmt: skip
    header = ["stream", "tasks", "method", "agents", "oracle", "accuracy", "(second)",
              "mapper", "(second)"]  # fmt: skip
    say(table(header, rows))
    for key, where in (("only_first", "first"), ("only_second", "second")):
        for row in document[key]:
            cell = f"{row['method']}, {row['agents']} agents, {row['tasks']} tasks"
            say(f"only in the {where}: {plain(row['stream'])}, {cell}")


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    header = ["method", "agents", "seeds", "oracle", "accuracy", "± seeds", "(validation)",
              "mapper", "speed-up", "efficiency"]  # fmt: skip
    shown = [
        [
            plain(" ".join([row["method"], *(f"{k}={v}" for k, v in row["options"].items())])),
            str(row["agents"]),
            str(len(row["seeds"])),
            "yes" if row["oracle"] else "no",
            percent(row["accuracy"]),
            _deviation(row["accuracy_sd"]),
            percent(row["accuracy_validation"]),
            percent(row["mapper"]),
            f"{row['speedup']:.2f}",
            f"{row['efficiency']:.3f}",
        ]
        for row in rows
    ]
    say(table(header, shown))


def _deviation(value: float | None) -> str:
    """Return a deviation over seeds in points of accuracy."""
    return "-" if value is None else f"{100 * value:.1f}" if value else "same for all seeds"


def _show_plan(document: Mapping[str, Any]) -> None:
    for grid in document["grids"]:
        say(
            f"{grid['tasks']} tasks, {grid['classes']:,} classes, {grid['images']:,} images to "
            f"learn from; backbone {plain(grid['backbone'])}, "
            f"{grid['macs_per_image'] / 1e9:.3f} GMAC per image; seeds {len(grid['seeds'])}"
        )
        rows = [
            [
                row["method"],
                str(row["agents"]),
                f"{row['macs_teacher']:.2e}",
                f"{row['macs_student']:.2e}",
                f"{row['macs_choice']:.2e}",
                f"{row['bytes']:.2e}",
                f"{row['efficiency']:.3f}",
                f"{row['hours']:.2f}",
            ]
            for row in grid["rows"]
        ]
        header = ["method", "agents", "teacher MAC", "student MAC", "choice MAC", "bytes",
                  "efficiency", "hours"]  # fmt: skip
        say(table(header, rows))
    say(f"hours at {document['speed']:.1e} multiply-accumulates per second and agent, one seed")
