"""Task anchors, and the task mappers that are made of them. Pure functions of latents.

- `anchor`: `TaskAnchor`, what travels; `TensorSpec`, its shape on the wire.
- `mapper`: `TaskMapper`, all anchors consolidated: latents -> score per task and class.
- `mapper_kinds`: method name -> anchor and mapper.
- `moments`: class moments of multi-depth latents, regularised discriminant analysis (default);
  `scatter` finds the moments, `ridge` the linear head beside them, `discriminant` scores with a
  `whitening`.
- `gmmc`: Gaussian clusters per task (paper, Eq. 3 and 4); `gmm_em` fits them, started
  by `k_means`.
- `maha`: class means and a tied covariance of all tasks (paper, Eq. 5).
- `typicality`: whether an image looks like the images of a task at all ("unknown").
- `fusion`: two decisions about the same images as one.
- `quantise`: int8 rows with one scale each.
"""
