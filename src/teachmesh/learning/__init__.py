"""Learn one task, and turn it into a skill that can be shared.

- `teacher`: makes an unsigned skill from one task.
- `fit_method`: fits the anchors, head and calibration of each method.
- `skill_bytes`: makes a skill fit into a number of bytes.
- `variants`: names of methods with and without beneficial biases.
"""
