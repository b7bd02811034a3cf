"""Measurements and comparisons of teachmesh. The product never imports this package.

- `evaluation`: measurements of accuracy and costs for `teachmesh evaluate`.
- `demo`: the agents and tasks of `teachmesh demo`.
- `bench`: resumable grids of experiments for `teachmesh bench`.
- `figures`: figures and tables of bench runs.
- `baselines`: methods to compare teachmesh with.
- `streams`: sequences of tasks to learn.
- `simulation`: discrete-event simulation of N agents.
- `studies`: detailed measurements of single mechanisms.
- `cli`: the commands of the laboratory.
"""
