"""Streams of tasks to learn one after another.

- `stream`: a stream and its sources: `builtin`, a folder, `torchvision:`, `hf:`, `skill-102:`.
- `builtin`: 21 small tasks without any download; `drawn`: those of them that are drawn.
- `vision_sets`: data sets of torchvision; `hub`: data sets of the hub, as they lie on disk.
- `manifest`: names and sizes of SKILL-102; `skill102`: its images on disk.
- `export`: images in memory -> a folder of a task.
"""
