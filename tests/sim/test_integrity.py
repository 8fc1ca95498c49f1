"""Bits that flip in the memories of a running machine: corrected and counted, or an error; never a wrong result."""

import dataclasses
import random
import re

import numpy as np
import pytest

from tests.networks import random_image, small_network
from tests.sim.configurations import CHECKED, TINY
from tests.sim.host import BURSTS, BUSY, DONE, FAILED, Host
from tests.sim.random_programs import RandomProgram, random_program
from triovit.compiler.compile import compile_network
from triovit.golden.integer.execute import execute
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, checked
from triovit.hdl.isa.names import ErrorCode, Opcode, PostMode, Storage, Unit
from triovit.machine.functional import FunctionalSimulator
from triovit.machine.state import ProgramError
from triovit.sim.rtl.simulation import MemoryModel

MEMORY = MemoryModel(read_latency=9, write_latency=3)
SIZE = 1 << 18
PROGRAMS = [random_program(CHECKED, seed, segments=2) for seed in range(12)]
EXPECTED = [program.expected() for program in PROGRAMS]
CYCLES = 3000  # of a short program
# What a flipped bit of a memory is told as: by its name in the design, the error and its place.
SECDED = {
    r"core\d+\.a\.bank\d+\.ram\.ram": Storage.A,
    r"core\d+\.o\.bank\d+\.ram\.ram": Storage.O,
    r"shared\.b\.bank\d+\.ram\.ram": Storage.B,
    r"shared\.c\.bank\d+\.ram\.ram": Storage.C,
    r"shared\.p\.bank\d+\.ram\.ram": Storage.P,
}
PARITY = {
    r"core\d+\.k\.column\d+\.ram": (ErrorCode.MEMORY_UNCORRECTABLE, Storage.K),
    r"core\d+\.codes\.ram": (ErrorCode.MEMORY_UNCORRECTABLE, Storage.DIVISOR),
    r"rmac_rows\.ram\.ram|results\.rmac_\w+\.inner|\brmac_queue\.fifo": (ErrorCode.QUEUE_PARITY, Unit.RMAC),
    r"mat_rows\.ram\.ram|results\.mat_\w+\.inner|\bmat_queue\.fifo": (ErrorCode.QUEUE_PARITY, Unit.MAT),
    r"\bload\.under_way\.inner|read_master\.bursts\.inner|\bload_queue\.fifo": (ErrorCode.QUEUE_PARITY, Unit.LOAD),
    r"\bstore\.(data_list|answers|beats)\.inner|write_master\.lengths\.inner|\bstore_queue\.fifo": (
        ErrorCode.QUEUE_PARITY,
        Unit.STORE,
    ),
    r"prefetcher\.beats": (ErrorCode.PROGRAM_PARITY, Unit.FETCH),
}


LENGTHS = "write_master.lengths"  # how many beats a burst has been promised to have


@dataclasses.dataclass(frozen=True)
class Upset:
    """Bits that flip in some words of a memory, some cycles after a program's start."""

    memory: str
    words: range
    bits: tuple[int, ...]
    cycle: int


@pytest.fixture(scope="module")
def memories() -> dict[str, tuple[int, int]]:
    """Words and bits of a word of all memories of the design."""
    host = Host(CHECKED, MEMORY, upsets=True)
    handle = host.simulation.list_memories()
    host.execute()
    return host.result[handle]


def kind_of(name: str, kinds):
    found = [value for pattern, value in kinds.items() if re.search(pattern + "$", name)]
    return found[0] if found else None


def strike(upsets: list[Upset]):
    """How a program ended for each upset, and the same one after it, with a soft reset between."""
    host = Host(CHECKED, MEMORY, SIZE, upsets=True)
    for number, upset in enumerate(upsets):
        program = PROGRAMS[number % len(PROGRAMS)]
        host.start(program.memory, program.program_bytes, program.core_stride, WATCHDOG=20_000)
        host.simulation.run(upset.cycle)
        host.simulation.upset(upset.memory, upset.words.start, len(upset.words), upset.bits)
        host.finish(program.memory.size, soft_reset=True, patience=300)
        host.run(program.memory, program.program_bytes, program.core_stride)
    outcomes = host.execute()
    for number, outcome in enumerate(outcomes[1::2]):
        assert (outcome.error, outcome.status & ~BURSTS) == (ErrorCode.NONE, DONE), upsets[number]
        assert np.array_equal(outcome.memory, EXPECTED[number % len(PROGRAMS)]), upsets[number]
        assert outcome.counters["CORRECTED"] == 0
    return outcomes[::2]


def is_right(number: int, outcome) -> bool:
    return outcome.error == ErrorCode.NONE and np.array_equal(outcome.memory, EXPECTED[number % len(PROGRAMS)])


def test_all_memories_are_known(memories):
    """Every array of the design is one of the tables', or has its reason to be none."""
    unprotected = [name for name in memories if kind_of(name, SECDED | PARITY) is None]
    assert all(re.search(r"\.rmac_mat\.", name) for name in unprotected), unprotected
    shapes = {bits for name, (_, bits) in memories.items() if kind_of(name, SECDED) is not None}
    assert shapes == {39}
    assert {kind_of(name, SECDED) for name in memories} == {None, *Storage} - {Storage.K, Storage.DIVISOR}


def test_without_upsets_nothing_is_told_and_no_cycle_is_lost():
    """Memories hold anything when a program starts: it reads only what it wrote. As many cycles as without integrity,
    on slow, fast and stalling memory."""
    seeds, ended = range(60), []
    for config in (CHECKED, TINY):
        host = Host(config, MEMORY, SIZE, upsets=config is CHECKED)
        for number, seed in enumerate(seeds):
            if number % 20 == 0:
                host.simulation.set_memory(
                    (MEMORY, MemoryModel(read_latency=1, write_latency=1), MemoryModel(stall_probability=0.3, seed=2))[
                        number // 20
                    ]
                )
                if config is CHECKED:
                    host.simulation.reset(16)
                    host.simulation.scramble(number + 1)
            program = random_program(config, seed)
            host.run(program.memory, program.program_bytes, program.core_stride)
        ended.append(host.execute())
    for seed, with_it, without in zip(seeds, *ended, strict=True):
        assert (with_it.error, with_it.status) == (ErrorCode.NONE, DONE), seed
        assert with_it.counters["CORRECTED"] == 0
        assert np.array_equal(with_it.memory, random_program(CHECKED, seed).expected()), seed
        if seed < 40:  # stalls are drawn anew for each machine
            assert with_it.cycles == without.cycles, seed


def test_one_bit_of_a_word_is_corrected(memories):
    """In every bank of A, O, B, C and P, each at several times."""
    generator = random.Random(1)
    names = [name for name in memories if kind_of(name, SECDED) is not None]
    upsets = [
        Upset(name, range(memories[name][0]), (generator.randrange(39),), generator.randrange(50, CYCLES))
        for name in names
        for _ in range(4)
    ]
    seen = dict.fromkeys(Storage, 0)
    for number, (upset, outcome) in enumerate(zip(upsets, strike(upsets), strict=True)):
        assert is_right(number, outcome), upset
        seen[kind_of(upset.memory, SECDED)] += outcome.counters["CORRECTED"] > 0
    assert all(seen[place] >= 3 for place in (Storage.A, Storage.O, Storage.B, Storage.C, Storage.P)), seen


def test_two_bits_of_a_word_stop_the_machine(memories):
    """With the buffer's number, or nobody needed the words any more; a wrong result is never taken for a right one."""
    generator = random.Random(2)
    names = [name for name in memories if kind_of(name, SECDED) is not None]
    upsets = [
        Upset(name, range(memories[name][0]), tuple(generator.sample(range(39), 2)), generator.randrange(50, CYCLES))
        for name in names
        for _ in range(4)
    ]
    seen = dict.fromkeys(Storage, 0)
    for number, (upset, outcome) in enumerate(zip(upsets, strike(upsets), strict=True)):
        if is_right(number, outcome):
            continue
        place = kind_of(upset.memory, SECDED)
        assert (outcome.error, outcome.place) == (ErrorCode.MEMORY_UNCORRECTABLE, place), upset
        assert outcome.status & ~(BUSY | BURSTS) == FAILED and outcome.after_reset == 0
        assert 0 <= outcome.index < len(PROGRAMS[number % len(PROGRAMS)].instructions)
        seen[place] += 1
    assert all(seen[place] >= 3 for place in (Storage.A, Storage.O, Storage.B, Storage.C, Storage.P)), seen


def test_a_bit_of_a_queue_stops_the_machine(memories):
    """Of every queue, of K and of the divisor codes. A queue's bits may matter in more than one way: what a damaged
    word does until the machine stops is its own affair, but it does not write to the memory."""
    generator = random.Random(3)
    names = [name for name in memories if kind_of(name, PARITY) and LENGTHS not in name]

    def upset(name: str) -> Upset:
        words, bits = memories[name]
        cycle = generator.randrange(60, CYCLES)
        if "prefetcher" not in name:
            return Upset(name, range(words), (generator.randrange(bits),), cycle)
        # One beat of an instruction's eight, and not the response behind it, which is no part of the program.
        first = generator.randrange(words)
        return Upset(name, range(first, first + 1), (generator.randrange(8 * CHECKED.data_bytes),), cycle)

    upsets = [upset(name) for name in names for _ in range(30 if "prefetcher" in name else 6)]
    seen: dict = {}
    for number, (upset, outcome) in enumerate(zip(upsets, strike(upsets), strict=True)):
        if is_right(number, outcome):
            continue
        expected = kind_of(upset.memory, PARITY)
        assert (outcome.error, outcome.place) == expected, (upset, outcome.error, outcome.place)
        seen[expected] = seen.get(expected, 0) + 1
    assert set(seen) == set(PARITY.values()), seen


def test_a_damaged_length_of_a_write_is_told(memories):
    """Too late for the burst under way, whose last beat is not where the memory expects it: both need a reset."""
    (name,) = (name for name in memories if LENGTHS in name)
    host = Host(CHECKED, MEMORY, SIZE, upsets=True)
    cycles = range(500, 3500, 50)
    for number, cycle in enumerate(cycles):
        program = PROGRAMS[number % len(PROGRAMS)]
        host.start(program.memory, program.program_bytes, program.core_stride, WATCHDOG=20_000)
        host.simulation.run(cycle)
        host.simulation.upset(name, 0, memories[name][0], (number % 9,))
        host.finish(program.memory.size)
        host.simulation.reset(16)
    wrong = [outcome for number, outcome in enumerate(host.execute(check=False)) if not is_right(number, outcome)]
    assert len(wrong) > 3
    assert {(outcome.error, outcome.place) for outcome in wrong} == {(ErrorCode.QUEUE_PARITY, Unit.STORE)}


def flipped(program: RandomProgram, index: int, bit: int) -> np.ndarray:
    """The memory with a bit of one instruction changed."""
    memory = program.memory.copy()
    memory[INSTRUCTION_BYTES * index + bit // 8] ^= 1 << bit % 8
    return memory


def test_a_bit_of_the_program_stops_the_machine_at_its_instruction():
    """RTL and functional simulator alike; where it looks like no program at all, BAD_MAGIC."""
    generator, cases = random.Random(4), []
    host = Host(CHECKED, MEMORY, SIZE, upsets=True)
    for number in range(40):
        program = PROGRAMS[number % len(PROGRAMS)]
        index = 0 if number < 8 else generator.randrange(len(program.instructions))
        memory = flipped(program, index, generator.randrange(8 * INSTRUCTION_BYTES))
        cases.append((program, index, memory))
        host.run(memory, program.program_bytes, program.core_stride, soft_reset=True)
    for (program, index, memory), outcome in zip(cases, host.execute(), strict=True):
        with pytest.raises(ProgramError) as caught:
            FunctionalSimulator(CHECKED, memory.copy(), program.core_stride).run()
        assert (outcome.error, outcome.index) == (caught.value.code, caught.value.index)
        assert outcome.index == index and outcome.error in (ErrorCode.PROGRAM_PARITY, ErrorCode.BAD_MAGIC)
        assert outcome.error == ErrorCode.PROGRAM_PARITY or index == 0
        assert outcome.after_reset == 0


def test_a_machine_without_integrity_does_not_look_at_check_bytes():
    """Programs of older compilers have none."""
    program = random_program(TINY, 3, segments=1)
    memory = program.memory.copy()
    old = memory[: program.program_bytes].reshape(-1, INSTRUCTION_BYTES)
    assert all(checked(bytes(code)) == bytes(code) for code in old)
    old[:, -1] = 0
    host = Host(TINY, MEMORY, SIZE)
    host.run(memory, program.program_bytes, program.core_stride)
    (outcome,) = host.execute()
    assert (outcome.error, outcome.status) == (ErrorCode.NONE, DONE)
    FunctionalSimulator(TINY, memory.copy(), program.core_stride).run()


def test_a_network_on_memories_full_of_noise():
    """With attention, whose row sums leave words of K unwritten: no alarm, and the tensors of the integer model."""
    network = small_network(3)
    program, image = compile_network(network, CHECKED), random_image(network, 1)
    memory = program.image(fill=0xA5)
    program.write_input(memory, image)
    host = Host(CHECKED, MEMORY, 1 << 20, upsets=True)
    host.simulation.scramble(7)
    host.run(memory, len(program.program_bytes()), program.core_stride)
    (outcome,) = host.execute()
    assert (outcome.error, outcome.place, outcome.status) == (ErrorCode.NONE, 0, DONE)
    assert outcome.counters["CORRECTED"] == 0
    expected = execute(network, image)[network.output]
    assert np.array_equal(program.read_tensor(outcome.memory, network.output), expected)
    assert any(i.opcode == Opcode.MAT_CONV and i.mode == PostMode.LOG2 for i in program.instructions)
