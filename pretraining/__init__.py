"""Pretraining of the embedded backbone; not part of the package.

- `mosaics`: loads the pretraining images, one mosaic per class, into arrays in memory.
- `teacher_nets`: logits of a larger network for these images, computed once for distillation.
- `pretraining_recipe`: settings of a run: sizes, epochs, learning rate, losses.
- `augment`: random crops and flips of whole batches.
- `student_net`: the backbone with its two classifiers, and the losses.
- `parts`: a training step in parts; the result is the same for any number of threads.
- `distillation_loop`: the training loop; an interruption does not change the final weights.
- `training_state`: the saved state of a run, written atomically.
- `plot`: a plot of a run's log.
- `pretrain`: the command `python -m pretraining.pretrain --data ../shared/pretrain --out RUN`.
- `make_reference`: scale and projection of the multi-depth latents.
- `export_weights`: writes weights, reference and card of a run into the package.
"""
