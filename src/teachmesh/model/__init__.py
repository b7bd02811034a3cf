"""Compute latents of images, and classify images within one task.

Modules in the order of use:

- `backbone_cards`: list, remove and export the backbones of a home, without torch.
- `backbone_registry`: add, load and import backbones.
- `build_backbone`: build a `Backbone` from files, on a chosen device.
- `backbone_recipe`: the recipe of a side-loaded backbone, validated because peers send it.
- `embedded_backbone`: the network whose weights are shipped with the package.
- `timm_net`: any timm network as a backbone, with taps chosen by rules.
- `own_network`: networks of other packages.
- `timm_weights`: read or download the weights of timm networks; a shim for torchvision.
- `forward_pass`: compute pooled taps from pixels in one fast pass, with folded batch norms.
- `reference`: scale, projection and metric of multi-depth latents.
- `reference_images`: make a reference from images.
- `backbone`: `Backbone`, one interface for all frozen networks; `Latents`, its output.
- `compute_engine`, `number_type`: another engine or number type behind the same interface;
  `openvino_pass` is one.
- `embedding`: compute the latents of image files, with parallel decoding.
- `lanes`: run forward passes in parallel, one thread for each pass.
- `macs`: count multiply-accumulates.
- `head`, `head_training`: the linear head of one task, and its training with Adam.
- `task_network`: the whole classifier of one task as a network for export.
- `onnx_file`: writes networks as ONNX files, and runs these.
"""
