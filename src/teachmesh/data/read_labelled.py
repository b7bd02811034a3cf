"""Reading of tasks from a path, from images in memory, or from data sets of other packages."""

from __future__ import annotations

import os

from teachmesh.data.image_splits import Growth
from teachmesh.data.labelled_images import IN_MEMORY, TaskData, list_labelled
from teachmesh.data.layouts import Layout
from teachmesh.data.names import check_name
from teachmesh.data.tasks import Task, arrange_task, read_task
from teachmesh.errors import UsageError


def read_labelled(
    data: TaskData,
    *,
    name: str | None = None,
    seed: int = 0,
    layout: Layout = "auto",
    split: tuple[float, float] | None = None,
    grows: Growth | None = None,
) -> Task:
    """Read a task from a path as `read_task` does, or from images in memory or in a data set.

    Images that are not files are split by a hash of their pixels, so their order makes no
    difference.

    Args:
        data: a path, or labelled images as described in `labelled_images`.
        name: name of the task; needed unless a path is given.
        seed: seed for making the splits that the data does not have.
        layout: meaning of the top folders, for a path only.
        split: fractions of each class for validation and test, as in `read_task`.
        grows: the task that the images are added to, as in `read_task`.

    Raises:
        UsageError: the name is missing, or the layout is unknown or given without a path.
        DataError: the images or labels cannot be used, for the reasons of `read_task` too.
    """
    if isinstance(data, str | os.PathLike):
        return read_task(data, name=name, seed=seed, layout=layout, split=split, grows=grows)
    if name is None:
        raise UsageError('expected a name for a task that is not a folder, such as name="screws"')
    if layout != "auto":
        raise UsageError(f"expected a layout with a folder only, got {layout!r}; leave it out")
    task = check_name("task", name, as_file=True)
    return arrange_task(list_labelled(data), task, IN_MEMORY, seed, split, grows)
