"""Whole networks on the RTL: every tensor as in the integer reference, whatever the memory's timing."""

import dataclasses

import numpy as np
import pytest

from tests.networks import NetworkBuilder, random_image, small_network, unusual_network
from tests.sim.configurations import FOUR, NARROW, PAIR, PORTS, TINY, WIDE, WIDEST
from triovit.compiler.compile import compile_network
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.integer.execute import execute
from triovit.golden.integer.serialize import load_network
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import ErrorCode, Opcode
from triovit.hdl.isa.registers import DEFAULT_WATCHDOG
from triovit.sim.rtl.machine import MachineError, RtlMachine
from triovit.sim.rtl.simulation import MemoryModel

BEAT = TINY.data_bytes


def check(machine, run, reference, core=0):
    """All tensors of a core's image."""
    for name in machine.program.tensors:
        assert np.array_equal(machine.tensor(run, name, core), reference[name]), name


def stalls(seed):
    return MemoryModel(read_latency=10, stall_probability=0.3, seed=seed)


@pytest.fixture(scope="module")
def small():
    """Network, its program for the small configuration, an image and all its tensors."""
    network = small_network(4, size=20)
    image = random_image(network, 9)
    return network, compile_network(network, TINY, trace=True), image, execute(network, image, keep=True)


def test_the_same_result_whatever_the_memory_does(small):
    """Latency 1 to 200, half the bandwidth of a beat per cycle, random stalls on all channels."""
    _, program, image, reference = small
    latencies = {n: MemoryModel(read_latency=n, write_latency=1 + n // 4) for n in (1, 7, 32, 200)}
    models = {
        **{f"latency {n}": model for n, model in latencies.items()},
        "half a beat per cycle": MemoryModel(bytes_per_cycle=BEAT / 2),
        "one byte per cycle": MemoryModel(bytes_per_cycle=1),
        **{f"stalls {seed}": stalls(seed) for seed in (1, 2, 3)},
    }
    cycles = {}
    for name, model in models.items():
        machine = RtlMachine(program, model)
        run = machine.run([image])[0]
        check(machine, run, reference)
        cycles[name] = run.cycles
    assert len(set(cycles.values())) == len(cycles), cycles
    assert cycles["latency 1"] < cycles["latency 7"] < cycles["latency 32"] < cycles["latency 200"]
    assert cycles["latency 32"] < cycles["half a beat per cycle"] < cycles["one byte per cycle"]


@pytest.mark.parametrize("base", [0x1000, 0x8000_0000, (1 << 32) - 0x1000, 0x12_3456_7000, (1 << 64) - (1 << 20)])
def test_the_memory_anywhere(small, base):
    """The same run at any page: below and above 4 GiB, across the border between, and at the very end. Outside its
    memory the model answers with an error, so a forgotten base would stop the machine."""
    _, program, image, reference = small
    machine = RtlMachine(program, MemoryModel(base=base))
    run = machine.run([image])[0]
    check(machine, run, reference)
    assert run.cycles == RtlMachine(program, MemoryModel()).run([image])[0].cycles


def test_a_memory_beyond_the_last_address_is_refused(small):
    with pytest.raises(ValueError, match=r"base must be at most 2\*\*64 less the memory's \d+ bytes, not 0xf+000"):
        RtlMachine(small[1], MemoryModel(base=(1 << 64) - 0x1000)).run([small[2]])


def test_the_watchdog_waits_for_a_slow_memory():
    """A LOAD of 150 beats that takes 1.2 million cycles: more than the watchdog's reset value, which would stop it."""
    b = NetworkBuilder("slow", (3, 20, 15), 1)
    b.conv("point", 4)
    network = b.build()
    image = random_image(network, 1)
    machine = RtlMachine(compile_network(network, TINY), MemoryModel(bytes_per_cycle=1 / 1024))
    check(machine, machine.run([image])[0], execute(network, image, keep=True))
    assert machine.watchdog > DEFAULT_WATCHDOG
    machine.watchdog = DEFAULT_WATCHDOG
    with pytest.raises(MachineError, match="stopped with BUS_TIMEOUT"):
        machine.run([image])


def test_the_smallest_preset_runs_the_bundled_network():
    network = load_network(INTEGER_NETWORK)
    image = random_image(network, 1)
    machine = RtlMachine(compile_network(network, TINY))
    run = machine.run([image])[0]
    assert np.array_equal(machine.tensor(run, network.output), execute(network, image)[network.output])


def test_images_one_after_the_other(small):
    network, program, image, reference = small
    images = [random_image(network, 20), image, random_image(network, 21)]
    machine = RtlMachine(program)
    runs = machine.run(images)
    for run, shown in zip(runs, images, strict=True):
        check(machine, run, reference if shown is image else execute(network, shown, keep=True))
    assert runs[1].cycles == machine.run([image])[0].cycles  # nothing is left of an earlier run
    layers = set(program.layers) - {"program"}
    assert set(runs[0].layer_cycles) <= layers and sum(runs[0].layer_cycles.values()) <= runs[0].cycles
    assert sum(runs[0].layer_cycles.values()) > runs[0].cycles // 2
    assert 0 < runs[0].counters["RMAC_BUSY"] < runs[0].cycles and runs[0].counters["BEATS_WRITTEN"] > 0


@pytest.mark.parametrize(
    "config",
    (PAIR, NARROW, WIDE, PORTS, FOUR, pytest.param(WIDEST, marks=pytest.mark.slow)),
    ids=lambda config: config.name,
)
def test_other_configurations(config):
    """Two cores with two different images at once; the narrowest bus; blocks of 8 behind a bus of 64 bytes, of 16
    behind one of 128; two and eight cores behind two and four ports."""
    network = small_network(6, size=20, dim=16)
    images = [random_image(network, seed) for seed in range(config.cores)]
    machine = RtlMachine(compile_network(network, config, trace=True), stalls(4))
    run = machine.run(images)[0]
    for core, image in enumerate(images):
        check(machine, run, execute(network, image, keep=True), core)


def test_cores_without_an_image():
    """Take no part in the last run: what the run before left of theirs in memory stays; its cycles are the same."""
    network = small_network(6, size=20, dim=16)
    images = [random_image(network, seed) for seed in range(3)]
    machine = RtlMachine(compile_network(network, PAIR, trace=True))
    runs = machine.run(images)
    for number, image in enumerate(images):
        check(machine, runs[number // 2], execute(network, image, keep=True), number % 2)
    assert np.array_equal(runs[1].memory[1], runs[0].memory[1]) and runs[1].cycles == runs[0].cycles
    assert not np.array_equal(runs[1].memory[0], runs[0].memory[0])


@pytest.mark.parametrize("config", (TINY, WIDE), ids=lambda config: config.name)
def test_unusual_shapes(config):
    network = unusual_network(2)
    image = random_image(network, 1)
    machine = RtlMachine(compile_network(network, config, trace=True))
    check(machine, machine.run([image])[0], execute(network, image, keep=True))


def test_an_error_names_code_instruction_and_layer(small):
    _, program, image, _ = small
    instructions = list(program.instructions)
    index = max(k for k, i in enumerate(instructions) if i.opcode == Opcode.STORE)
    broken = Instruction(Opcode.STORE, instructions[index].fields | {"local": TINY.output_words})
    instructions[index] = broken
    machine = RtlMachine(dataclasses.replace(program, instructions=tuple(instructions)))
    text = rf"{ErrorCode.LOCAL_ADDRESS.name} at instruction {index} \(layer {program.layer_of(index)}\)"
    with pytest.raises(MachineError, match=text):
        machine.run([image])
