"""Top-1 accuracy of an integer network, over several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
import torch

from golden.integer.execute import execute, pixels_to_input
from golden.integer.network import IntegerNetwork

_network: IntegerNetwork | None = None  # of a worker process


@contextmanager
def integer_predictor(network: IntegerNetwork, processes: int = 1) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """`predict` for `golden.network.evaluate.count_correct`: uint8 (N, R, R, 3) -> int64 logits (N, classes).

    A context manager, because it holds `processes` worker processes (1: none, everything runs in this one).
    """
    def stack(logits):
        return torch.from_numpy(np.stack(list(logits)).astype(np.int64))

    if processes == 1:
        yield lambda images: stack(_logits(network, image) for image in images.numpy())
        return
    with get_context("spawn").Pool(processes, _start, (network,)) as pool:
        yield lambda images: stack(pool.imap(_work, images.numpy(), chunksize=8))


def _logits(network: IntegerNetwork, image: np.ndarray) -> np.ndarray:
    return execute(network, pixels_to_input(image))[network.output].reshape(-1)


def _start(network: IntegerNetwork) -> None:
    global _network
    _network = network


def _work(image: np.ndarray) -> np.ndarray:
    return _logits(_network, image)
