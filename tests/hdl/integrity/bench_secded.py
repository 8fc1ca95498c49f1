"""cocotb bench of the SECDED encoder and decoder with flips between them: all of one bit, all of two."""

import itertools
import random

import cocotb
from cocotb.triggers import Timer

from triovit.hdl.integrity.secded import check_bits, encode, pieces
from triovit.sim.bench import bench_parameters


def places(width: int) -> list[range]:
    """Bits of each piece of a coded word."""
    found, position = [], 0
    for bits in pieces(width):
        found.append(range(position, position + bits + check_bits(bits)))
        position += bits + check_bits(bits)
    return found


async def see(dut, word: int, flipped) -> tuple[int, int, int]:
    dut.i.value, dut.flips.value = word, sum(1 << k for k in flipped)
    await Timer(1, "ns")
    return int(dut.o.value), int(dut.corrected.value), int(dut.failed.value)


@cocotb.test()
async def every_flip(dut):
    width, generator = bench_parameters()["width"], random.Random(1)
    assert await see(dut, 0, ()) == (0, 0, 0)
    for word in (0, (1 << width) - 1, *(generator.getrandbits(width) for _ in range(3))):
        assert await see(dut, word, ()) == (word, 0, 0)
        assert int(dut.coded.value) == encode(word, width)
        for piece in places(width):
            for k in piece:
                assert await see(dut, word, (k,)) == (word, 1, 0), k
    for piece in places(width):
        for pair in itertools.combinations(piece, 2):
            _, corrected, failed = await see(dut, generator.getrandbits(width), pair)
            assert (corrected, failed) == (0, 1), pair


@cocotb.test()
async def flips_in_several_pieces(dut):
    """One in each: all are corrected. Two in one of them: it fails, whatever the others have."""
    width, generator = bench_parameters()["width"], random.Random(2)
    parts = places(width)
    for _ in range(400):
        word = generator.getrandbits(width)
        one = [generator.choice(piece) for piece in parts]
        assert await see(dut, word, one) == (word, 1, 0)
        piece = generator.choice(parts)
        others = [k for k in one if k not in piece]
        _, corrected, failed = await see(dut, word, [*others, *generator.sample(piece, 2)])
        assert (corrected, failed) == (0, 1)


@cocotb.test()
async def three_flips(dut):
    """Never told to be fine; some look like one flip of another bit, which no code of this size can know."""
    width, generator = bench_parameters()["width"], random.Random(3)
    for _ in range(2000):
        flipped = generator.sample(generator.choice(places(width)), 3)
        _, corrected, failed = await see(dut, generator.getrandbits(width), flipped)
        assert corrected + failed == 1
