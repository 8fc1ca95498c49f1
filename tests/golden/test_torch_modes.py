"""What is computed does not depend on the modes that the caller has set in PyTorch, which are as before afterwards."""

from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch

from tests.networks import efficientvit_like
from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.evaluation.predictors import FloatPredictor
from triovit.golden.identity import network_hash
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.network.architectures import build
from triovit.golden.network.checkpoint import load_model, save_checkpoint
from triovit.golden.network.seeded import initialize, random_images
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.settings import QuantizationError, Settings
from triovit.golden.torch_modes import SMALLEST, plain_modes


@contextmanager
def default(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def switched(function):
    function(True)
    try:
        yield
    finally:
        function(False)


@contextmanager
def device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


MODES = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "inference": torch.inference_mode,
    "no gradients": torch.no_grad,
    "float64": lambda: default(torch.float64),
    "float16": lambda: default(torch.float16),
    "bfloat16": lambda: default(torch.bfloat16),
    "flushed": lambda: switched(torch.set_flush_denormal),
    "deterministic": lambda: switched(torch.use_deterministic_algorithms),
    "meta": lambda: device("meta"),
}
SETTINGS = Settings()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """A network in a file, an integer network, pictures, and what all of it gives without any mode."""
    path = tmp_path_factory.mktemp("float") / "b0.safetensors"
    save_checkpoint(initialize(build("b0", 4, 32), 3), path)
    network, pixels = efficientvit_like("b0", 32, 5, classes=4), random_images(2, 32, 1).numpy()
    logits = np.stack([execute(network, pixels_to_input(x))[network.output].reshape(-1) for x in pixels])
    model = load_model(path, 32)
    quantized = network_hash(quantize(model, list(pixels), name="x", settings=SETTINGS))
    return path, network, pixels, logits, FloatPredictor(model).logits(pixels), quantized


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(expected, mode):
    path, network, pixels, logits, real, quantized = expected
    made = BatchExecutor(network)
    with MODES[mode]():
        for executor in (made, BatchExecutor(network)):
            assert np.array_equal(executor.logits(pixels).numpy(), logits)
        model = load_model(path, 32)
        assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
        assert np.array_equal(FloatPredictor(model).logits(pixels), real)
        assert network_hash(quantize(model, list(pixels), name="x", settings=SETTINGS)) == quantized


def test_modes_do_matter_to_what_is_not_shielded(expected):
    """Else the test above would show nothing."""
    model, pixels = load_model(expected[0], 32), torch.from_numpy(expected[2]).permute(0, 3, 1, 2) / 255
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(pixels).dtype == torch.bfloat16


@pytest.mark.parametrize("mode", MODES)
def test_modes_are_as_before_afterwards(mode):
    def state():
        product = torch.full((), SMALLEST, dtype=torch.float64, device="cpu") * 1.0
        return torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu"), product.item()

    with MODES[mode]():
        before = state()
        with pytest.raises(ZeroDivisionError), plain_modes():
            assert state() == (torch.float32, torch.device("cpu"), False, SMALLEST)
            raise ZeroDivisionError
        assert state() == before


@pytest.mark.parametrize("order", [nullcontext, torch.inference_mode])
def test_pixels_in_another_memory_format(expected, order):
    _, network, pixels, logits, *_ = expected
    planes = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    with order():
        assert np.array_equal(BatchExecutor(network).logits(planes).numpy(), logits)


def test_weights_in_another_memory_format(expected):
    path, _, pixels, _, _, quantized = expected
    model = load_model(path, 32).to(memory_format=torch.channels_last)
    strides = [tensor.stride() for tensor in model.parameters()]
    assert network_hash(quantize(model, list(pixels), name="x", settings=SETTINGS)) == quantized
    assert [tensor.stride() for tensor in model.parameters()] == strides  # the caller's model is as it was


def test_other_types_are_refused(expected):
    model = load_model(expected[0], 32).double()
    with pytest.raises(QuantizationError, match=r"conv.weight must be float32 on the CPU, not float64 on cpu"):
        quantize(model, list(expected[2]), name="x", settings=SETTINGS)
