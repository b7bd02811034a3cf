"""The paper's figures and ours, drawn from results only.

- `scene`: results that may stand in one figure; `style`: colours, lines, files.
- `curves`: Fig. 4, 5, 6, 8; `tasks`: Fig. 2, 7 and the mapper's confusions.
- `costs`: speed-up and bytes; `tables`: Fig. 2b, 9, 10.
"""
