import dataclasses
from itertools import pairwise

import pytest

from triovit.golden.network.efficientvit.blocks import LiteMLA, Residual
from triovit.golden.network.efficientvit.graph import plan
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.quantization.reconstruction.units import split
from triovit.golden.quantization.settings import QuantizationError


@pytest.mark.parametrize("preset", ["b0", "b1"])
def test_units_are_the_blocks(preset):
    model = EfficientViT(preset, 7, 32).eval()
    layers = tuple(plan(model))
    units = split(model, layers)
    assert [layer for unit in units for layer in unit.layers] == list(layers)
    blocks = [name for name, module in model.named_modules() if isinstance(module, Residual)]
    assert [unit.name for unit in units] == [
        "backbone.input_stem.op_list.0",
        *blocks,
        "head.op_list.0",
        "head.op_list.1",
        "head.op_list.2",
        "head.op_list.3",
    ]
    for unit, after in pairwise(units):
        assert after.source == unit.output
        assert unit.layers[-1].output in (unit.name, f"{unit.name}.act") or not unit.layers[-1].residual
    attention = [unit for unit in units if isinstance(getattr(model.get_submodule(unit.name), "main", None), LiteMLA)]
    assert {len(unit.layers) for unit in attention} == {5}
    assert {unit.layers[-1].residual for unit in attention} == {unit.source for unit in attention}


def test_layers_that_read_from_elsewhere_are_refused():
    model = EfficientViT("b0", 7, 32).eval()
    layers = plan(model)
    layers[8] = dataclasses.replace(layers[8], residual=layers[0].name)
    with pytest.raises(QuantizationError, match=rf"^{layers[8].name}: reads tensors from outside of its block$"):
        split(model, tuple(layers))
    with pytest.raises(QuantizationError, match="do not split into blocks"):
        split(model, tuple(layers[::-1]))
