"""Studies of single mechanisms, cell by cell: `python -m teachmesh_lab.studies --help`.

- `study_cells`: the engine of all studies: identity of a cell, files, runs that continue.
- `reuse_tasks`: tasks, latents and related classes for the studies of reuse.
- `reuse_few_shots`, `reuse_heads`, `reuse_unions`, `reuse_matching`: the studies of reuse.
- `reuse_tables`, `reuse_head_tables`, `reuse_figures`: their tables and figures.
- `bias_studies`, `bias_trials`: the studies of beneficial biases; `bias_tables`: their tables.
- `head_rows`, `row_norm`: heads combined from old rows, and trained under a norm (Sec. 7.2, 1).
- `paper_arithmetic`: the paper's figures recomputed; a table of its own.
"""
