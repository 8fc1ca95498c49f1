"""A small archive in the layout of the CIFAR-10 JPEG archive, with classes that can be told apart."""

import io

import numpy as np
from PIL import Image

CLASSES = tuple(f"class{index}" for index in range(10))


def write_archive(path, train: int, test: int):
    """`train` and `test` images of noise around a colour that shows the class; sorted by class, as CIFAR is."""
    rng = np.random.default_rng(7)
    split = np.repeat([0, 1], [train, test]).astype(np.uint8)
    label = np.concatenate([np.arange(count) * 10 // count for count in (train, test)]).astype(np.uint8)
    files = []
    for kind in label:
        colour = np.array([kind * 20, 200 - kind * 20, (kind % 3) * 80])
        stream = io.BytesIO()
        pixels = (colour + rng.integers(0, 40, (32, 32, 3))).astype(np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG", quality=95)
        files.append(stream.getvalue())
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offset=np.cumsum([0, *map(len, files)]),
        label=label,
        split=split,
        classes=np.array(CLASSES),
    )
    return path
