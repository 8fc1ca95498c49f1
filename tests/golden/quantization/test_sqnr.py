"""Float against integer network: the numbers, and networks that do not belong together."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests.networks import small_network
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.serialize import load_network, save_network
from triovit.golden.network.checkpoint import load_model, save_checkpoint
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.normalize import normalize
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.quantize import quantize_model
from triovit.golden.quantization.settings import QuantizationError
from triovit.golden.quantization.sqnr import compare, match_layers


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


@pytest.fixture(scope="module")
def images():
    return random_images(5, 10, 32)  # more than a batch of the comparison


@pytest.fixture(scope="module")
def quantized(model, images):
    return quantize_model(model, images, name="seeded")


def test_a_network_from_a_file(model, quantized, images, tmp_path):
    """One tensor by hand; all of them as from the network that was not saved."""
    save_network(quantized.network, tmp_path / "q.safetensors")
    network, seen = load_network(tmp_path / "q.safetensors"), []
    errors = compare(model, network, images, progress=lambda *step: seen.append(step))
    assert errors == compare(model, quantized.network, images)
    assert seen == [("errors", 8, 10), ("errors", 10, 10)]
    assert [error.name for error in errors] == [node.name for node in network.nodes]
    name = "head.op_list.2.linear"
    found = next(error for error in errors if error.name == name)
    with torch.inference_mode():
        x = normalize(torch.from_numpy(np.stack(images)), network.metadata["mean"], network.metadata["std"])
        x = model.head.op_list[1](model.head.op_list[0](model.backbone(x)))
        expected = model.head.op_list[2].linear(x.flatten(1)).double().numpy()
    codes = np.stack([execute(network, pixels_to_input(image), keep=True)[name].reshape(-1) for image in images])
    encoding = quantized.encodings[name]
    error = (codes - encoding.zero_point) * encoding.scale - expected
    assert found.sqnr == pytest.approx(10 * math.log10((expected**2).sum() / (error**2).sum()), rel=1e-3)
    assert found.largest == pytest.approx(np.abs(error).max(), rel=1e-3)
    assert found.peak == pytest.approx(np.abs(expected).max(), rel=1e-5)
    assert found.saturated == np.isin(codes, (-128, 127)).mean()


def test_what_does_not_belong_together(model, quantized, images):
    network = quantized.network
    with pytest.raises(QuantizationError, match=r"head\.op_list\.3\.linear has 5 channels, not 7"):
        compare(EfficientViT("b0", 5, 32), network, images)
    with pytest.raises(QuantizationError, match=r"layer backbone\.input_stem\.op_list\.0 stands in the place of stem$"):
        compare(model, small_network(1), images)
    with pytest.raises(QuantizationError, match="58 layers, not 57"):
        compare(model, dataclasses.replace(network, nodes=network.nodes[:-1]), images)
    with pytest.raises(QuantizationError, match="64 pixels per side, not 32"):
        compare(EfficientViT("b0", 7, 64), network, images)
    with pytest.raises(QuantizationError, match="calibration image 0 must be uint8"):
        compare(model, network, random_images(1, 1, 64))


def test_the_same_shapes_with_other_weights(model, quantized, images, tmp_path):
    other = initialize(EfficientViT("b0", 7, 32), 2)
    with pytest.raises(QuantizationError, match="the float network is not the one that became seeded: other weights"):
        compare(other, quantized.network, images)
    save_checkpoint(model, tmp_path / "float.safetensors")
    again = load_model(tmp_path / "float.safetensors", 32)
    assert compare(again, quantized.network, images) == compare(model, quantized.network, images)
    metadata = {name: value for name, value in quantized.network.metadata.items() if name != "model_hash"}
    older = dataclasses.replace(quantized.network, metadata=metadata)  # of a version that kept no hash
    assert len(match_layers(other, older)) == len(older.nodes)


def test_without_encodings(model, quantized, images):
    bare = quantized.network.with_metadata(encodings={})
    with pytest.raises(QuantizationError, match=r"no encodings in its metadata, backbone\.input_stem\.op_list\.0"):
        compare(model, bare, images)
