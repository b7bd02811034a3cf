"""`teachmesh demo`: processes that learn, share, survive a kill and end with equal banks.

- `run_demo`: the demo itself.
- `demo_tasks`: small tasks of real images from installed packages.
- `agent_processes`: agents as child processes.
- `tethered`: runs a child that ends when its parent ends.
- `answer_process`: answers for all test images with one home, for comparison.
"""
