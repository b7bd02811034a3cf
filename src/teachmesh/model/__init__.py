"""Images to latents, and latents to classes of one task.

The code in the order of use:

- `backbone_registry`: the backbones of a home by alias; adding, loading, carrying them.
- `build_backbone`: files -> `Backbone`: the embedded one, and those that a home stores.
- `backbone_recipe`: how a side-loaded backbone is built again; checked, because strangers send it.
- `embedded_backbone`: the network inside the package.
- `timm_net`: any timm network as a backbone, its taps found by rule; `timm_weights`: its weights;
  `torchvision_shim`: makes timm importable where torchvision does not fit torch.
- `batch_norm_folding`: batch norms folded into the convolutions before them.
- `forward_pass`: pixels -> pooled taps, in one fast pass.
- `reference`: scale and projection of multi-depth latents, a file named by its hash;
  `backbone_registry.fit_procedural` fits one without data.
- `backbone`: `Backbone`, the frozen network behind one interface; `Latents`.
- `lanes`: several forward passes beside each other, one thread each.
- `device`: which device, which number type.
- `macs`: multiply-accumulates, counted.
- `head`: the linear head of one task; `adam`: the optimizer of heads and biases.
"""
