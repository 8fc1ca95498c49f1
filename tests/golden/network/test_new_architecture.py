"""A rehearsal: an architecture that nothing else in the project knows is a model, its layers and one row."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from triovit.flow.errors import UsageError
from triovit.flow.float_networks import find_float
from triovit.flow.networks import find_network
from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.identity import network_hash
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.network import INPUT
from triovit.golden.network import architectures
from triovit.golden.network.architectures import Architecture, build, layers_of, preset_names
from triovit.golden.network.checkpoint import CheckpointError, identify, load_model, save_checkpoint
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.fold import fold
from triovit.golden.network.graph import ConvolutionLayer, GraphError, PoolLayer
from triovit.golden.network.normalize import normalize
from triovit.golden.network.seeded import initialize, random_images
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize_model
from triovit.golden.quantization.sqnr import compare
from triovit.golden.training.recipe import Recipe

RESOLUTION = 32


@dataclass(frozen=True)
class Width:
    name: str
    channels: int


WIDTHS = {width.name: width for width in (Width("nano", 16), Width("micro", 24))}


class Normalized(nn.Sequential):
    """Convolution, batch normalization, and hardswish or nothing."""

    def __init__(self, c_in, c_out, kernel, *, stride=1, groups=1, active=True):
        convolution = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(c_out), nn.Hardswish() if active else nn.Identity())


class Bottleneck(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.depthwise = Normalized(channels, channels, 3, groups=channels)
        self.pointwise = Normalized(channels, channels, 1, active=False)

    def forward(self, x):
        return x + self.pointwise(self.depthwise(x))


class Plain(Classifier):
    """Stem, residual bottleneck, pool, fully connected layer."""

    def __init__(self, preset, n_classes, resolution):
        super().__init__()
        if resolution % 2:
            raise ValueError(f"resolution must be even, not {resolution}")
        self.preset, self.n_classes, self.resolution = WIDTHS[preset], n_classes, resolution
        channels = self.preset.channels
        self.stem = Normalized(3, channels, 3, stride=2)
        self.body = Bottleneck(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(channels, n_classes))

    def forward(self, x):
        return self.head(self.pool(self.body(self.stem(x))))


def plain_layers(model):
    def convolution(name, module, block, source, **fields):
        """A layer of a `Normalized`."""
        hardswish = f"{name}.2" if isinstance(module[2], nn.Hardswish) else None
        folded = fold(name, module[0], module[1])
        common = {"name": name, "block": block, "input": source, "module": f"{name}.0", "folded": folded}
        return ConvolutionLayer(**{"output": name, "hardswish": hardswish, **common, **fields})

    body = model.body
    return [
        convolution("stem", model.stem, "stem", INPUT),
        convolution("body.depthwise", body.depthwise, "body", "stem"),
        convolution("body.pointwise", body.pointwise, "body", "body.depthwise", residual="stem", output="body"),
        PoolLayer(
            name="pool",
            output="pool",
            block="pool",
            input="body.pointwise",
            channels=model.preset.channels,
            pixels=(model.resolution // 2) ** 2,
        ),
        ConvolutionLayer(
            name="head",
            output="head",
            block="head",
            input="pool",
            module="head.1",
            folded=fold("head", model.head[1]),
            wide=True,
            fully_connected=True,
        ),
    ]


def identify_plain(state):
    stem, head = state.get("stem.0.weight"), state.get("head.1.weight")
    if stem is None or head is None:
        return None
    for width in WIDTHS.values():
        if width.channels == len(stem):
            return width.name, len(head)
    raise ValueError(f"not a Plain network: the stem has {len(stem)} channels")


PLAIN = Architecture(
    name="Plain",
    article="a",
    presets=WIDTHS,
    model=Plain,
    layers=plain_layers,
    identify=identify_plain,
    official_name=lambda name: name.replace("conv1.", "stem.0."),
)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(architectures, "ARCHITECTURES", (*architectures.ARCHITECTURES, PLAIN))


@pytest.fixture
def model():
    return initialize(build("nano", 10, RESOLUTION), 1)


@pytest.fixture
def images():
    return random_images(24, RESOLUTION, 2)


@pytest.mark.parametrize("reconstruction", ["none", "fast"])
@pytest.mark.parametrize(("method", "least"), [("trio", 28), ("m2+p2", 18)])  # dB
def test_it_is_quantized_and_runs_in_integers(model, images, method, least, reconstruction):
    settings = dataclasses.replace(METHODS[method], reconstruction=reconstruction)
    result = quantize_model(model, images[:16].numpy(), name="plain", settings=settings)
    network, unseen = result.network, images[16:]
    assert [type(node).__name__ for node in network.nodes] == [
        "Convolution", "Convolution", "Convolution", "Pool", "Convolution",
    ]  # fmt: skip
    assert network.metadata["preset"] == "nano"
    blocks = [block["name"] for block in network.metadata.get("reconstruction", [])]
    assert blocks == (["stem", "body", "pool", "head"] if reconstruction == "fast" else [])
    logits = np.stack([execute(network, pixels_to_input(x.numpy()))["head"].reshape(-1) for x in unseen])
    assert np.array_equal(BatchExecutor(network).logits(unseen).numpy(), logits)
    with torch.no_grad():
        expected = model(normalize(unseen)).numpy()
    error = logits * network.metadata["logit_scale"] - expected
    assert 10 * np.log10((expected**2).sum() / (error**2).sum()) > least
    errors = {error.name: error.sqnr for error in compare(model, network, unseen.numpy())}
    assert set(errors) == {layer.name for layer in layers_of(model)}
    assert min(errors.values()) > least


def test_checkpoints_tell_it_apart(model, tmp_path):
    path = tmp_path / "plain.safetensors"
    save_checkpoint(model, path)
    again = load_model(path, RESOLUTION)
    assert isinstance(again, Plain) and network_hash(again) == network_hash(model)
    foreign = {name.replace("stem.0.", "conv1."): tensor for name, tensor in model.state_dict().items()}
    torch.save(foreign, tmp_path / "foreign.pt")
    assert network_hash(load_model(tmp_path / "foreign.pt", RESOLUTION)) == network_hash(model)
    with pytest.raises(CheckpointError, match=r"^not an EfficientViT or a Plain classifier: "):
        identify({})
    with pytest.raises(CheckpointError, match=r"^not a Plain network: the stem has 5 channels$"):
        identify({**model.state_dict(), "stem.0.weight": torch.zeros(5, 3, 3, 3)})
    with pytest.raises(CheckpointError, match="must have at least 2 outputs, not 1"):
        identify({**model.state_dict(), "head.1.weight": torch.zeros(1, 16)})


def test_commands_name_it():
    model, _ = find_float("micro-r64", seed=3)
    assert isinstance(model, Plain) and (model.resolution, model.n_classes) == (64, 1000)
    assert network_hash(model) == network_hash(initialize(Plain("micro", 1000, 64), 3))
    assert find_network("nano-r16").output == "head"
    with pytest.raises(UsageError, match=r"^unknown preset 'pico'; presets: b0, b1, b2, b3, nano, micro$"):
        find_float("pico-r64")
    with pytest.raises(UsageError, match=r"^nano-r31: resolution must be even, not 31$"):
        find_float("nano-r31")
    assert Recipe(preset="nano").preset == "nano"


def test_presets_are_of_one_architecture_each():
    assert len(set(preset_names())) == len(preset_names()) == 6
    with pytest.raises(ValueError, match="preset must be one of b0, b1, b2, b3, nano, micro, not 'b9'"):
        build("b9", 10, 32)


def test_its_layers_are_checked(model, monkeypatch):
    wrong = dataclasses.replace(PLAIN, layers=lambda model: plain_layers(model)[:-1])
    monkeypatch.setattr(architectures, "ARCHITECTURES", (wrong,))
    with pytest.raises(GraphError, match="the last layer and no other must be wide, not none"):
        layers_of(model)
    with pytest.raises(GraphError, match="model must be a Plain, not Linear"):
        layers_of(nn.Linear(2, 2))
