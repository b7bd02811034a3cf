"""Streams of tasks to learn one after another.

- `task_stream`: a stream and its sources: `builtin`, a folder, `torchvision:`, `hf:`, `skill-102:`.
- `builtin_stream`: 21 small tasks that need no download; `drawn_tasks` draws twelve of these.
- `painters`: functions that draw the images of the drawn tasks.
- `vision_sets`: data sets from torchvision. `hub_stream`: data sets from the Hugging Face hub.
- `manifest`: names and sizes of the SKILL-102 tasks. `skill102`: the SKILL-102 images on disk.
- `written_tasks`: writes built-in tasks to a folder for people.
- `stream_export`: writes images in memory to a task folder.
"""
