"""Networks as predictors: what is no classifier, and logits that are no numbers."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.networks import small_network
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.evaluation.reference import ReferencePredictor, count_outputs
from triovit.golden.integer.errors import NetworkError
from triovit.golden.network.checkpoint import CheckpointError
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize, random_images


def test_a_network_whose_last_tensor_is_a_map():
    whole = small_network(4, size=20)
    assert count_outputs(whole) == IntegerPredictor(whole).outputs == ReferencePredictor(whole).outputs == 10
    cut = dataclasses.replace(whole, nodes=whole.nodes[:1], classes=(), name="cut").validate()
    _, height, width = cut.shapes()[cut.output]
    assert height > 1
    message = f"^cut: a classifier's last tensor must be 1 x 1, not {height} x {width}$"
    for make in (count_outputs, IntegerPredictor, ReferencePredictor):
        with pytest.raises(NetworkError, match=message):
            make(cut)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite(value):
    model = initialize(EfficientViT("b0", 7, 32), 1)
    predictor, pixels = FloatPredictor(model), random_images(2, 32, 1).numpy()
    assert predictor.logits(pixels).shape == (2, 7)
    with torch.no_grad():
        model.head.op_list[3].linear.bias[3] = value
    with pytest.raises(CheckpointError, match="logits are not finite"):
        predictor.logits(pixels)


def test_both_predictors_of_the_integer_network_agree():
    network, pixels = small_network(4, size=20), random_images(3, 20, 1).numpy()
    logits = ReferencePredictor(network).logits(pixels)
    assert logits.dtype == np.int64 and logits.shape == (3, 10)
    assert np.array_equal(IntegerPredictor(network).logits(pixels), logits)
