"""Measurements and comparisons of teachmesh. The product never imports this package.

- `evaluation`: `teachmesh evaluate`, with accuracies and costs.
- `demo`: `teachmesh demo`.
- `bench`: `teachmesh bench`, grids of resumable cells.
- `figures`: figures and tables of bench runs.
- `baselines`: methods to compare teachmesh with.
- `streams`: sequences of tasks to learn.
- `simulation`: discrete-event simulation of N agents.
- `studies`: detailed measurements of single mechanisms.
- `cli`: the commands of the laboratory.
"""
