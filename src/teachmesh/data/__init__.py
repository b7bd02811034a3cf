"""Tasks, images and splits, from files on disk to decoded pixels.

Modules in the order of use:

- `names`: names that are safe to show, store and compare; suggestions for misspelt names.
- `entry_points`: objects that other installed packages offer.
- `image_headers`: format, size and orientation from a file's headers, without decoding.
- `pixels`: conversion of decoded images to upright, opaque, square pixels.
- `images`: `ImageRef` (location of an image's bytes), and decoding to upright uint8 pixels.
- `archives`: members of tar and zip files, read in place; nothing is ever extracted.
- `listing`: one flat list of labelled images from a folder or archive.
- `csv_listing`: a list of labelled images from a CSV file.
- `splits`: seeded, stratified train, validation and test parts.
- `classes`: checks for distinct class names and for training images of each class.
- `tasks`: `Task`, and `read_task` and `find_tasks`, which read tasks from a path.
- `image_inputs`: images to classify: paths, folders, bytes, pictures in memory.
- `loader`: batches of images, decoded by threads ahead of the network.
- `procedural_images`: seeded dead-leaves images for the fixed reference of a backbone.
- `tensor_file`: files of named arrays; the bytes depend only on the content.
- `backbone_store`: backbones on disk.
- `text_files`: weights and tokenizer of the installed sentence encoder.
"""
