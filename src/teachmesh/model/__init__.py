"""Compute latents of images, and classify images within one task.

Modules in the order of use:

- `backbone_cards`: list, remove and export the backbones of a home, without torch.
- `backbone_registry`: add, load and import backbones; fit a reference without data.
- `build_backbone`: build a `Backbone` from files of the package or of a home.
- `backbone_recipe`: the recipe of a side-loaded backbone, validated because peers send it.
- `embedded_backbone`: the network that the package contains.
- `timm_net`: any timm network as a backbone, with taps chosen by rules.
- `timm_weights`: the weights of timm networks; a shim if torchvision does not match torch.
- `forward_pass`: compute pooled taps from pixels in one fast pass, with folded batch norms.
- `reference`: scale and projection of multi-depth latents, in a file named by its hash.
- `backbone`: `Backbone`, the frozen network behind one interface; `Latents`.
- `embedding`: compute the latents of image files, with parallel decoding.
- `lanes`: parallel forward passes, one thread each.
- `device`: the choice of the device.
- `macs`: counting of multiply-accumulates.
- `head`, `head_training`: the linear head of one task, its training, and the optimizer Adam.
- `task_network`: the whole classifier of one task as a network for export.
"""
