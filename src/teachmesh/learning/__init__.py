"""From a task's images to a skill that can travel.

- `embedding`: images -> latents, decoding beside the network, in one backbone pass.
- `heads`: linear heads trained on latents (the paper's way).
- `methods`: what each method makes of latents: anchors, head, calibration; `within`: what a skill
  of one task decides when the task is given.
- `variants`: names of methods with and without beneficial biases.
- `bias_learning`: beneficial biases of one task, from images to what a skill carries; `bias_task`:
  what they are learned from; `bias_costs` counts a step, `bias_plan` decides what a budget buys,
  `bias_training` trains biases and head together, `bias_refit` ends with a closed form,
  `bias_choice` keeps what helps on validation images; `bias_latents`: what the head reads;
  `task_images`: pixels, row by row; `bias_store`: what an interrupted experiment trained before.
- `kin`: what the bank offers to a new task, and the gates; `borrow` and `offer` for class moments,
  `leaning` for the start of a trained head, `slope`: how much of old rows either takes.
- `adam`: the optimizer of heads and biases.
- `teacher`: one task -> one unsigned skill.
"""
