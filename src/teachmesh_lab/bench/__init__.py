"""`teachmesh bench`: methods compared on a stream of tasks, one file per cell of the grid.

- `config`: presets and TOML files -> grids; `cell`: one method, stream, seed, number of agents.
- `jobs`: what there is to do; `engine`, `ray_engine`: who does it; `worker`: doing it.
- `latents`: every image through the backbone once; `ours`: the methods of teachmesh;
  `real`: N processes that teach each other; `rivals`: baselines; `counting`: students' costs.
- `run`: a whole run; `summary`: cells -> rows; `records`: metrics as lines; `environment`.
- `plan`: what a run would cost, before it is started; `compare`: two runs side by side.
- `figures`, `report`: pictures and pages, from results only.
"""
