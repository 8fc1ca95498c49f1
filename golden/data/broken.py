"""Images of a data set that cannot be read: which, and the data set without them."""

from __future__ import annotations

from collections.abc import Callable

from triovit.golden.data.folders import DatasetError, Images, Selection
from triovit.golden.data.images import ImageError

Broken = tuple[tuple[int, str], ...]  # (place in the data set, message) of images that cannot be read


def readable(
    images: Images, resolution: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Selection, Broken]:
    """The images that can be read, in their order, and the others; reads each once.

    progress: called after every image with (done, total). Raises DatasetError when none can be read.
    """
    good, broken = [], []
    for index in range(len(images)):
        try:
            images.image(index, resolution)
            good.append(index)
        except ImageError as error:
            broken.append((index, str(error)))
        progress(index + 1, len(images))
    if not good:
        raise DatasetError(f"none of the {len(images)} images can be read; the first: {broken[0][1]}")
    return Selection(images, good), tuple(broken)
