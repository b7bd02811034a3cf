"""Compute latents of images, and decide on the classes of one task.

The modules in the order of use:

- `backbone_cards`: the backbones of a home by alias: list, remove, export; without torch.
- `backbone_registry`: add, load and import backbones; the fit of a reference without data.
- `build_backbone`: files -> `Backbone`, for the embedded backbone and for those in a home.
- `backbone_recipe`: the recipe of a side-loaded backbone, validated because peers send it.
- `embedded_backbone`: the network in the package.
- `timm_net`: any timm network as a backbone, with its taps found by rule.
- `timm_weights`: the weights of timm networks; a shim for torchvision that does not fit torch.
- `forward_pass`: pixels -> pooled taps in one fast pass, with batch norms folded.
- `reference`: scale and projection of multi-depth latents, a file named by its hash.
- `backbone`: `Backbone`, the frozen network behind one interface; `Latents`.
- `embedding`: image files -> latents, with decoding in parallel.
- `lanes`: several forward passes at once, one thread each.
- `device`: the choice of the device.
- `macs`: multiply-accumulates, counted.
- `head`, `head_training`: the linear head of one task, its training, and the optimizer Adam.
- `task_network`: the whole decision of one task as a network for export.
"""
