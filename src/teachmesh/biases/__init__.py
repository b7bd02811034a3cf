"""Beneficial biases (Eq. 1 and 2): learned, kept where they help, encoded, applied."""
