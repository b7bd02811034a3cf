"""Studies of single mechanisms of teachmesh: `python -m teachmesh_lab.studies --help`.

- `study_cells`: the engine of all studies; it measures cells and saves the results.
- `reuse_tasks`: tasks, latents and related classes for the studies of reuse.
- `reuse_few_shots`, `reuse_heads`, `reuse_unions`, `reuse_matching`: the studies of reuse.
- `reuse_tables`, `reuse_head_tables`, `reuse_figures`: tables and figures of reuse.
- `bias_studies`, `bias_trials`: the studies of beneficial biases; `bias_tables`: tables of biases.
- `row_norm`: heads with normalised rows (Sec. 7.2, 1).
- `similar_classes`: starts from rows of similar classes (Fig. 14).
- `mapper_matching`: matches through the task mapper (Sec. 8).
- `task_orders`: the spread of accuracies over orders of tasks.
- `paper_arithmetic`: recomputes numbers of the paper; it has its own command.
"""
