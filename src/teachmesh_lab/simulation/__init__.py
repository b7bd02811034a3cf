"""`teachmesh bench simulate`: learning and sharing of N agents as discrete events.

- `event_simulation`: the simulation.
- `simulate_grid`: simulates the 102 tasks, or replays a real run.
- `simulated_tasks`: sizes and costs of the simulated tasks.
- `task_estimates`: costs of a task, estimated from its size.
- `task_splitting`: parts of tasks, given to simulated agents.
"""
