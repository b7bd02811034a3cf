"""Studies of single mechanisms: the paper's arithmetic, beneficial biases, reuse."""
