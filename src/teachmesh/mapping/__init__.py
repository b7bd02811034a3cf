"""Task anchors, and the task mappers built from them: pure functions of latents.

- `anchor`: `TaskAnchor`, the summary of a task that travels; `TensorSpec`, its wire format.
- `anchor_kinds`: method name -> anchor, readable without torch.
- `mapper`: `TaskMapper`, all anchors consolidated: latents -> score per task and class.
- `mapper_kinds`: method name -> mapper.
- `decisions`: scores of images under all tasks, and the answers they lead to.
- `moments`: class moments of multi-depth latents, regularised discriminant analysis (default).
  `moments_fit` fits them, `ridge` fits their linear head, and `discriminant` scores with a
  `whitening`.
- `gmmc`: Gaussian clusters per task (paper, Eq. 3 and 4); `gmm_fit` fits them.
- `maha`: class means and a covariance shared by all tasks (paper, Eq. 5).
- `typicality`: whether an image resembles the images of a task at all ("unknown").
- `fusion`: combination and comparison of decisions about the same images.
- `quantise`: int8 rows with one scale each.
"""
