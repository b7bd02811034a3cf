"""`bench report`: figures, tables, `report.html` and `report.md` from the files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from teachmesh.bank.output_file import write_file
from teachmesh_lab.bench.report_files import replace_report_files
from teachmesh_lab.bench.report_sections import (
    Section,
    agents_section,
    run_sections,
    scene_sections,
)
from teachmesh_lab.bench.run_folder import Run, read_environment, read_run
from teachmesh_lab.evaluation import html_page as page
from teachmesh_lab.evaluation.page_origin import origin_rows
from teachmesh_lab.figures.figure_scene import scenes
from teachmesh_lab.figures.figure_style import save
from teachmesh_lab.figures.table_files import file_name, write_table


def write_bench_report(
    run: Path,
    *,
    alpha: float | None = None,
    latex: bool = False,
    as_csv: bool = False,
    for_print: bool = False,
) -> Path:
    """Draw all figures for which a run has results, and write both reports.

    Figures and tables of an earlier report that are not part of this one are removed.

    Args:
        run: folder of the run.
        alpha: multiply-accumulates per byte in tables and figures; None for the run's value.
            The files with the results of the run are not changed.
        latex: also write every table as booktabs LaTeX, to `tables/`.
        as_csv: also write every table as CSV, to `tables/`.
        for_print: also write every figure as PDF, and its PNG file with 300 dots per inch.

    Returns:
        The path of `report.html`.

    Raises:
        StorageError: the folder does not contain a run, or cannot be written.
        UsageError: alpha is not a finite number of at least 0.
        MissingExtraError: matplotlib or scipy is not installed.
    """
    found = read_run(run, alpha=alpha)
    sections = all_sections(found, run)
    written: list[Path] = []
    for section in sections:
        if section.drawing is not None:
            written += save(section.drawing, run / "figures", for_print=for_print)
    if latex or as_csv:
        written += write_tables(sections, run / "tables", latex=latex, as_csv=as_csv)
    replace_report_files(run, written)
    write_file(run / "report.md", _markdown(found, sections).encode())
    return page.write_page(_html(found, sections), run / "report.html")


def write_tables(
    sections: Sequence[Section], folder: Path, *, latex: bool, as_csv: bool
) -> list[Path]:
    """Write the tables of all sections to files; return their paths.

    Raises:
        StorageError: a file cannot be written.
    """
    found: list[Path] = []
    for section in sections:
        if section.table is not None:
            name = section.prefix + file_name(section.title)
            caption = f"{section.title}. {section.text}"
            found += write_table(folder, name, section.table, caption, latex=latex, as_csv=as_csv)
    return found


def all_sections(run: Run, folder: Path) -> list[Section]:
    """Return the sections of a run's report; figures are not drawn yet.

    Args:
        run: content of the run's folder.
        folder: folder of the run, for `env.json`.
    """
    details, alpha = run.summary["details"], run.summary["alpha"]
    drawn = scenes(run)
    found = run_sections(run, drawn)
    seen: set[tuple[object, ...]] = set()
    for number, scene in enumerate(drawn):
        prefix = "" if number == 0 else f"grid{number + 1}-"
        same = (scene.stream, scene.backbone, *sorted(scene.alone))
        found += scene_sections(scene, prefix, details, alpha, brief=same in seen)
        seen.add(same)
    found += agents_section(details)
    origin = origin_rows(read_environment(folder))
    return [*found, Section("Origin", "", (["", "computed with"], origin))] if origin else found


def _shown(section: Section) -> list[list[str]]:
    """Return the rows of a section's table that are on the page."""
    assert section.table is not None
    return section.table[1][: section.shown]


def _cut(section: Section) -> str:
    """Return a remark if the page leaves out rows of a table."""
    assert section.table is not None
    total = len(section.table[1])
    if section.shown is None or total <= section.shown:
        return ""
    return f" {section.shown} of {total:,} rows; `bench report --csv` writes all of them."


def _markdown(run: Run, sections: Sequence[Section]) -> str:
    identity = run.summary["identity"][:16]
    lines = [f"# {run.config.name}", "", f"Identity of the results: `{identity}`."]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.drawing is not None:
            lines += [f"![{section.title}](figures/{section.drawing.name}.svg)", ""]
        cut = _cut(section) if section.table is not None else ""
        if section.html:
            cut += " The pictures are in report.html."
        if section.text + cut:
            lines += [(section.text + cut).strip(), ""]
        if section.table is not None:
            header = section.table[0]
            lines += [_line(header), _line(["---"] * len(header)), *map(_line, _shown(section))]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _html(run: Run, sections: Sequence[Section]) -> str:
    parts = [
        f"<h1>{page.text(run.config.name)}</h1>",
        f"<p>Identity of the results: <code>{page.text(run.summary['identity'][:16])}</code>.</p>",
    ]
    for section in sections:
        parts.append(f"<h2>{page.text(section.title)}</h2>")
        if section.table is not None:
            parts.append(page.table(section.table[0], _shown(section)))
        if section.drawing is not None:
            parts.append(page.image(section.drawing.draw, section.title))
        cut = _cut(section) if section.table is not None else ""
        if section.text + cut:
            parts.append(f"<p>{page.text((section.text + cut).strip())}</p>")
        parts.append(section.html)
    return "".join(parts)
