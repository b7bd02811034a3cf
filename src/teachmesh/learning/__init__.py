"""From the latents of one task to a skill that can travel.

- `teacher`: one task -> one unsigned skill.
- `fit_method`: anchors, head and calibration of each method.
- `variants`: names of methods with and without beneficial biases.
"""
