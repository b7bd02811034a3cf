"""Beneficial biases (Eq. 1 and 2): learned floats per task, added to the layers of the backbone.

Learning, in the order of use:

- `bias_options`: the options of a user: layers, budget in forward passes, Head2Toe.
- `bias_task`: the inputs: images, labels, and the results without biases.
- `bias_layout`: the layers that carry biases, and the place of each bias in one vector.
- `bias_plan`: number of steps, rates and batch size within the budget.
- `bias_learning`: the whole way of one task; start reading here.
- `bias_training`: biases and head trained together by Adam.
- `bias_head`: the latents that the head reads, and its refit in closed form.
- `head2toe`: a head on the feature maps with the largest biases (Sec. 7.3).
- `bias_encoding`: biases as float32, float16 or int8.
- `bias_choice`: biases are kept only if they help on validation images.

Running a network with biases:

- `biased_network`: `BeneficialBiases`, the frozen network with biases on some layers.
- `apply_biases`: biases folded into layers, or added by hooks.
- `cut_plan`, `network_cut`: the part before the first biased layer runs once per image.
- `activation_cache`: activations at the cut, kept in memory and on disk within a budget.

Answering:

- `second_pass`: images run again with the biases of the task they were mapped to.
- `refine_decisions`: both decisions fused within the task; the task posteriors stay.
"""
