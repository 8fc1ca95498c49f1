"""The compiler's estimate against the RTL, on narrow and usual machines and whatever memory: docs/compiler.md says
within 10 %."""

import pytest

from tests.networks import random_image, small_network
from tests.sim.configurations import NARROW, PAIR, TINY, WIDE
from triovit.compiler.compile import compile_network
from triovit.compiler.estimate import estimate
from triovit.sim.rtl.machine import RtlMachine
from triovit.sim.rtl.simulation import MemoryModel

# bytes_per_cycle: in beats.
MEMORIES = {
    "usual": {"bytes_per_cycle": 1},
    "no limit": {"bytes_per_cycle": None},
    "near": {"bytes_per_cycle": 1, "read_latency": 1, "write_latency": 1},
    "far": {"bytes_per_cycle": 1, "read_latency": 200, "write_latency": 50},
    "slow": {"bytes_per_cycle": 1 / 16},
    "stalls": {"bytes_per_cycle": 1, "read_latency": 200, "stall_probability": 0.3},
    "one burst": {"bytes_per_cycle": 1, "outstanding": 1, "read_latency": 100},
    "two bursts": {"bytes_per_cycle": 0.5, "outstanding": 2},
}


@pytest.mark.parametrize("config", (TINY, NARROW, PAIR, WIDE), ids=lambda config: config.name)
def test_estimates_hold(config):
    network = small_network(6, size=20, dim=16, width=16)
    program = compile_network(network, config)
    image = random_image(network, 1)
    errors = {}
    for name, settings in MEMORIES.items():
        beats = settings["bytes_per_cycle"]
        memory = MemoryModel(**settings | {"bytes_per_cycle": beats and beats * config.data_bytes})
        cycles = RtlMachine(program, memory).run([image])[0].cycles
        errors[name] = estimate(program, memory).cycles / cycles - 1
    assert all(abs(error) < 0.1 for error in errors.values()), errors
