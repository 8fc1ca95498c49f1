"""A network over a data set: predictions chunk by chunk, over processes or a cluster, kept in a journal if wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from triovit.golden.data.folders import Dataset, DatasetError
from triovit.golden.data.images import ImageError
from triovit.golden.evaluation.accuracy import Chunk, Predictions, top_classes
from triovit.golden.evaluation.journal import Journal
from triovit.golden.evaluation.parallel import fan_out

BATCH = 50

Progress = Callable[[int, int, int], None]  # (images right, images done, images in all)


class Predictor(Protocol):
    """What is evaluated; see `golden.evaluation.predictors` and, without PyTorch, `golden.evaluation.reference`.

    resolution, crop: of its images. logits: (N, R, R, 3) uint8 pixels -> (N, outputs), integers or floats.
    """

    resolution: int
    crop: float
    outputs: int

    def logits(self, pixels: np.ndarray) -> np.ndarray: ...


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    batch: int = BATCH,
    journal: Journal | None = None,
    skip_broken: bool = False,
    scheduler: str | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Predictions:
    """Predictions of all images of `dataset`, whose labels are indices of the network's outputs.

    batch: images per chunk, at least 1. journal: images that it holds are not run again, and every chunk is added to
    it. scheduler, processes: as of `fan_out`; workers read the images themselves. progress: called before the first
    chunk and after every one.

    Raises ImageError for an image that cannot be read, unless `skip_broken`: then it is listed in the predictions;
    what was done until then is in the journal. DatasetError when no image at all can be read. ParallelError as of
    `fan_out`, ValueError for `batch`.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    chunks = list(journal.chunks) if journal else []
    done = {index for chunk in chunks for index in chunk.index}
    if skip_broken:
        done |= {index for chunk in chunks for index, _ in chunk.broken}
    right = sum(chunk.correct for chunk in chunks)
    missing = [index for index in range(len(dataset)) if index not in done]
    if progress:
        progress(right, len(done), len(dataset))
    work = [missing[start : start + batch] for start in range(0, len(missing), batch)]
    for _, chunk in fan_out(_ChunkEvaluation(predictor, dataset), work, scheduler=scheduler, processes=processes):
        if journal:
            journal.append(chunk)
        if chunk.broken and not skip_broken:
            raise ImageError(chunk.broken[0][1])
        chunks.append(chunk)
        done.update(chunk.index, (index for index, _ in chunk.broken))
        right += chunk.correct
        if progress:
            progress(right, len(done), len(dataset))
    if not any(chunk.index for chunk in chunks):
        raise DatasetError(f"none of the {len(dataset)} images can be read; the first: {chunks[0].broken[0][1]}")
    return Predictions.collect(chunks)


class _ChunkEvaluation:
    """What a worker does: indices of images -> their predictions."""

    def __init__(self, predictor: Predictor, dataset: Dataset):
        self._predictor, self._dataset = predictor, dataset

    def __call__(self, indices: Sequence[int]) -> Chunk:
        images, read, broken = [], [], []
        for index in indices:
            try:
                images.append(self._dataset.image(index, self._predictor.resolution, self._predictor.crop))
                read.append(index)
            except ImageError as error:
                broken.append((index, str(error)))
        top = top_classes(self._predictor.logits(np.stack(images))).tolist() if images else []
        return Chunk(read, [int(self._dataset.labels[index]) for index in read], top, broken)
