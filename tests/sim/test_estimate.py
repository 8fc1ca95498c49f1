"""The compiler's estimate against the RTL, on narrow and usual machines and whatever memory: within 10 %.

`python -m pytest -s tests/sim/test_estimate.py` prints the rows of the table in docs/compiler.md.
"""

import pytest

from tests.networks import random_image, small_network
from tests.sim.configurations import FOUR, NARROW, PAIR, PORTS, TINY, WIDE
from triovit.compiler.compile import compile_network
from triovit.compiler.estimate import estimate
from triovit.sim.rtl.machine import RtlMachine
from triovit.sim.rtl.simulation import MemoryModel

# bytes_per_cycle: in beats of all ports.
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


@pytest.mark.parametrize("config", (TINY, NARROW, PAIR, WIDE, PORTS, FOUR), ids=lambda config: config.name)
def test_estimates_hold(config):
    # A burst per word takes its time: a smaller network there.
    sizes = {"size": 12, "dim": 4, "width": 4} if config in (NARROW, FOUR) else {"size": 20, "dim": 16, "width": 16}
    network = small_network(6, **sizes)
    program = compile_network(network, config)
    image = random_image(network, 1)
    errors, told = {}, []
    for name, settings in MEMORIES.items():
        beats = settings["bytes_per_cycle"]
        memory = MemoryModel(**settings | {"bytes_per_cycle": beats and beats * config.bus_bytes})
        cycles = RtlMachine(program, memory).run([image])[0].cycles
        errors[name] = estimate(program, memory).cycles / cycles - 1
        told.append(f"{cycles:,}".replace(",", " ") + f" ({100 * errors[name]:+.1f} %)")
    print(f"\n| `{config.name}` | {' | '.join(told)} |")
    assert all(abs(error) < 0.1 for error in errors.values()), errors
