"""`teachmesh bench simulate`: simulate N agents that learn and share skills.

- `event_simulation`: the discrete-event simulation.
- `simulate_grid`: simulates the SKILL-102 tasks or other tasks, or replays a real run.
- `simulated_tasks`: sizes and costs of the simulated tasks.
- `task_estimates`: costs of a task, estimated from its size.
- `task_splitting`: assigns tasks, or parts of tasks, to simulated agents.
"""
