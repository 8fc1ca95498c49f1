"""What a network needs from the hardware beside room: engines of its family."""

from __future__ import annotations

from triovit.compiler.errors import CompileError
from triovit.golden.integer.family import family, first_reason
from triovit.golden.integer.network import IntegerNetwork
from triovit.hdl.config.accelerator import AcceleratorConfig

# By family of a network: what the generated hardware has instead, and what hardware of that family has.
HARDWARE = {
    "m2": ("engines multiply 8-bit weights", "shifter-adder-tree beside a multiplier array, as M2-ViT's 'm2-asic'"),
    "p2": ("requantizers multiply", "requantization by shifts, no multipliers"),
    "m2+p2": (
        "engines multiply 8-bit weights, as its requantizers do accumulators",
        "shifter-adder-tree beside a multiplier array, requantization by shifts",
    ),
}


def check_family(network: IntegerNetwork, config: AcceleratorConfig) -> None:
    """Raise CompileError when the configuration's family does not run the network.

    A rule rather than a limit of the arithmetic: a dyadic requantizer would compute M = 1 correctly. What is
    measured as one family runs on hardware of that family, or not at all.
    """
    for node in network.nodes:
        if node.ablation:
            raise CompileError(f"network {network.name}: {node.ablation}")
    needed = family(network)
    if needed != config.family:
        instead, engines = HARDWARE[needed]
        raise CompileError(
            f"network {network.name} is of family {needed}: {first_reason(network)}; configuration {config.name} is of "
            f"family {config.family}, whose {instead}; a configuration of family {needed} ({engines}) runs it, and "
            f"this version generates family {config.family} only"
        )
