"""Top-1 accuracy; `python -m golden.network.evaluate ARCHIVE.npz [--limit N]` measures the bundled network's."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from golden.network.bundled import load_bundled
from golden.network.datasets import CifarArchive, Dataset, Subset, batches
from golden.network.preprocess import normalize


def count_correct(
    predict: Callable[[torch.Tensor], torch.Tensor],
    dataset: Dataset,
    resolution: int,
    *,
    batch_size: int = 100,
    progress: Callable[[int, int], None] = lambda correct, seen: None,
) -> tuple[int, int]:
    """(correct, seen) over `dataset`.

    predict: uint8 images (N, R, R, 3) -> logits (N, classes). progress: called after every batch.
    """
    correct = seen = 0
    for images, labels in batches(dataset, resolution, batch_size):
        correct += int((predict(images).argmax(1) == labels).sum())
        seen += len(labels)
        progress(correct, seen)
    return correct, seen


def float_predictor(model: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """`predict` for `count_correct` from a float network with the ImageNet normalization."""

    @torch.inference_mode()
    def predict(images):
        return model(normalize(images))

    return predict


def main(arguments: list[str] | None = None) -> None:
    """Print the bundled network's top-1 accuracy on the test images of a CIFAR-10 JPEG archive."""
    parser = argparse.ArgumentParser(prog="python -m golden.network.evaluate", description=main.__doc__)
    parser.add_argument("archive", help="CIFAR-10 as JPEG in an .npz archive")
    parser.add_argument("--limit", type=int, help="use N evenly spaced test images")
    options = parser.parse_args(arguments)
    bundled = load_bundled()
    try:
        dataset = CifarArchive(options.archive, "test")
        if options.limit is not None:
            dataset = Subset(dataset, options.limit)
        correct, seen = count_correct(float_predictor(bundled.model), dataset, bundled.resolution)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"top-1 {100 * correct / seen:.2f} % ({correct} of {seen} images)")


if __name__ == "__main__":
    main()
