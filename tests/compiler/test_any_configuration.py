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
from triovit.hdl.config.accelerator import SIZES, AcceleratorConfig
from triovit.hdl.isa.limits import reach

REMEDY = re.compile(r"a configuration with (\w+) (\d+) has room")
NETWORKS = {"small": small_network(6, size=20, dim=16, width=12), "unusual": unusual_network(3)}


def random_config(seed: int) -> AcceleratorConfig:
    """Every field anywhere in its legal range; large buffers less often: the simulator fills them with noise."""
    rng = np.random.default_rng(seed)

    def power(low: int, high: int, skew: float = 1.0) -> int:
        low, high = low.bit_length() - 1, high.bit_length() - 1
        return 1 << low + int((high - low + 1) * rng.random() ** skew)

    block = power(4, 16)
    data_bytes = power(block, min(128, block * block))
    sizes = {}
    for name, buffer in SIZES.items():
        word, fewest = (1, 16) if name == "divisors" else (block, 16 * block)
        sizes[name] = power(word * fewest, word * reach(buffer).words, skew=1.5)
    return AcceleratorConfig(
        name=f"random-{seed}",
        cores=int(rng.integers(1, 4)),
        block=block,
        data_bytes=data_bytes,
        burst_beats=power(1, min(256, 4096 // data_bytes)),
        queue_depth=int(rng.integers(2, 65)),
        read_bursts=power(1, 64),
        write_bursts=power(1, 64),
        **sizes,
    ).validate()


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


def test_smallest_and_largest():
    """All buffers at their smallest, and at their largest."""
    for block in (4, 8, 16):
        ends = {}
        for name, buffer in SIZES.items():
            word, fewest = (1, 16) if name == "divisors" else (block, 16 * block)
            ends[name] = word * fewest, word * reach(buffer).words
        smallest = {name: low for name, (low, _) in ends.items()}
        largest = {name: min(high, 1 << 22) for name, (_, high) in ends.items()}
        few = {"block": block, "data_bytes": block, "burst_beats": 1, "read_bursts": 1, "write_bursts": 1}
        many = {"block": block, "data_bytes": min(128, block * block), "queue_depth": 64}
        many["burst_beats"] = min(256, 4096 // many["data_bytes"])
        following_remedies(NETWORKS["small"], AcceleratorConfig(**few, **smallest, queue_depth=2).validate())
        check_network(NETWORKS["small"], AcceleratorConfig(**many, **largest).validate())
