"""Beneficial biases (Eq. 1 and 2): learned floats per task, added to the layers of the backbone.

Learning, in the order of use:

- `bias_options`: user options: the layers to bias, the budget in forward passes, and Head2Toe.
- `bias_task`: the inputs: images, labels, and the results without biases.
- `bias_layout`: the layers that carry biases, and the position of each bias in one vector.
- `bias_plan`: the number of steps, learning rates and batch size that fit the budget.
- `bias_learning`: the whole procedure for one task; start reading here.
- `bias_training`: training of biases and head together with Adam.
- `bias_head`: the latents that the head reads, and a closed-form refit of the head.
- `head2toe`: a head that reads the feature maps with the largest biases (Sec. 7.3).
- `bias_encoding`: encoding of biases as float32, float16 or int8.
- `bias_choice`: a test on validation images; biases that do not help are dropped.

Running a network with biases:

- `biased_network`: `BeneficialBiases`, the frozen network with biases on some layers.
- `apply_biases`: biases folded into layers, or added by hooks.
- `cut_plan`, `network_cut`: networks split at a cut; the part without biases runs once per image.
- `activation_cache`: activations at the cut, kept in memory and on disk within a budget.

Answering:

- `second_pass`: second passes of images, with the biases of the task they were mapped to.
- `second_network`: second passes as a torch network, for export.
- `refine_decisions`: fusion of the within-task decisions with and without biases.
"""
