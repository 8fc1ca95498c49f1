import pytest
from amaranth.hdl import Module, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hdl.memory.simulate import drive, simulate
from triovit.hdl.memory.bank_select import BankSelect, window_mask

SMALL = [(2, 1, 1), (8, 4, 1), (12, 4, 2), (12, 4, 4), (24, 8, 8), (48, 16, 4)]


def expected(words, banks, address, mask):
    """Bank -> row of the words that are used."""
    places = [address + word for word in range(mask.bit_length()) if mask >> word & 1]
    rows = 1 << (words // banks - 1).bit_length()
    return {place % banks: place // banks % rows for place in places}


def check(ctx, dut, address, mask):
    drive(ctx, dut, address=address, mask=mask)
    used = expected(dut.words, dut.banks, address, mask)
    assert ctx.get(dut.enables) == sum(1 << bank for bank in used)
    assert {bank: ctx.get(dut.rows[bank]) for bank in used} == used
    assert ctx.get(dut.shift) == address % dut.banks


@pytest.mark.parametrize("shape", SMALL)
def test_every_alignment(shape):
    """Every address, also those beyond the memory and before it (modulo its bits), with every contiguous mask."""
    dut = BankSelect(*shape)
    width = shape[2]
    masks = {0, *((1 << end) - (1 << first) for end in range(width + 1) for first in range(end))}

    async def bench(ctx):
        for address in range(1 << len(dut.address)):
            for mask in masks:
                check(ctx, dut, address, mask)

    simulate(dut, bench, clock=False)
    assert len(dut.address) == (shape[0] - 1).bit_length()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_larger_ones(data):
    banks = 1 << data.draw(st.integers(0, 5))
    rows = data.draw(st.integers(2, 5000))
    width = 1 << data.draw(st.integers(0, banks.bit_length() - 1))
    dut = BankSelect(rows * banks, banks, width)
    accesses = data.draw(st.lists(st.tuples(st.integers(0, (1 << len(dut.address)) - 1), st.integers(0, 2**width - 1))))

    async def bench(ctx):
        for address, mask in accesses:
            check(ctx, dut, address, mask)

    simulate(dut, bench, clock=False)


@pytest.mark.parametrize("width", (1, 4, 8))
def test_window_mask(width):
    m = Module()
    count, double, mask = Signal(range(width + 1)), Signal(), Signal(width)
    m.d.comb += mask.eq(window_mask(count, double, width))

    async def bench(ctx):
        for n in range(width + 1):
            for step in (1, 2) if n <= width // 2 else (1,):
                ctx.set(count, n)
                ctx.set(double, step == 2)
                assert ctx.get(mask) == sum(1 << word for word in range(0, n * step, step))

    simulate(m, bench, clock=False)


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((8, 3, 1), ValueError, "banks must be a power of two, not 3"),
        ((8, 256, 1), ValueError, "banks must be 1..128, not 256"),
        ((8, 4, 3), ValueError, "width must be a power of two, not 3"),
        ((8, 4, 8), ValueError, "width must be 1..4, not 8"),
        ((4, 4, 1), ValueError, "words must be 8..16777216, not 4"),
        ((10, 4, 1), ValueError, "words must be a multiple of the 4 banks, not 10"),
        (("8", 4, 1), TypeError, "words must be an integer, not '8'"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        BankSelect(*arguments)
