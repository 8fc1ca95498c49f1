"""Whole networks: the integer network follows the float one, and says how it was made."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.golden.quantization.schemes import tiny_model
from triovit.golden.evaluation.predictors import FloatPredictor
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm
from triovit.golden.integer.serialize import load_network, save_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.efficientvit.blocks import MBConv
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.graph import GraphError
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import check_images, image_hash, random_images
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize, quantize_model
from triovit.golden.quantization.reconstruction.options import OPTIONS
from triovit.golden.quantization.settings import QuantizationError, Settings
from triovit.golden.quantization.sqnr import compare


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


@pytest.fixture(scope="module")
def images():
    return random_images(5, 24, 32)


@pytest.fixture(scope="module")
def quantized(model, images):
    return quantize_model(model, images, name="seeded", classes="abcdefg")


def test_the_bundled_network_stays_close_to_float():
    """Trained weights, the pictures they were calibrated on: every tensor before the first attention within 23 dB."""
    bundled = load_bundled()
    images = random_images(1, 24, 64)
    result = quantize_model(bundled.model, images, name="b0", mean=bundled.mean, std=bundled.std)
    errors = {error.name: error.sqnr for error in compare(bundled.model, result.network, images[:4])}
    assert list(errors) == [node.name for node in result.network.nodes]
    names = list(errors)
    before = names[: names.index("backbone.stages.2.op_list.1.context_module.main.attention")]
    assert min(errors[name] for name in before) > 23
    # the log2 divisor alone costs 12.7 dB inside an attention
    assert 9 < errors["backbone.stages.2.op_list.1.context_module.main.attention"] < 14
    assert errors["head.op_list.3.linear"] > 12


def test_tensors_of_a_seeded_network_use_their_bits(quantized, images):
    tensors = execute(quantized.network, pixels_to_input(images[0]), keep=True)
    for name, tensor in tensors.items():
        if ".code" not in name and ".sum" not in name and tensor.size >= 500:
            assert len(np.unique(tensor)) > 40, name


def test_migration_and_shifting_help():
    bundled = load_bundled()
    images = random_images(1, 16, 64)
    plain = {"symmetric": True, "migration": False, "shifting": "none", "head_scales": False}
    noise = []
    for settings in (Settings(), Settings(**plain)):
        result = quantize_model(bundled.model, images, name="b0", settings=settings)
        noise.append({error.name: error.sqnr for error in compare(bundled.model, result.network, images[:2])})
    name = "backbone.stages.1.op_list.1.main.point_conv"
    assert noise[0][name] > noise[1][name] + 6


@pytest.mark.parametrize(
    "settings",
    [
        {"observer": "percentile", "percentile": 99.9},
        {"observer": "ema", "momentum": 0.5, "batch": 2},
        {"observer": "lp", "norm": 2.0, "weight_observer": "lp"},
        {"symmetric": True},
        {"migration": False},
        {"shifting": "none"},
        {"shifting": "projection", "symmetric": True},
        {"head_scales": False},
        {"batch": 5},
        {"smoothing": True, "smoothing_exponent": 1.0},
        {"depthwise_bits": 4},
        {"apot_share": 0.25, "apot_exponent_bits": 2, "attention_apot": True},
        {"bias_correction": True},
        {"divisor_search": True},
        {"divisor_gain": True},
        {"divisor": "uniform"},
        {"scales": "power-of-two"},
    ],
    ids=str,
)
def test_every_setting_gives_a_legal_network(images, settings):
    network = quantize(tiny_model(), images[:4], name="x", settings=Settings(**settings))
    assert network.metadata["settings"] == Settings(**settings).to_dict()
    logits = execute(network, pixels_to_input(images[0]))[network.output]
    assert len(np.unique(logits)) > 1


def test_symmetric_means_zero_point_zero(model, images):
    network = quantize(model, images[:4], name="x", settings=Settings(symmetric=True, shifting="none"))
    for node in network.nodes:
        if not isinstance(node, Attention):
            assert not node.post.zero_point.any(), node.name
        if isinstance(node, Convolution) and node.padding and node.input != "input":
            assert not node.pad_value.any(), node.name


def test_structure(quantized):
    network = quantized.network
    nodes = {node.name: node for node in network.nodes}
    for node in network.nodes:
        if isinstance(node, Convolution) and node.padding and node.input != "input":
            source = nodes[node.input].post
            assert np.array_equal(node.pad_value, source.zero_point), node.name
        if isinstance(node, Attention):
            for name in node.inputs:
                assert not nodes[name].post.zero_point.any()
            assert nodes[node.inputs[0]].post.activation == "linear"
        if isinstance(node, LayerNorm):
            assert len(np.unique(nodes[node.input].post.zero_point)) == 1
    expand = nodes["backbone.stages.1.op_list.0.main.inverted_conv"].post
    assert len(np.unique(expand.m2)) > 30  # a scale per channel in front of a depthwise layer
    project = nodes["backbone.stages.1.op_list.0.main.depth_conv"].post
    assert len(np.unique(project.m2)) == 1  # one scale, but a zero point per channel, in front of a pointwise layer
    assert len(np.unique(project.zero_point)) > 10
    last = network.nodes[-1]
    assert last.post.activation == "wide"
    assert network.shapes()[network.output] == (7, 1, 1)


def test_metadata(quantized, images):
    data = quantized.network.metadata
    assert data["calibration_sha256"] == image_hash(check_images(images, 32))
    assert (data["calibration_images"], data["preset"], data["resolution"]) == (24, "b0", 32)
    assert data["settings"] == Settings().to_dict()
    assert quantized.network.classes == tuple("abcdefg")


def test_logit_scale_gives_real_logits(model, quantized, images):
    network = quantized.network
    x = np.stack(images[:6])
    expected = FloatPredictor(model).logits(x)
    got = (
        np.stack([execute(network, pixels_to_input(i))[network.output].reshape(-1) for i in x])
        * network.metadata["logit_scale"]
    )
    assert np.corrcoef(got.reshape(-1), expected.reshape(-1))[0, 1] > 0.8
    assert np.abs(got).max() < 2 * np.abs(expected).max()


def test_the_same_input_gives_the_same_file(model, quantized, images, tmp_path):
    again = quantize(model, iter(images), name="seeded", classes=list("abcdefg"))
    for name, network in (("a", quantized.network), ("b", again)):
        save_network(network, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert load_network(tmp_path / "a").metadata == again.metadata


def each_convolution(change):
    def apply(model):
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                change(module.weight)

    return apply


def each_norm(change):
    def apply(model):
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                change(module)

    return apply


def dead_channel(norm):
    norm.weight[1] = 0


def dead_channel_without_bias(norm):
    norm.weight[1] = norm.bias[1] = 0


def large_depthwise_filters(model):
    """One filter of each layer: with powers of two its step is that of the hardswish operand."""
    for block in model.modules():
        if isinstance(block, MBConv):
            block.depth_conv.conv.weight[0] *= 8


def set_to_zero(model):
    for parameter in model.parameters():
        parameter.zero_()


WORKING = {  # damages that every method takes
    "a dead channel": each_norm(dead_channel),
    "a dead channel without a bias": each_norm(dead_channel_without_bias),
    "weights of zero": each_convolution(torch.Tensor.zero_),
    "everything zero": set_to_zero,
    "tiny normalization": each_norm(lambda norm: norm.weight.mul_(1e-30)),
    "large depthwise filters": large_depthwise_filters,
}
FAR_APART, NOT_FINITE = "scales are too far apart", "the float network's values are not finite numbers"
REFUSED = {  # damages that no method takes, and why
    "tiny weights": (each_convolution(lambda weight: weight.mul_(1e-30)), FAR_APART),
    "weights below the smallest normal float": (each_convolution(lambda weight: weight.mul_(1e-40)), FAR_APART),
    "everything small": (
        lambda model: [parameter.mul_(1e-3) for parameter in model.parameters()],
        "eps 1e-05 is too large",
    ),
    "everything tiny": (lambda model: [parameter.mul_(1e-20) for parameter in model.parameters()], FAR_APART),
    "huge normalization": (each_norm(lambda norm: norm.weight.mul_(1e30)), NOT_FINITE),
    "one large channel": (each_norm(lambda norm: norm.weight[1].mul_(20)), "hardswish operands reach 145728"),
    "one huge channel": (each_norm(lambda norm: norm.weight[1].mul_(1e6)), NOT_FINITE),
}


def damaged(change):
    model = tiny_model()
    with torch.no_grad():
        change(model)
    return model


@pytest.mark.filterwarnings("error")
def test_nearly_dead_filters_survive_reconstruction(images, monkeypatch):
    """The step of a filter that is all but switched off can hold no bias to speak of."""

    def nearly_dead(model):
        for block in model.modules():
            if isinstance(block, MBConv) and isinstance(block.point_conv.norm, torch.nn.BatchNorm2d):
                block.point_conv.norm.weight[::4] *= 1e-9
                block.point_conv.norm.bias[::4] *= 1e-9

    fast = dataclasses.replace(OPTIONS["fast"], images=8, iterations=4, batch=4)
    monkeypatch.setitem(OPTIONS, "fast", fast)
    for method in ("minmax", "trio", "p2"):
        settings = dataclasses.replace(METHODS[method], reconstruction="fast")
        network = quantize(damaged(nearly_dead), images[:8], name="damaged", settings=settings)
        assert any("bias" in unit["kept"] for unit in network.metadata["reconstruction"])
        execute(network, pixels_to_input(images[0]))


def test_normalization_may_be_an_array(model, images, tmp_path):
    mean, std = np.array([0.5, 0.4, 0.3], dtype=np.float32), np.array([0.25, 0.25, 0.5], dtype=np.float32)
    network = quantize(tiny_model(), images[:2], name="x", mean=mean, std=std)
    save_network(network, tmp_path / "x.safetensors")
    assert load_network(tmp_path / "x.safetensors").metadata["mean"] == [float(m) for m in mean]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damage", WORKING)
def test_dead_and_nearly_dead_networks_quantize(images, damage, method):
    network = quantize(damaged(WORKING[damage]), images[:3], name="damaged", settings=METHODS[method])
    logits = execute(network, pixels_to_input(images[0]))[network.output]
    assert logits.any() == (damage != "everything zero")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damage", REFUSED)
def test_impossible_networks_are_refused_in_one_line(images, damage, method):
    change, reason = REFUSED[damage]
    with pytest.raises(QuantizationError, match=rf"^(backbone|head)\.[\w.]+( branch \d)?: {reason}") as caught:
        quantize(damaged(change), images[:3], name="x", settings=METHODS[method])
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_one_image_and_black_images_quantize(images, method):
    for chosen in (images[:1], [np.zeros((32, 32, 3), dtype=np.uint8)] * 2):
        network = quantize(tiny_model(), chosen, name="few", settings=METHODS[method])
        for image in (images[0], images[1]):
            execute(network, pixels_to_input(image))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_white_images_quantize(images, method):
    network = quantize(tiny_model(), [np.full((32, 32, 3), 255, dtype=np.uint8)], name="x", settings=METHODS[method])
    execute(network, pixels_to_input(images[0]))


def test_errors(model, images):
    with pytest.raises(QuantizationError, match="classes must name all 7 outputs, not 2"):
        quantize(model, images, name="x", classes=("a", "b"))
    with pytest.raises(QuantizationError, match="the calibration set is empty"):
        quantize(model, [], name="x")
    with pytest.raises(QuantizationError, match="calibration image 0 must be uint8"):
        quantize(model, random_images(1, 1, 64), name="x")
    for names in ({"name": "a\nb"}, {"name": "x", "classes": ("a\tb", *"cdefgh")}):
        with pytest.raises(NetworkError, match="must be printable text, not 'a"):
            quantize(model, [], **names)  # before the images are read
    broken = initialize(EfficientViT("b0", 7, 32), 1)
    with torch.no_grad():
        broken.backbone.stages[2].op_list[1].context_module.main.qkv.conv.weight[5] = np.nan
    with pytest.raises(GraphError, match=r"^backbone\.stages\.2\.op_list\.1\.context_module\.main\.qkv: weights"):
        quantize(broken, images, name="x")


def test_errors_of_all_tensors(model, quantized, images):
    errors = compare(model, quantized.network, images[:1])
    assert len(errors) == len(quantized.network.nodes) and errors[0].name == "backbone.input_stem.op_list.0"
    assert all(0 <= error.saturated <= 1 and error.largest >= 0 for error in errors)
