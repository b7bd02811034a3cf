"""The laboratory of teachmesh: measurements and comparisons. The product never imports it.

- `evaluation`: `teachmesh evaluate`, accuracies, costs.
- `demo`: `teachmesh demo`.
- `bench`: `teachmesh bench`, grids of resumable cells. `figures`: figures and tables of its runs.
- `baselines`: methods to compare with. `streams`: tasks to learn one after another.
- `simulation`: discrete-event simulation of N agents.
- `studies`: detailed measurements of single mechanisms.
- `cli`: the commands of the laboratory.
"""
