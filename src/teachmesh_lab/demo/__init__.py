"""`teachmesh demo`: agents in separate processes learn, share, and end up with the same skills.

- `run_demo`: the demo itself.
- `demo_tasks`: small tasks with real images from installed packages.
- `agent_processes`: starts and stops agents as child processes.
- `tethered`: runs a child process that ends with its parent.
- `answer_process`: classifies all test images with one agent's home, to compare agents.
"""
