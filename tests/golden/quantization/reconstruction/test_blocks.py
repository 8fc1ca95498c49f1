import dataclasses
from itertools import pairwise

import pytest

from triovit.golden.network.architectures import layers_of
from triovit.golden.network.efficientvit.blocks import LiteMLA, Residual
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.graph import addend
from triovit.golden.quantization.reconstruction.blocks import split
from triovit.golden.quantization.settings import QuantizationError


@pytest.mark.parametrize("preset", ["b0", "b1"])
def test_blocks_of_reconstruction(preset):
    model = EfficientViT(preset, 7, 32).eval()
    layers = layers_of(model)
    blocks = split(layers)
    assert [layer for block in blocks for layer in block.layers] == layers
    residuals = [name for name, module in model.named_modules() if isinstance(module, Residual)]
    assert [block.name for block in blocks] == [
        "backbone.input_stem.op_list.0",
        *residuals,
        "head.op_list.0",
        "head.op_list.1",
        "head.op_list.2",
        "head.op_list.3",
    ]
    for block, after in pairwise(blocks):
        assert after.source == block.output
        assert block.layers[-1].output in (block.name, f"{block.name}.act") or not addend(block.layers[-1])
    attention = [
        block for block in blocks if isinstance(getattr(model.get_submodule(block.name), "main", None), LiteMLA)
    ]
    assert {len(block.layers) for block in attention} == {5}
    assert {addend(block.layers[-1]) for block in attention} == {block.source for block in attention}


def test_layers_that_read_from_elsewhere_are_refused():
    model = EfficientViT("b0", 7, 32).eval()
    layers = layers_of(model)
    layers[8] = dataclasses.replace(layers[8], residual=layers[0].name)
    with pytest.raises(QuantizationError, match=rf"^{layers[8].name}: reads tensors from outside of its block$"):
        split(layers)
