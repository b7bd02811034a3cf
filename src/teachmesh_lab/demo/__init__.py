"""`teachmesh demo`: agents as processes that learn, share, survive a kill and end equal.

- `run_demo`: the demo itself.
- `demo_tasks`: small tasks of real images that come inside ordinary packages.
- `agent_processes`: the agents as child processes.
- `tethered`: runs a child that ends when its parent does.
- `answer_process`: answers every test image with one home, for comparison.
"""
