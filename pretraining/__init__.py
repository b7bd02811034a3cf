"""How the embedded backbone is made; not part of the package.

- `mosaics`: the pretraining images, from one mosaic per class to arrays in memory.
- `teacher_nets`: logits of a larger network on these images, computed once (distillation).
- `pretraining_recipe`: what a run does: sizes, epochs, learning rate, losses; a frozen value.
- `augment`: random crops and flips of whole batches.
- `student_net`: the backbone with its two classifiers, and the losses.
- `distillation_loop`: the training loop, exact under kills.
- `training_state`: everything a run needs to go on after a kill, written atomically.
- `plot`: a run's log as a picture.
- `pretrain`: `python -m pretraining.pretrain --data ../shared/pretrain --out RUN`.
- `make_reference`: scale and projection of the multi-depth latents.
- `export_weights`: weights, reference and card of a run, written into the package.
"""
