"""Figures and tables drawn from the results of a run: the paper's figures and tables, and our own.

- `figure_scene`: results that can share a figure. `figure_style`: colours, lines and files.
- `learning_curves`: Fig. 4, 5, 6, 8. `task_figures`: Fig. 2a, 7 and the mapper's confusions.
- `cost_figures`: speed-up and bytes. `figure_tables`: Fig. 2b, 9, 10.
- `comparison_tables`: paired differences and ranks. `class_figures`: class level, calibration.
- `table_files`: tables as LaTeX and CSV.
"""
