"""From files to pixels: tasks, images, splits, and the cache of latents.

The code in the order of use:

- `names`: names that are safe to show, store and compare; did-you-mean.
- `image_headers`: format, size and orientation from a file's headers, without decoding.
- `pixels`: a decoded image -> upright, opaque, RGB, square.
- `images`: `ImageRef` (the place of an image's bytes); bytes -> upright uint8 pixels.
- `archives`: members of tar and zip files, read in place; nothing is ever extracted.
- `listing`: folder or archive -> one flat list of labelled images.
- `csv_listing`: CSV file -> the same kind of list.
- `splits`: seeded, stratified train, validation and test parts.
- `classes`: class names that can be told apart, each with training images.
- `tasks`: `read_task` and `find_tasks`: a path -> `Task`.
- `image_inputs`: images to predict: paths, folders, bytes, pictures in memory.
- `loader`: decoded batches, made by threads that run ahead of the network.
- `procedural_images`: seeded dead-leaves images for the fixed reference of a backbone.
- `tensor_file`: named arrays as a file whose bytes depend on its content alone.
- `backbone_store`: backbones on disk.
- `text_files`: weights and tokenizer of the installed sentence encoder.
"""
