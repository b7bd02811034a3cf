"""Task anchors, and the task mappers built from them: pure functions of latents.

- `anchor`: `TaskAnchor`, the summary of a task in its skill; `TensorSpec`, types of its tensors.
- `anchor_kinds`: the anchors of all methods, usable without torch.
- `mapper`: `TaskMapper`, which combines anchors and maps latents to scores per task and class.
- `own_anchors`: the anchor class of any method, without torch.
- `own_mapper`: task mappers of other packages, and the function that makes any mapper.
- `metric`: the fixed space of a backbone's latents, and the background of images in general.
- `decisions`: scores of images for all tasks, and the answers derived from them.
- `moments`: discriminant analysis with class moments of multi-depth latents (the default).
  `moments_fit` fits them, `ridge` fits their linear head, `discriminant` computes densities, and
  `moments_scan` finds the best tasks of large banks.
- `whitening`: linear maps to the space where a covariance is the identity.
- `gmmc`: Gaussian clusters per task (paper, Eq. 3 and 4); `gmm_fit` fits them.
- `maha`: class means and a covariance shared by all tasks (paper, Eq. 5).
- `mapper_network`: the mappers as torch networks, for export.
- `typicality`: detection of images that do not resemble a task ("unknown").
- `fusion`: combination and comparison of decisions about the same images.
- `quantise`: conversion of rows to int8, with one scale per row; `bit_planes`: to 1 to 4 bits, with
  `error_feedback` for heads.
- `packed_moments`: class moments in fewer bytes.
"""
