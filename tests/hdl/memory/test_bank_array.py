import itertools
import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hdl.memory.models import BankArrayModel
from tests.hdl.memory.simulate import drive, simulate
from triovit.hdl.memory.bank_array import BankArray
from triovit.hdl.memory.bank_select import BankSelect
from triovit.hdl.memory.rotator import Rotator, Towards
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("shape", [(8, 1, 5, 1), (12, 4, 7, 2), (20, 4, 3, 4), (48, 16, 2, 8)])
def test_every_cycle(shape):
    dut, model, generator = BankArray(*shape), BankArrayModel(*shape), random.Random(1)

    async def bench(ctx):
        compared = 0
        for _ in range(1000):
            inputs = model.inputs(generator)
            drive(ctx, dut, **inputs)
            await ctx.tick()
            for bank, word in enumerate(model.step(**inputs)):
                if word is not None:
                    assert ctx.get(dut.read_data[bank]) == word
                    compared += 1
        assert compared > 600 * shape[1]

    simulate(dut, bench)
    assert dut.latency == 2


@pytest.mark.parametrize("shape", [(48, 4, 64, 2), (40, 8, 64, 8)])
def test_bench(shape):
    run_bench(BankArray(*shape), "tests.hdl.memory.bench_bank_array", name="bank_array", parameters={"shape": shape})


class Windows(wiring.Component):
    """What a core and the control before it make of the components: words at any address written, words from any read.
    Latency: that of the array."""

    write_address: Signal
    write_mask: Signal
    write_data: data.View
    read_address: Signal
    read_mask: Signal
    read_data: data.View

    def __init__(self, words: int, banks: int, word_bits: int, write_width: int):
        self.array = BankArray(words, banks, word_bits, write_width)
        self.write, self.read = BankSelect(words, banks, write_width), BankSelect(words, banks, banks)
        self.into, self.out_of = Rotator(write_width, word_bits, Towards.BANKS), Rotator(banks, word_bits)
        address = In(len(self.read.address))
        ports = {"write_address": address, "write_mask": In(write_width), "read_address": address}
        super().__init__(
            {
                **ports,
                "write_data": In(data.ArrayLayout(word_bits, write_width)),
                "read_mask": In(banks),
                "read_data": Out(data.ArrayLayout(word_bits, banks)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = self.array
        m.submodules.write, m.submodules.read = write, read = self.write, self.read
        m.submodules.into, m.submodules.out_of = into, out_of = self.into, self.out_of
        late, later = Signal.like(read.shift), Signal.like(read.shift)
        m.d.sync += [late.eq(read.shift), later.eq(late)]
        m.d.comb += [
            write.address.eq(self.write_address), write.mask.eq(self.write_mask),
            read.address.eq(self.read_address), read.mask.eq(self.read_mask),
            into.i.eq(self.write_data), into.shift.eq(write.shift),
            array.write_en.eq(write.enables), array.write_rows.eq(write.rows), array.write_data.eq(into.o),
            array.read_en.eq(read.enables), array.read_rows.eq(read.rows),
            out_of.i.eq(array.read_data), out_of.shift.eq(later), self.read_data.eq(out_of.o),
        ]  # fmt: skip
        return m


def check_windows(shape, accesses):
    """Every access is (write address, mask, words, read address, mask); words beyond the memory are left out."""
    words, banks, _, write_width = shape
    dut, contents, line = Windows(*shape), [None] * words, [{}, {}]

    async def bench(ctx):
        for write_address, write_mask, sent, read_address, read_mask in accesses:
            write_mask &= (1 << (words - write_address)) - 1
            read_mask &= (1 << (words - read_address)) - 1
            drive(ctx, dut, write_address=write_address, write_mask=write_mask, write_data=sent)
            drive(ctx, dut, read_address=read_address, read_mask=read_mask)
            await ctx.tick()
            written = {write_address + lane: sent[lane] for lane in range(write_width) if write_mask >> lane & 1}
            read = {lane: read_address + lane for lane in range(banks) if read_mask >> lane & 1}
            line.append({lane: None if place in written else contents[place] for lane, place in read.items()})
            for place, word in written.items():
                contents[place] = word
            for lane, word in line[-2].items():
                assert word is None or ctx.get(dut.read_data[lane]) == word

    simulate(dut, bench)


@pytest.mark.parametrize("shape", [(8, 1, 8, 1), (12, 4, 8, 2), (12, 4, 8, 4), (24, 8, 8, 2)])
def test_every_alignment_of_windows(shape):
    """Each address written with every mask, with every window read meanwhile."""
    words, banks, _, width = shape
    generator = random.Random(2)
    accesses = [
        (to, mask, [generator.getrandbits(8) for _ in range(width)], source, (1 << banks) - 1)
        for to, mask, source in itertools.product(range(words), range(1 << width), range(words))
    ]
    check_windows(shape, accesses)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_windows_of_larger_memories(drawn):
    banks = 1 << drawn.draw(st.integers(0, 5))
    words = banks * drawn.draw(st.integers(2, 300))
    width = 1 << drawn.draw(st.integers(0, banks.bit_length() - 1))
    places = st.integers(0, words - 1)
    sent = st.integers(0, 2**32).map(lambda seed: random.Random(seed).choices(range(256), k=width))
    access = st.tuples(places, st.integers(0, 2**width - 1), sent, places, st.integers(0, 2**banks - 1))
    check_windows((words, banks, 8, width), drawn.draw(st.lists(access, max_size=60)))


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((18, 4, 8, 1), ValueError, "words must be a multiple of the 4 banks, not 18"),
        ((64, 4, 8, 8), ValueError, "width must be 1..4, not 8"),
        ((64, 4, 0, 1), ValueError, "width must be 1..1024, not 0"),
        ((64, 4, 8, 1, "lut"), ValueError, "style must be one of auto, block, ultra, distributed, not 'lut'"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        BankArray(*arguments)
