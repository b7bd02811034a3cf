"""What others know makes the next task cheaper (paper, Sec. 7.1, 7.2 and 8).

- `class_names`: class names cleaned, and those that mean nothing left out.
- `text_encoders`, `minilm`, `clip_text`: class names as vectors, or compared as words.
- `visual_similarity`: classes compared by their means in the mapper's whitened space.
- `visual_confirmation`: classes of like names that look alike too.
- `matching`: text and vision together; `equivalence`: all classes of a bank among themselves.

Everything here is a pure function of its arguments; `training.reuse` learns with it.
"""
