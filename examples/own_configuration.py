"""A configuration of your own: what its hardware is made of, and what a network needs on it.

Needs the base installation and no simulator:

    python examples/own_configuration.py [FOLDER]

writes the Verilog of the smallest configuration below to FOLDER, by default build/small. A configuration is a frozen
dataclass; its hash goes into the Verilog and into every program, so that a machine refuses a program of another one.
"""

import sys
from collections import Counter
from dataclasses import replace

from triovit.compiler.compile import compile_network
from triovit.compiler.errors import CompileError
from triovit.compiler.estimate import estimate
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.integer.serialize import load_network
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig, ConfigurationError
from triovit.hdl.generate import emit_accelerator

CORE = PRESETS["trio-core"]
CONFIGURATIONS = [
    CORE,
    replace(CORE, name="half-the-buffers", feature_bytes=64 * 1024, output_bytes=32 * 1024, weight_bytes=32 * 1024),
    replace(CORE, name="wide-memory", data_bytes=64),
    AcceleratorConfig(name="small", block=4, data_bytes=8, feature_bytes=64 * 1024, output_bytes=32 * 1024),
]


def main() -> int:
    folder = sys.argv[1] if len(sys.argv) > 1 else "build/small"
    network = load_network(INTEGER_NETWORK)

    # What does not fit is refused with the rule, the value and the limits.
    try:
        replace(CORE, feature_bytes=100_000).validate()
    except ConfigurationError as error:
        print(f"refused: {error}")
    try:
        compile_network(network, replace(CORE, name="tight", parameter_bytes=8 * 1024))
    except CompileError as error:
        print(f"refused: {error}")

    print(f"\n{'configuration':18}{'multipliers':>12}{'estimated cycles':>18}{'utilization':>13}")
    for config in CONFIGURATIONS:
        expected = estimate(compile_network(network, config.validate()))
        print(f"{config.name:18}{config.multipliers:12}{expected.cycles:18,}{100 * expected.utilization:11.1f} %")

    emitted = emit_accelerator(CONFIGURATIONS[-1])
    files = emitted.write(folder)
    directions = Counter(direction for _, direction, _ in emitted.ports)
    print(f"\n{', '.join(map(str, files))}: {len(emitted.text):,} bytes, {len(emitted.modules)} modules")
    print(f"top module {emitted.name}: {directions['input']} inputs, {directions['output']} outputs; instances of")
    for module in ("rmac_engine", "rmac_array", "mat_engine", "post_lane", "bank_array"):
        print(f"  {emitted.name}_{module}: {emitted.instances[f'{emitted.name}_{module}']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
