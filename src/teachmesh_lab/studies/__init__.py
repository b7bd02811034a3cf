"""Studies of single mechanisms of teachmesh: `python -m teachmesh_lab.studies --help`.

- `study_cells`: the engine of all studies, which measures and saves cells.
- `reuse_tasks`: tasks, latents and related classes for the studies of reuse.
- `reuse_few_shots`, `reuse_heads`, `reuse_unions`, `reuse_matching`: the studies of reuse.
- `reuse_tables`, `reuse_head_tables`, `reuse_figures`: their tables and figures.
- `bias_studies`, `bias_trials`: the studies of beneficial biases; `bias_tables`: their tables.
- `head_rows`, `row_norm`: heads combined from old rows, heads with normalised rows (Sec. 7.2, 1).
- `paper_arithmetic`: recomputes numbers of the paper, by a command of its own.
"""
