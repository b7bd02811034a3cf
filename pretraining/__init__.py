"""Pretraining of the embedded backbone; not part of the package.

- `mosaics`: the pretraining images, from one mosaic per class to arrays in memory.
- `teacher_nets`: logits of a larger network on these images, computed once (distillation).
- `pretraining_recipe`: settings of a run: sizes, epochs, learning rate, losses.
- `augment`: random crops and flips of whole batches.
- `student_net`: the backbone with its two classifiers, and the losses.
- `parts`: a training step in parts, equal for any number of threads.
- `distillation_loop`: the training loop, which gives equal weights after any kill.
- `training_state`: the saved state of a run, written atomically.
- `plot`: a plot of a run's log.
- `pretrain`: `python -m pretraining.pretrain --data ../shared/pretrain --out RUN`.
- `make_reference`: scale and projection of the multi-depth latents.
- `export_weights`: weights, reference and card of a run, written into the package.
"""
