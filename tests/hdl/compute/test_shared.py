"""Shared buffers: what is loaded comes out again, records and single words at once, weights skewed."""

import random
from collections import defaultdict

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import FOUR, TINY, WIDE
from triovit.hdl.compute.shared import SharedBuffers
from triovit.hdl.compute.timing import READ
from triovit.hdl.config.buffers import buffers
from triovit.hdl.isa.engines import Space

S1 = 1  # cycles from a read's grant to its pins here


@pytest.mark.parametrize("config", (TINY, WIDE, FOUR), ids=lambda config: config.name)
def test_every_cycle(config):
    rng, shapes, dut = random.Random(1), buffers(config), SharedBuffers(config)
    block, beat, bits = config.block, config.bus_words, 8 * config.block
    rows = 3
    content = {name: {} for name in ("b", "c", "p")}
    spaces = {"b": Space.B, "c": Space.C, "p": Space.P}
    expected = defaultdict(dict)  # cycle -> (output, lane, column) -> value

    def signed(word: int, column: int) -> int:
        byte = word >> 8 * column & 255
        return byte - (byte >> 7 << 8)

    async def bench(ctx):
        for name, space in spaces.items():  # beats, as WritePorts gives them
            banks = shapes[space].banks
            for first in range(0, rows * banks, beat):
                words = [rng.getrandbits(bits) for _ in range(beat)]
                pins = getattr(dut, f"write_{name}")
                ctx.set(dut.load, words)
                ctx.set(pins.enables, sum(1 << (first + k) % banks for k in range(beat)))
                ctx.set(pins.rows, [first // banks] * banks)
                for k, word in enumerate(words):
                    content[name][first + k] = word
                await ctx.tick()
                ctx.set(pins.enables, 0)
        for now in range(600):
            for name in ("b", "c"):
                pins, row, single = getattr(dut, name), rng.randrange(rows), rng.randrange(block)
                reads, whole = rng.random() < 0.8, rng.random() < 0.6
                ctx.set(pins.enables, (((1 << block) - 1) if whole else 1 << single) if reads else 0)
                ctx.set(pins.rows, [row] * block)
                ctx.set(pins.shift, 0 if whole else single)
                at = now + READ - S1
                for lane in range(block) if reads and whole else ():
                    for column in range(block):
                        word = content[name][row * block + lane]
                        expected[at + column][name, lane, column] = signed(word, column)
                if reads and not whole and name == "b":
                    expected[at]["b_word", 0, 0] = content["b"][row * block + single]
            reads, row = rng.random() < 0.5, rng.randrange(rows)
            ctx.set(dut.p_en, reads)
            ctx.set(dut.p_block, row)
            for lane in range(shapes[Space.P].banks) if reads else ():
                expected[now + READ]["p", lane, 0] = content["p"][row * shapes[Space.P].banks + lane]
            for (name, lane, column), value in expected.pop(now, {}).items():
                if name == "p":
                    assert ctx.get(dut.records[lane]) == value, now
                elif name == "b_word":
                    assert ctx.get(dut.operands.b_word[0]) == value, now
                else:
                    assert ctx.get(getattr(dut.operands, name)[lane][column]) == value, (now, name, lane, column)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
