"""Many quantizations of one float network, each measured as an integer network on the same images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from triovit.golden.data.folders import Dataset
from triovit.golden.data.images import CROP
from triovit.golden.evaluation.accuracy import TOP, Predictions
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.parallel import fan_out
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.family import family
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.classifier import Classifier
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.settings import Settings


@dataclass(frozen=True)
class Result:
    """One variant, or the float network. top1, top5: images right. agreement: images on which it gives the float
    network's class. seconds: of quantization. family: which hardware runs it, "float" if none.
    """

    name: str
    images: int
    top1: int
    top5: int
    agreement: int
    seconds: float
    family: str

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> Result:
        """Of what `to_dict` gave; raises ValueError or TypeError for anything else."""
        result = Result(**values)
        counts = (result.images, result.top1, result.top5, result.agreement)
        texts = (result.name, result.family)
        if not all(type(n) is int and 0 <= n <= result.images for n in counts) or result.images == 0:
            raise ValueError("numbers of images must be whole and at most `images`")
        if type(result.seconds) not in (int, float) or not all(isinstance(text, str) for text in texts):
            raise TypeError("seconds must be a number, name and family texts")
        return result


@dataclass(frozen=True)
class Experiment:
    """What is quantized, and on what it is measured.

    calibration: images for the quantizer, (R, R, 3) uint8 each (see `calibration_images`). dataset: labelled images
    whose labels are outputs of the network. networks: folder that keeps the integer networks, or None.
    """

    model: Classifier
    calibration: Sequence[np.ndarray]
    dataset: Dataset
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    classes: tuple[str, ...] = ()
    networks: Path | None = None
    crop: float = CROP


def float_predictions(experiment: Experiment, progress: Callable[[int, int], None] | None = None) -> Predictions:
    """Predictions of the float network on the data set."""
    predictor = FloatPredictor(experiment.model, experiment.mean, experiment.std, experiment.crop)
    told = progress and (lambda right, done, total: progress(done, total))
    return evaluate(predictor, experiment.dataset, progress=told)


def ablate(
    experiment: Experiment,
    reference: Predictions,
    variants: dict[str, Settings],
    *,
    scheduler: str | None = None,
    processes: int = 1,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Results of all variants in their order; reference: predictions of the float network.

    scheduler, processes: as of `fan_out`; a task is a variant. done: called with every result as it comes.
    """
    results: dict[int, Result] = {}
    task = _Variant(experiment, reference.top[:, 0])
    for index, result in fan_out(task, list(variants.items()), scheduler=scheduler, processes=processes):
        results[index] = result
        done(result)
    return [results[index] for index in sorted(results)]


def file_name(variant: str) -> str:
    """Name of a variant's network in the folder of networks."""
    return "-".join(variant.replace(",", " ").replace("=", " ").split()) + ".safetensors"


class _Variant:
    """What a worker does: (name, settings) -> the result."""

    def __init__(self, experiment: Experiment, reference: np.ndarray):
        self._experiment, self._reference = experiment, reference

    def __call__(self, item: tuple[str, Settings]) -> Result:
        (name, settings), experiment = item, self._experiment
        started = time.monotonic()
        network = quantize(
            experiment.model,
            experiment.calibration,
            name=name,
            classes=experiment.classes,
            settings=settings,
            mean=experiment.mean,
            std=experiment.std,
            crop=experiment.crop,
        ).with_metadata(method=name)
        seconds = time.monotonic() - started
        if experiment.networks:
            save_network(network, experiment.networks / file_name(name))
        found = evaluate(IntegerPredictor(network), experiment.dataset)
        return Result(
            name,
            len(found),
            found.accuracy().correct,
            found.accuracy(TOP).correct,
            int((found.top[:, 0] == self._reference).sum()),
            round(seconds, 1),
            family(network),
        )
