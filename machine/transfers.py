"""LOAD and STORE of the functional simulator."""

from __future__ import annotations

from triovit.hdl.isa.instructions import FIELD_BITS, Instruction
from triovit.hdl.isa.names import ErrorCode, Opcode
from triovit.machine.nests import MEMORY, transfer_nest
from triovit.machine.partitions import is_striped
from triovit.machine.state import State

MOST = 1 << FIELD_BITS["memory"]  # bytes that an offset can count


def execute_transfer(state: State, i: Instruction) -> None:
    """Execute a LOAD or STORE, for A and O core by core; of cores that do not take part only addresses count."""
    config, partitions, load = state.config, state.partitions, i.opcode == Opcode.LOAD
    block, striped = config.block, is_striped(i)
    nest = transfer_nest(i, block)
    space, local, first = nest.local.space, nest.local.every(nest.counts), nest.memory.every(nest.counts)
    strides = [stride for count, stride in ((i.planes, i.memory_plane), (i.rows, i.memory_row)) if count > 1]
    size = min(partitions.size * config.ports, MOST // block) if striped else partitions.size
    for number in range(1 if striped else config.cores):
        image = number % config.port_cores * state.core_stride
        words = first + image // block
        odd = [value for value in (i.memory, image, *strides) if value % block]
        if odd:
            state.fail(ErrorCode.MEMORY_ADDRESS, f"{odd[0]} bytes are not a multiple of the word size, {block}")
        if words.max() >= size:
            state.fail(ErrorCode.MEMORY_ADDRESS, f"byte {int(words.max()) * block}, memory has {size * block} bytes")
        if number == 0:
            state.touch(i.unit, space, local, load)
            state.touch(i.unit, MEMORY, partitions.inside(words) if striped else words, not load)
        if number not in state.active:
            continue
        core = partitions.of_core(number, state.core_stride // block)
        words = partitions.striped(first) if striped else core + first
        array = state.cores[number].buffers[space]
        if load:
            array[local] = state.words[words]
        else:
            state.words[words] = array[local]
