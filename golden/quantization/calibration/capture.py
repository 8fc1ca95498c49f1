"""The float network run over images, with functions that look at the inputs and outputs of its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from triovit.golden.network.normalize import normalize
from triovit.golden.torch_modes import plain_modes

Progress = Callable[[str, int, int], None]  # (what is running, images done, images in all)
Visit = Callable[[torch.Tensor, torch.Tensor], None]  # (first input, output) of a module


@plain_modes()
@torch.inference_mode()
def run(
    model: nn.Module,
    images: np.ndarray,
    visits: Iterable[tuple[nn.Module, Visit]],
    *,
    batch: int,
    mean,
    std,
    what: str,
    progress: Progress | None = None,
) -> None:
    """Run (N, R, R, 3) uint8 images in batches; every `visit` is called whenever its module has run."""
    training = model.training
    model.eval()
    hooks = [
        module.register_forward_hook(lambda _module, inputs, output, visit=visit: visit(inputs[0], output))
        for module, visit in visits
    ]
    try:
        for start in range(0, len(images), batch):
            model(normalize(torch.from_numpy(images[start : start + batch]), mean, std))
            if progress:
                progress(what, min(start + batch, len(images)), len(images))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)


def evenly(images: np.ndarray, count: int) -> np.ndarray:
    """At most `count` images, evenly spaced: calibration sets may be sorted by class."""
    count = min(count, len(images))
    return images[[i * len(images) // count for i in range(count)]]
