"""Whatever validates runs: random legal configurations compile a network and compute what the integer model does.

Where a buffer is too small, the error says what has room, and following it ends with a configuration that runs.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from tests.execution import check_network
from tests.networks import small_network, unusual_network
from triovit.compiler import CompileError
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.ranges import BLOCKS, SIZES, Range, ranges

REMEDY = re.compile(r"a configuration with (\w+) (\d+) has room")
NETWORKS = {"small": small_network(6, size=20, dim=16, width=12), "unusual": unusual_network(3)}


def random_config(seed: int) -> AcceleratorConfig:
    """Every field anywhere in its legal range; few cores and seldom large buffers, for the sake of time."""
    rng = np.random.default_rng(seed)

    def value(name: str, legal: Range) -> int:
        if name in SIZES:  # whole rows; smaller ones are more frequent
            size = legal.low * (legal.high / legal.low) ** (rng.random() ** 1.5)
            return int(size) // legal.step * legal.step
        if not legal.power_of_two:
            return int(rng.integers(legal.low, min(legal.high, 3 if name == "cores" else 64) + 1))
        return 1 << int(rng.integers(legal.low.bit_length() - 1, legal.high.bit_length()))

    block = int(rng.choice(BLOCKS))
    ports = value("ports", ranges(block, block)["ports"])
    data_bytes = value("data_bytes", ranges(block, block, ports)["data_bytes"])
    fields = {name: value(name, legal) for name, legal in ranges(block, data_bytes, ports).items()}
    fields |= {"name": f"random-{seed}", "block": block, "ports": ports, "data_bytes": data_bytes}
    return AcceleratorConfig(**fields | {"cores": -(-fields["cores"] // ports) * ports}).validate()


def following_remedies(network, config: AcceleratorConfig) -> AcceleratorConfig:
    """The configuration that runs the network after as many corrections as errors ask for."""
    for _ in range(20):
        try:
            check_network(network, config)
        except CompileError as error:
            remedies = REMEDY.findall(str(error))
            assert remedies, f"{error}, on {config}"
            config = dataclasses.replace(config, **{field: int(size) for field, size in remedies}).validate()
        else:
            return config
    raise AssertionError(f"the remedies do not end: {config}")


@pytest.mark.parametrize("seed", range(24))
def test_random_configurations(seed):
    following_remedies(NETWORKS["unusual" if seed % 4 == 3 else "small"], random_config(seed))


@pytest.mark.parametrize("block", BLOCKS)
def test_smallest_and_largest(block):
    """Every field at its smallest, and at its largest; of cores one per port, of buffers 4 MB, for the sake of time."""
    network = NETWORKS["small"]
    lowest = ranges(block, block)
    smallest = AcceleratorConfig(block=block, **{name: legal.low for name, legal in lowest.items()}).validate()
    following_remedies(network, smallest)
    ports = lowest["ports"].high
    highest = ranges(block, ranges(block, block, ports)["data_bytes"].high, ports)
    most = {"cores": ports} | dict.fromkeys(SIZES, 1 << 22)
    values = {name: min(legal.high, most.get(name, legal.high)) for name, legal in highest.items()}
    check_network(network, AcceleratorConfig(block=block, **values).validate())
