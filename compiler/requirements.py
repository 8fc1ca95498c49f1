"""What a layer needs from the hardware, and the errors that say so: engines of its family, room, counts."""

from __future__ import annotations

from triovit.compiler.errors import CompileError
from triovit.golden.integer.family import family, first_reason
from triovit.golden.integer.network import IntegerNetwork
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.ranges import SIZES
from triovit.hdl.isa.limits import HIGHEST, reach
from triovit.hdl.isa.record import PRODUCT_BITS

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


def check_numbers(network: IntegerNetwork, config: AcceleratorConfig) -> None:
    """Raise CompileError when an accumulator or a product, proven from the weights, may leave the hardware's bits."""
    for bound in network.bounds():
        layer = f"{bound.node} ({bound.operation})"
        if bound.bits > config.accumulator_bits:
            raise CompileError(
                f"{layer}: the accumulator can reach {bound.bound}, which needs {bound.bits} bits; configuration "
                f"{config.name} has accumulator_bits {config.accumulator_bits}: one with {bound.bits} has room"
            )
        if bound.product_bound.bit_length() + 1 > PRODUCT_BITS:
            raise CompileError(
                f"{layer}: accumulator times multiplier and the residual operand's term can reach "
                f"{bound.product_bound}, more than the {PRODUCT_BITS} bits of post-processing hold: quantize the "
                "network again, with weights that are not nearly 0"
            )


def check_words(config: AcceleratorConfig, layer: str, buffer: str, words: int, needs: str = "needs") -> None:
    """Raise CompileError when `words` words exceed a buffer; buffer: see `AcceleratorConfig.words`. needs: who does."""
    limit = config.words[buffer]
    if words > limit:
        name = "the divisor buffer" if buffer == "divisor" else f"buffer {buffer}"
        advice = remedy(config, buffer, words)
        raise CompileError(f"{layer}: {needs} {words} words of {name}, which has {limit}; {advice}")


def remedy(config: AcceleratorConfig, buffer: str, words: int) -> str:
    """What to change in a configuration, so that a buffer has `words` words."""
    field = next(field for field, sized in SIZES.items() if sized == ("B" if buffer == "C" else buffer))
    row, most = config.banks[buffer], reach(buffer).words
    size = -(-words // row) * row
    if size > most:
        return f"no configuration has more than {most} words"
    return f"a configuration with {field} {size * (1 if field == 'divisors' else config.block)} has room"


def check_count(layer: str, field: str, count: int, what: str) -> None:
    """Raise CompileError when a count exceeds the instruction field that holds it; what: is counted."""
    if count > HIGHEST[field]:
        raise CompileError(f"{layer}: has {count} {what}, an instruction counts up to {HIGHEST[field]} (field {field})")
