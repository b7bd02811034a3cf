"""Measuring agents: what a person or a paper wants to know about them.

- `evaluate`: learn every task of a folder, then measure without a task oracle.
- `measure`: mapper, oracle, final and direct accuracy of an agent.
- `demo_tasks`: small tasks of real images that come inside ordinary packages.
- `demo`: agents as processes that learn, share, survive a kill and end equal.
- `processes`: the agents of the demo as child processes.
- `tethered`: runs a child that ends when its parent does.
- `answering`: every test image answered by one home, for comparison.
- `report`: an HTML page of a demo's or an evaluation's result.
"""
