"""The paper's baselines, its two bounds and nine newer closed-form methods.

- `baseline_registry`: all baselines by name, and functions that run a baseline over a stream.
- `image_stream`: tasks as pixels or latents. `stream_result`: results of a run.
- `training_loop`: training loop of all trained baselines. `baseline`: hooks of this loop.
- `choose_hyperparameters`: grid search on validation images.
- `baseline_nets`, `timm_trunks`, `multihead`: trunks and heads.
- `seeding`: random generators. `training_costs`: counts of multiply-accumulates.
- `fine_tune`, `joint`: the lower and the upper bound.
- `ewc`, `online_ewc`, `si`, `mas`, `lwf`: regularisers. `quadratic`, `sensitivity`: shared code.
- `er`: rehearsal. `psp`, `supsup`, `parallel_supsup`: parameter isolation. `supsup_inference`: the
  tasks that masks choose.
- `frozen`: base of the closed-form methods on latents. `closed_forms`: these by name.
- `ncm`, `slda`: class means, and one covariance for all classes (`shared_covariance`).
- `layup`, `ranpac`: ridge regression on latents or on their projections. `gram_ridge`: shared code.
- `fecam`, `lr_rgda`, `gaussian_heads`: Gaussians with own covariances of classes.
  `quadratic_scores`: shared code.
"""
