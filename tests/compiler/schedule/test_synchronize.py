"""Semaphores hold 8 bits: signals that would be too many are thinned out, and nothing is left unordered."""

import dataclasses

import numpy as np
import pytest

from tests.execution import check_network
from tests.networks import NetworkBuilder
from triovit.compiler.schedule.schedule import Draft
from triovit.compiler.schedule.synchronize import SEMAPHORE_NAMES, limit_tokens
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.instructions import SEMAPHORE_BITS, Instruction
from triovit.hdl.isa.names import Opcode

TINY = PRESETS["trio-tiny"]
NUMBER = 6
BIT = 1 << NUMBER


def given(instructions, number: int) -> list[int]:
    """Tokens of a semaphore behind each instruction, in program order."""
    steps = [(i.signal >> number & 1) - (i.wait >> number & 1) for i in instructions]
    return np.cumsum(steps).tolist()


@pytest.mark.parametrize("most", [2, 3, 7, 100])
@pytest.mark.parametrize("seed", range(4))
def test_what_was_ordered_stays_ordered(most, seed):
    """Random signals of LOAD and waits of RMAC, up to 40 tokens at a time; other semaphores are left alone."""
    rng = np.random.default_rng(seed)
    drafts, tokens = [], 0
    while len(drafts) < 400 or tokens:
        if tokens < 40 and len(drafts) < 400 and rng.random() < 0.6 - 0.3 * (len(drafts) > 200):
            drafts.append(Draft(Instruction(Opcode.LOAD, {"signal": BIT | 1, "wait": 2})))
            tokens += 1
        elif tokens:
            drafts.append(Draft(Instruction(Opcode.RMAC_CONV, {"wait": BIT | 4})))
            tokens -= 1

    def pairs():
        """Places in the program of each signal and of the wait that takes it."""
        signals = [n for n, draft in enumerate(drafts) if draft.instruction.signal & BIT]
        waits = [n for n, draft in enumerate(drafts) if draft.instruction.wait & BIT]
        return list(zip(signals, waits, strict=True))

    before, highest = pairs(), max(given([draft.instruction for draft in drafts], NUMBER))
    limit_tokens(drafts, NUMBER, most)
    after, tokens_after = pairs(), given([draft.instruction for draft in drafts], NUMBER)
    assert max(tokens_after) <= most and min(tokens_after) >= 0 and tokens_after[-1] == 0
    assert (after == before) == (highest <= most)
    assert all(any(s >= signal and w <= wait for s, w in after) for signal, wait in before)
    loads = [d.instruction for d in drafts if d.instruction.opcode == Opcode.LOAD]
    assert all(i.signal & 1 and i.wait == 2 for i in loads)


def test_many_small_steps_in_a_large_buffer():
    """160 stores lie between the writing of a word of O and its next one: many classes, little room for weights. Long
    queues leave 127 tokens."""
    config = dataclasses.replace(TINY, weight_bytes=256, output_bytes=1 << 14, queue_depth=64)
    b = NetworkBuilder("many-classes", (3, 8, 8), 1)
    b.head((16, 20), 12000)
    program = check_network(b.build(), config)
    limit = (1 << SEMAPHORE_BITS) - 1 - 2 * config.queue_depth
    highest = {number: max(given(program.instructions, number)) for number in SEMAPHORE_NAMES}
    assert max(highest.values()) <= limit and highest[NUMBER] > limit // 2
