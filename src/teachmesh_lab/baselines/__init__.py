"""The paper's baselines, its two bounds and three newer closed-form methods.

- `baseline_registry`: all baselines by name, and functions that run one over a stream.
- `image_stream`: tasks as pixels or latents. `stream_result`: results of a run.
- `training_loop`: training loop of all trained baselines. `baseline`: its hooks.
- `choose_hyperparameters`: grid search on validation images.
- `baseline_nets`, `multihead`: trunks and heads.
- `seeding`, `training_costs`: random generators and counted costs.
- `fine_tune`, `joint`: the lower and the upper bound.
- `ewc`, `online_ewc`, `si`, `mas` (on `quadratic`, `sensitivity`), `lwf`: regularisers.
- `er`: rehearsal. `psp`, `supsup`, `parallel_supsup`: parameter isolation.
- `frozen`: closed-form methods on latents: `ncm`, `slda`, `ranpac`.
"""
