"""The paper's baselines, its two bounds and three newer closed forms, over streams of tasks.

- `baseline_registry`: all baselines by name; runs one over a stream.
- `image_stream`: tasks of pixels and of latents. `stream_result`: results of a run.
- `training_loop`: the one training loop. `baseline`: the hooks around it.
- `choose_hyperparameters`: grid search on validation images.
- `baseline_nets`, `multihead`: trunks and heads.
- `seeding`, `training_costs`: random generators and counted costs.
- `fine_tune`, `joint`: the lower and the upper bound.
- `ewc`, `online_ewc`, `si`, `mas` (on `quadratic`, `sensitivity`), `lwf`: regularisers.
- `er`: rehearsal. `psp`, `supsup`, `parallel_supsup`: parameter isolation.
- `frozen`: closed forms on latents: `ncm`, `slda`, `ranpac`.
"""
