"""Figures and tables drawn from the results of a run: those of the paper, and our own.

- `figure_scene`: results that one figure can show. `figure_style`: colours, lines, files.
- `learning_curves`: Fig. 4, 5, 6, 8. `task_figures`: Fig. 2a, 7 and the mapper's confusions.
- `cost_figures`: speed-up and bytes. `figure_tables`: Fig. 2b, 9, 10.
"""
