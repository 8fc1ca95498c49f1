"""Run a quantized network on the accelerator's RTL and compare every tensor with the integer model, from Python.

Needs the base installation (g++, make and perl for the simulator; the first run builds it, a minute or two):

    python examples/compare_on_rtl.py [NETWORK.safetensors]

NETWORK is a file of `triovit quantize`; without it the network that ships. The same program runs behind three
memories: what the memory does changes the cycles, never a value.
"""

import sys

import numpy as np

from triovit.compiler.compile import compile_network
from triovit.golden.assets import INTEGER_NETWORK, PHOTO
from triovit.golden.data.images import load_image
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.serialize import load_network
from triovit.hdl.config.accelerator import load_config
from triovit.sim.rtl.machine import RtlMachine
from triovit.sim.rtl.simulation import MemoryModel

MEMORIES = {
    "16 bytes per cycle, 32 cycles of latency": MemoryModel(bytes_per_cycle=16, read_latency=32),
    "4 bytes per cycle": MemoryModel(bytes_per_cycle=4),
    "200 cycles of latency, 30 % stalls": MemoryModel(bytes_per_cycle=16, read_latency=200, stall_probability=0.3),
}


def main() -> int:
    network = load_network(sys.argv[1] if len(sys.argv) > 1 else INTEGER_NETWORK)
    image = pixels_to_input(load_image(PHOTO, network.input_shape[1]))  # (3, R, R) int8: pixels minus 128

    # The reference: integers only. keep=True gives every tensor of the network by its name.
    expected = execute(network, image, keep=True)

    # trace=True stores what would otherwise stay on chip, so that it can be read back.
    program = compile_network(network, load_config("trio-core"), trace=True)
    print(f"{program.name}: {len(program.instructions)} instructions, {program.memory_bytes:,} bytes of memory")

    differ = 0
    for name, memory in MEMORIES.items():
        machine = RtlMachine(program, memory)
        run = machine.run([image])[0]
        compared = [tensor for tensor in expected if tensor in program.tensors]
        wrong = [tensor for tensor in compared if not np.array_equal(machine.tensor(run, tensor), expected[tensor])]
        differ += len(wrong)
        print(f"{name}: {run.cycles:,} cycles, {len(wrong)} of {len(compared)} tensors differ")

    # The last run's three largest layers, and its class.
    for layer, cycles in sorted(run.layer_cycles.items(), key=lambda item: -item[1])[:3]:
        print(f"  {layer}: {cycles:,} cycles")
    logits = machine.tensor(run, network.output).reshape(-1)
    print("logits:", *logits)
    print("class:", network.classes[logits.argmax()] if network.classes else logits.argmax())
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
