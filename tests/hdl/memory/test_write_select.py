import itertools
import random

import pytest

from tests.hdl.memory.simulate import drive, simulate
from triovit.hdl.memory.write_select import WriteSelect


@pytest.mark.parametrize("shape", [(12, 4, 2, 3), (8, 2, 2, 1), (24, 8, 8, 4)])
def test_a_result_first_then_a_beat(shape):
    """Every place of a result and of a beat, with and without the other."""
    words, banks, width, cores = shape
    dut, generator = WriteSelect(*shape), random.Random(1)

    def places(ctx):
        """(core, address) of every word that is written, and the word of the beat that goes there."""
        rows = [ctx.get(dut.rows[bank]) for bank in range(banks)]
        enables = [ctx.get(dut.enables[core]) for core in range(cores)]
        every = itertools.product(range(cores), range(banks))
        return {(core, rows[bank] * banks + bank) for core, bank in every if enables[core] >> bank & 1}

    async def bench(ctx):
        for result, load in itertools.product((0, 1), (0, 1)):
            for address, core in itertools.product(range(words), range(cores)):
                mask = generator.getrandbits(width) & ((1 << (words - address)) - 1)
                where = generator.randrange(words)
                drive(ctx, dut, result_en=result, result_address=where, load_en=load, load_core=core)
                drive(ctx, dut, load_address=address, load_mask=mask)
                beat = {(core, address + word) for word in range(width) if mask >> word & 1}
                every = {(other, where) for other in range(cores)}
                assert places(ctx) == (every if result else beat if load else set())
                assert ctx.get(dut.load_ready) == 1 - result and ctx.get(dut.from_result) == result

    simulate(dut, bench, clock=False)


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((12, 4, 2, 0), ValueError, "cores must be 1..64, not 0"),
        ((12, 4, 2, 65), ValueError, "cores must be 1..64, not 65"),
        ((1 << 25, 4, 2, 1), ValueError, "words must be 8..16777216, not 33554432"),
        ((12, 8, 2, 1), ValueError, "words must be 16..16777216, not 12"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        WriteSelect(*arguments)
