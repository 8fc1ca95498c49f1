"""Everything that a report tells about a network, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import Attention
from triovit.golden.network.classifier import Classifier
from triovit.golden.quantization.calibration.capture import Progress
from triovit.golden.quantization.encoding import from_metadata
from triovit.golden.quantization.sqnr import TensorError, compare, match_layers
from triovit.golden.report.activations import Activations, float_ranges, observe
from triovit.golden.report.ranges import ChannelRanges, channel_ranges
from triovit.golden.report.roles import depthwise_inputs, projection_inputs
from triovit.golden.report.weights import LayerWeights, layer_weights

NO_IMAGES = "images to run, of the kind that the network was calibrated for: --data PATH"
NO_MODEL = "the float network that was quantized: --model CHECKPOINT"
NO_ENCODINGS = (
    "the encodings (scale and zero point of every tensor), which the network's file does not have: "
    "quantize it again with 'triovit quantize'"
)


@dataclass(frozen=True)
class Accuracy:
    """A measured accuracy. what: of which network. top1, error, top5: in per cent; error: the standard error of top1;
    None where unknown. images: how many, 0 where unknown. floating: of a float network."""

    what: str
    data: str
    images: int
    top1: float
    error: float | None = None
    top5: float | None = None
    floating: bool = False


@dataclass(frozen=True)
class ReportSubject:
    """What a report is about. file, sha256, size: of the network's file (name, hash, bytes).

    model: the float network, or None. pixels: (N, R, R, 3) uint8 images, or None; data: where they are from.
    """

    network: IntegerNetwork
    file: str
    sha256: str
    size: int
    model: Classifier | None = None
    pixels: np.ndarray | None = None
    data: str = ""
    accuracies: tuple[Accuracy, ...] = ()


@dataclass(frozen=True)
class Findings:
    """errors: of every tensor, None without all that it takes. activations: None without images.

    migrated, shifted: ranges of the inputs of depthwise layers and of the pointwise layers behind these (empty
    without images). lacking: what is not known for want of what, by section ("sqnr", "ranges", "saturation",
    "divisors").
    """

    weights: list[LayerWeights]
    errors: list[TensorError] | None = None
    activations: Activations | None = None
    migrated: list[ChannelRanges] = field(default_factory=list)
    shifted: list[ChannelRanges] = field(default_factory=list)
    lacking: dict[str, list[str]] = field(default_factory=dict)


def find(subject: ReportSubject, progress: Progress | None = None) -> Findings:
    """Run the networks over the images and look at everything.

    progress: called with (what, images done, images in all). Raises QuantizationError when the float network is not the
    one that was quantized, or the encodings in the metadata are none.
    """
    network, model, pixels = subject.network, subject.model, subject.pixels
    encodings, weights = from_metadata(network), layer_weights(network)
    layers = match_layers(model, network) if model else []
    lacking: dict[str, list[str]] = {}
    if not (model and encodings and pixels is not None):
        lacking["sqnr"] = [
            text
            for text, missing in ((NO_MODEL, not model), (NO_IMAGES, pixels is None), (NO_ENCODINGS, not encodings))
            if missing
        ]
    if pixels is None:
        lacking |= {section: [NO_IMAGES] for section in ("ranges", "saturation")}
        if any(isinstance(node, Attention) for node in network.nodes):
            lacking["divisors"] = [NO_IMAGES]
        return Findings(weights, lacking=lacking)
    activations = observe(network, pixels, progress)
    roles = depthwise_inputs(network), projection_inputs(network)
    real = {}
    if model:
        mean, std = (
            network.metadata.get(key, value) for key, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
        )
        real = float_ranges(model, layers, [name for role in roles for name in role], pixels, mean, std, progress)
    if not encodings:
        lacking["ranges"] = [NO_ENCODINGS] if model else [NO_MODEL, NO_ENCODINGS]
    migrated, shifted = (
        [channel_ranges(name, activations.codes[name], real.get(name), encodings.get(name)) for name in role]
        for role in roles
    )
    errors = compare(model, network, pixels, progress) if model and "sqnr" not in lacking else None
    return Findings(weights, errors, activations, migrated, shifted, lacking)
