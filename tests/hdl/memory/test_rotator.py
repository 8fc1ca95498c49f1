import random

import pytest

from tests.hdl.memory.simulate import drive, simulate
from triovit.hdl.memory.rotator import Rotator, Towards


@pytest.mark.parametrize("towards", Towards)
@pytest.mark.parametrize("words", (1, 2, 4, 8, 16, 32))
def test_every_shift(words, towards):
    dut, generator = Rotator(words, 7, towards), random.Random(words)
    sent = [generator.getrandbits(7) for _ in range(words)]

    async def bench(ctx):
        drive(ctx, dut, i=sent)
        for shift in range(words):
            drive(ctx, dut, shift=shift)
            shown = [ctx.get(dut.o[k]) for k in range(words)]
            if towards is Towards.LANES:
                assert shown == sent[shift:] + sent[:shift]
            else:
                assert shown[shift:] + shown[:shift] == sent

    simulate(dut, bench, clock=False)


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((3, 8), ValueError, "words must be a power of two, not 3"),
        ((0, 8), ValueError, "words must be 1..128, not 0"),
        ((256, 8), ValueError, "words must be 1..128, not 256"),
        ((8, 0), ValueError, "word_bits must be 1..1024, not 0"),
        ((8, 1025), ValueError, "word_bits must be 1..1024, not 1025"),
        ((8, 8, "left"), TypeError, "towards must be Towards.LANES or Towards.BANKS, not 'left'"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        Rotator(*arguments)
