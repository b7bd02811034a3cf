"""Tasks, images and splits, from files on disk to decoded pixels.

Modules in the order of use:

- `names`: names that are safe to show, store and compare; suggestions for misspelt names.
- `entry_points`: objects that other installed packages offer.
- `image_headers`: format, size and orientation from a file's headers, without decoding.
- `pixels`: conversion of decoded images to upright, opaque, square pixels.
- `exif_xmp`, `image_metadata`, `jpeg_segments`, `tiff_headers`: orientation, depth and memory.
- `sixteen_bits`: conversion of deeper samples to 8 bits.
- `fast_jpeg`: ordinary JPEG files, decoded by libjpeg-turbo alone.
- `image_readers`, `decoding`: Pillow's readers, and decoding to upright uint8 pixels.
- `images`: `ImageRef`, the location of an image's bytes.
- `archives`: members of tar and zip files, read in place; nothing is ever extracted.
- `source_files`: image files below a folder or in an archive, without system files.
- `layouts`: which folders are splits, and which are classes.
- `listing`: one flat list of labelled images from a folder or archive.
- `csv_text`: encodings, separators and paths of CSV files.
- `csv_listing`: a list of labelled images from a CSV file.
- `splits`: seeded, stratified train, validation and test parts.
- `duplicates`: equal files in two splits, in two classes, or twice.
- `classes`: checks for distinct class names and for training images of each class.
- `tasks`: `Task`, and `read_task` and `find_tasks`, which read tasks from a path.
- `image_inputs`: images to classify: paths, folders, bytes, pictures in memory.
- `loader`: batches of images, decoded by threads ahead of the network.
- `procedural_images`: seeded dead-leaves images for the fixed reference of a backbone.
- `tensor_file`: files of named arrays; the bytes depend only on the content.
- `backbone_store`: backbones on disk.
- `text_files`: weights and tokenizer of the installed sentence encoder.
"""
