"""`teachmesh bench`: compare methods on a stream of tasks by computing the cells of a grid.

A cell is a combination of one method, stream, seed and number of agents.

- `grid_config`: grids, read from presets and TOML files; `toml_text`: reads and writes TOML.
- `bench_methods`: names, kinds and options of the methods, and constants of task mappers.
- `run_grid`: a whole run; `jobs`: its cells and their order; `cell`: one cell and its files.
- `job_engine`, `ray_engine`: send jobs to processes; `worker`: a process that does jobs.
- `stream_latents`: latents of a stream, computed once.
- `own_cells`, `biased_cells`: cells of teachmesh's methods without and with biases;
  `real_agents`: cells of N processes that share skills; `baseline_cells`: cells of baselines.
- `starting_nets`: networks that trained baselines start from.
- `summary`: rows computed from cells; `run_folder`: reads and writes the files of a run.
- `dry_run`, `baseline_estimates`: estimated costs of a run.
- `compare_runs`: two runs side by side.
- `bench_report`: figures, tables and reports of one run; `report_sections`: their content.
"""
