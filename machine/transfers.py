"""LOAD and STORE of the functional simulator."""

from __future__ import annotations

from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import ErrorCode, Opcode
from triovit.machine.nests import MEMORY, transfer_nest
from triovit.machine.state import State


def execute_transfer(state: State, i: Instruction) -> None:
    """Execute a LOAD or STORE, for A and O core by core."""
    block, load = state.config.block, i.opcode == Opcode.LOAD
    nest = transfer_nest(i, block)
    space, local, first = nest.local.space, nest.local.every(nest.counts), nest.memory.every(nest.counts)
    strides = [stride for count, stride in ((i.planes, i.memory_plane), (i.rows, i.memory_row)) if count > 1]
    for number in range(state.config.cores if space in ("A", "O") else 1):
        image = number * state.core_stride
        words = first + image // block
        odd = [value for value in (i.memory, image, *strides) if value % block]
        if odd:
            state.fail(ErrorCode.MEMORY_ADDRESS, f"{odd[0]} bytes are not a multiple of the word size, {block}")
        if words.max() >= state.words.shape[0]:
            state.fail(
                ErrorCode.MEMORY_ADDRESS, f"byte {int(words.max()) * block}, memory has {state.memory.size} bytes"
            )
        if number == 0:
            state.touch(i.unit, space, local, load)
            state.touch(i.unit, MEMORY, words, not load)
        array = state.cores[number].buffers[space]
        if load:
            array[local] = state.words[words]
        else:
            state.words[words] = array[local]
