"""Quantized networks, named on the command line. Nothing here needs PyTorch but a network with seeded weights."""

from __future__ import annotations

from pathlib import Path

from triovit.flow.errors import UsageError
from triovit.flow.file_kinds import NETWORK, check_kind
from triovit.flow.network_names import BUNDLED, is_seeded, whole_installation
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.facts import find_faults

NETWORK_HELP = (
    "a quantized network (.safetensors from 'triovit quantize'), 'bundled' (EfficientViT-B0 for CIFAR-10 at 64 x 64, "
    "the default), or PRESET-rRESOLUTION such as b1-r224 for seeded random weights"
)


def find_network(name: str, seed: int = 0) -> IntegerNetwork:
    """The quantized network that an argument names (see NETWORK_HELP)."""
    if name == BUNDLED:
        return _load(whole_installation(INTEGER_NETWORK))
    if is_seeded(name):
        from triovit.flow.float_networks import quantize_seeded

        return quantize_seeded(name, seed)
    check_kind(name, NETWORK)
    if not Path(name).is_file():
        raise UsageError(f"no network {name!r}: give {NETWORK_HELP}")
    return _load(Path(name))


def _load(path: Path) -> IntegerNetwork:
    """Read a network; what only reports use of it is checked here, and every error names the file."""
    try:
        network = load_network(path)
        if not isinstance(network.metadata, dict) or not all(isinstance(name, str) for name in network.classes):
            raise NetworkError("metadata must be an object, and classes must be texts")
        if type(network.metadata.get("logit_scale", 1.0)) not in (int, float):
            raise NetworkError(f"logit_scale must be a number, not {network.metadata['logit_scale']!r}")
        if faults := find_faults(network.metadata):
            raise NetworkError(faults[0])
    except NetworkError as error:
        raise NetworkError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    return network
