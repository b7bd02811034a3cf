"""From a task's images to a skill that can travel.

- `embedding`: images -> latents, decoding beside the network, in one backbone pass.
- `heads`: linear heads trained on latents (the paper's way).
- `methods`: what each method makes of latents: anchors, head, calibration.
- `teacher`: one task -> one unsigned skill.
"""
