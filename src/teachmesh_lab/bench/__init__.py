"""`teachmesh bench`: compare methods on a stream of tasks, one file per cell of the grid.

A cell is one method, stream, seed and number of agents.

- `grid_config`: presets and TOML files -> grids; `toml_text` reads and writes them.
- `bench_methods`: names, kinds and training options of the methods.
- `run_grid`: a whole run; `jobs`: its cells and their order; `cell`: one cell and its files.
- `job_engine`, `ray_engine`: hand jobs to processes; `worker`: does a job.
- `stream_latents`: passes every image through the backbone once.
- `own_cells`, `biased_cells`: methods of teachmesh without and with biases; `real_agents`: N
  processes that teach each other; `baseline_cells`: baselines.
- `summary`: cells -> rows; `run_folder`: files of a run, written and read.
- `dry_run`, `baseline_estimates`: costs of a run before it starts.
- `compare_runs`, `bench_report`: two runs side by side; figures and pages of one run.
"""
