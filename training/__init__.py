"""How the embedded backbone is made; not part of the package.

- `mosaics`: the pretraining images, from one mosaic per class to arrays in memory.
- `teacher`: logits of a larger network on these images, computed once (distillation).
- `recipe`: what a run does: sizes, epochs, learning rate, losses; a frozen value.
- `augment`: random crops and flips of whole batches, derived from (seed, epoch, step).
- `state`: everything a run needs to go on after a kill, written atomically.
- `pretrain`: `python -m training.pretrain --data ../shared/pretrain --out RUN`.
- `export`: `python -m training.export RUN`: weights, card and reference into the package.
"""
