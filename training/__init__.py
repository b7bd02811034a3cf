"""How the embedded backbone is made; not part of the package.

- `mosaics`: the pretraining images, from one mosaic per class to arrays in memory.
- `teacher`: logits of a larger network on these images, computed once (distillation).
- `recipe`: what a run does: sizes, epochs, learning rate, losses; a frozen value.
- `augment`: random crops and flips of whole batches.
- `student`: the backbone with its two classifiers, and the losses.
- `loop`: the training loop, exact under kills.
- `state`: everything a run needs to go on after a kill, written atomically.
- `plot`: a run's log as a picture.
- `pretrain`: `python -m training.pretrain --data ../shared/pretrain --out RUN`.
- `reference`: scale and projection of the multi-depth latents.
- `export`: `python -m training.export RUN --data ../shared/pretrain`: into the package.
"""
