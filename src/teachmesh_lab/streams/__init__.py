"""Streams of tasks to learn one after another.

- `task_stream`: a stream and its sources: `builtin`, a folder, `torchvision:`, `hf:`, `skill-102:`.
- `builtin_stream`: 21 small tasks without any download. `drawn_tasks`: twelve of them.
- `painters`: functions that draw the images of these tasks.
- `vision_sets`: data sets of torchvision. `hub_stream`: data sets of the Hugging Face hub.
- `manifest`: names and sizes of SKILL-102. `skill102`: its images on disk.
- `stream_export`: images in memory -> a task folder.
"""
