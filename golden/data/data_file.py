"""Writing the data file that `CifarArchive` reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from triovit.golden.files import whole_file

COMPRESSION = 6  # of PNG, 0 to 9: more takes longer and gains little


def write_data_file(
    path,
    pixels: np.ndarray,
    labels: np.ndarray,
    split: np.ndarray,
    classes: Sequence[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write an .npz archive as `golden.data.archives.CifarArchive` describes it; it appears whole or not at all.

    pixels: (N, H, W, 3) uint8, kept exactly: its files are PNG. labels: (N,) indices of `classes`. split: (N,) 0 for
    training, 1 for tests. progress: called after every image with (done, total). The same images give the same bytes.
    """
    files = []
    for image in pixels:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG", compress_level=COMPRESSION)
        files.append(stream.getvalue())
        progress(len(files), len(pixels))
    arrays = {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offset": np.cumsum([0, *map(len, files)]),
        "label": labels.astype(np.uint16),
        "split": split.astype(np.uint8),
        "classes": np.array(classes),
    }
    with whole_file(Path(path)) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
