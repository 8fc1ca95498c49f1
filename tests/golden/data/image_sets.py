"""Small data sets, made on the spot."""

import io

import numpy as np
from PIL import Image

LABELS = (2, 0, 1, 1, 2)
SPLIT = (0, 1, 1, 0, 1)


def jpeg(level):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (level, level, level)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def write_archive(path, **changes):
    files = [jpeg(40 * index) for index in range(5)]
    arrays = {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offset": np.cumsum([0, *map(len, files)]),
        "label": np.array(LABELS, np.uint8),
        "split": np.array(SPLIT, np.uint8),
        "classes": np.array(["ant", "bee", "cow"]),
        **changes,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def folder(root, *names):
    """Images 0, 1, ... of these names, each of the shade of its number."""
    for level, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (level, level, level)).save(path)
    return root


def shades(dataset):
    return [round(dataset.image(index, 32).mean()) for index in range(len(dataset))]
