"""The laboratory of teachmesh: everything that measures and compares; the product never imports it.

- `evaluation`: `teachmesh evaluate`, accuracies, costs.
- `demo`: `teachmesh demo`.
- `bench`: `teachmesh bench`, grids of resumable cells; `figures`: its pictures.
- `baselines`: the methods that ours are compared with; `streams`: tasks to learn one by one.
- `simulation`: N agents, event by event.
- `studies`: single mechanisms, measured in detail.
- `cli`: the commands.
"""
