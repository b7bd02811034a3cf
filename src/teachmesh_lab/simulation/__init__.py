"""`teachmesh bench simulate`: learning and sharing of N agents, event by event.

- `event_simulation`: the simulation.
- `simulate_grid`: simulates the 102 tasks, or replays a real run.
- `simulated_tasks`: sizes and costs of the simulated tasks.
- `task_estimates`: costs of a task, estimated from its size.
- `task_packing`, `task_splitting`: which agent learns which tasks, or parts of tasks.
"""
