"""Which output of a network a data set's class is: by name, or by order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triovit.golden.data.folders import Dataset, DatasetError
from triovit.golden.data.images import CROP
from triovit.golden.messages import listing


class Relabelled:
    """A data set with other class names and indices. index: of each of its classes among `classes`."""

    def __init__(self, dataset: Dataset, classes: Sequence[str], index: Sequence[int]):
        self._dataset = dataset
        self.classes = tuple(classes)
        self.labels = tuple(index[label] for label in dataset.labels)

    def __len__(self):
        return len(self.labels)

    def image(self, index: int, resolution: int, crop: float = CROP) -> np.ndarray:
        return self._dataset.image(index, resolution, crop)


def read_classes(path, outputs: int) -> tuple[str, ...]:
    """Class names from a text file, one per line in the order of the network's outputs.

    Raises DatasetError unless they are `outputs` different names in UTF-8.
    """
    try:
        names = tuple(line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not a text file in UTF-8") from None
    if len(names) != outputs:
        raise DatasetError(f"{path}: must name the network's {outputs} outputs, one per line, not {len(names)}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DatasetError(f"{path}: the same class twice: {listing(repeated)}")
    return names


def match_classes(dataset: Dataset, names: Sequence[str], outputs: int, source: str) -> tuple[Dataset, bool]:
    """(`dataset` with labels that are indices of a network's outputs, whether they were matched by name).

    names: of the outputs, empty if unknown. Classes of the data set that are all among them are matched by name; the
    data set may have fewer. If none of them is, but there are as many classes as outputs, they are taken in the data
    set's order: sorted, for a folder. Everything else raises DatasetError, which starts with `source`.
    """
    if names and len(names) != outputs:
        raise DatasetError(f"{source}: the network names {len(names)} classes but has {outputs} outputs")
    position = {name: index for index, name in enumerate(names)}
    ambiguous = [name for name in dataset.classes if names.count(name) > 1]
    if ambiguous:
        raise DatasetError(f"{source}: the network has several outputs called {listing(ambiguous)}")
    unknown = [name for name in dataset.classes if name not in position]
    if not unknown:
        return Relabelled(dataset, names, [position[name] for name in dataset.classes]), True
    # If some are among them, the others are wrong names, not another way to name the same classes.
    if len(unknown) == len(dataset.classes) == outputs:
        return Relabelled(dataset, dataset.classes, range(outputs)), False
    reason = f"none is called {listing(unknown)}" if names else "no names for them"
    raise DatasetError(f"{source}: {len(dataset.classes)} classes, the network has {outputs} outputs, and {reason}")
