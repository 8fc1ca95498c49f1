"""LayerNorm of the head: integer mean and variance, bitwise square root, reciprocal by restoring division."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.adder_tree import AdderTree
from triovit.hdl.aux.window_shift import WindowShift
from triovit.hdl.delay_line import delayed
from triovit.hdl.multiplier.multiply_add import MultiplyAdd
from triovit.hdl.validation import check_integer

CHANNEL_BITS = 13  # N = 0..4096
SUM_BITS = 21  # -S1: 4096 * 128 fits
SQUARE_BITS = 27  # S2: 4096 * 2**14 fits
ROOT_BITS = 20  # of a variance below 2**40; the largest is 4096**2 * 127.5**2 + 2**32
QUOTIENT_BITS = 17  # 2**16 when the root is a power of two
DIFFERENCE_BITS = 21  # N * x - S1
Z_BITS = 16
SHIFT_OFFSET = 16 - arithmetic.LAYER_NORM_FRACTION_BITS
VARIANCE_STEPS = 3
SPLIT = 17  # bits of the lower part of a wide factor, unsigned
STAGES = 6  # of a channel in the second pass, from its place in the word to its product with the weight


class LayerNorm(wiring.Component):
    """acc = weight * z with z the normalised vector, 9 fraction bits; the vector is streamed twice, word by word.

    Pass 1 gathers S1 = sum(x) and S2 = sum(x**2). Then the unit computes the variance N * S2 - S1**2 + epsilon, its
    integer square root r bit by bit (the first set bit of r is its leading one, index L), and R = floor(2**(L + 16) /
    r) by restoring division. Pass 2 gives a beat for every beat.

    Parameters
    ----------
    block : int, 1..64
        Channels of a word. A pass has ceil(N / block) beats.
    lanes : int, 1..block
        Channels at a time.
    accumulator_bits : int, 24..32
        Bits of a result.

    Members
    -------
    i : In(stream, always ready) of StructLayout
        x : ArrayLayout(signed(8), block), the same values in both passes; 0 in channels beyond N.
        weight : ArrayLayout(signed(8), block), ignored in pass 1.
        channels : unsigned(13), N = 1..4096; taken with the last beat of pass 1.
        epsilon : unsigned(32), eps * N**2 / scale**2; taken with the last beat of pass 1.
        last : last beat of a pass.
    o : Out(stream, always ready) of StructLayout
        acc : ArrayLayout(signed(accumulator_bits), block), a beat for every beat of pass 2. Channels beyond N carry
            weight * z of x = 0.

    Latency: `latency = interval + 7` cycles from a beat of pass 2 to its result. Nothing waits; whoever sends keeps
    beats at least `interval = ceil(block / lanes)` cycles apart, and the first beat of pass 2 at least `solve_cycles =
    interval + ceil_log2(lanes) + 42` cycles behind the last one of pass 1 (sums interval + ceil_log2(lanes) + 2,
    variance 3, root 20, division 17). The next vector may follow `interval` cycles behind the last beat.

    Numerics: z = sat16(rshift((N * x - S1) * R, L + 7)); everything else is exact. A variance of zero gives R = 0.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: EfficientViT's classification head, integer form in docs/numerics.md, LayerNorm; sums of x
    and x**2 as in P2-ViT's LN unit.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, block: int, lanes: int = 1, accumulator_bits: int = arithmetic.ACCUMULATOR_BITS):
        self.block = check_integer("block", block, 1, 64)
        self.lanes = check_integer("lanes", lanes, 1, block)
        self.accumulator_bits = check_integer("accumulator_bits", accumulator_bits, 24, 32)
        self.interval = -(-block // lanes)
        self._drain = self.interval + ceil_log2(lanes) + 2  # from a beat to its sums being in the accumulators
        self.solve_cycles = self._drain + VARIANCE_STEPS + ROOT_BITS + QUOTIENT_BITS
        self.latency = self.interval + STAGES + 1
        vector = data.ArrayLayout(signed(8), block)
        i_layout = data.StructLayout(
            {"x": vector, "weight": vector, "channels": unsigned(CHANNEL_BITS), "epsilon": unsigned(32), "last": 1}
        )
        o_layout = data.StructLayout({"acc": data.ArrayLayout(signed(accumulator_bits), block)})
        super().__init__(
            {
                "i": In(stream.Signature(i_layout, always_ready=True)),
                "o": Out(stream.Signature(o_layout, always_ready=True)),
            }
        )

    @staticmethod
    def model(x, weight, epsilon=0):
        """x, weight: (N,) int8, N = 1..4096; epsilon: 0 .. 2**32 - 1. Returns (N,) int64, `arithmetic.layer_norm`."""
        return arithmetic.layer_norm(np.asarray(x), weight, epsilon)

    def elaborate(self, platform):
        m = Module()
        payload = self.i.payload
        normalize = Signal()  # which pass the next beat belongs to
        channels = Signal(CHANNEL_BITS, reset_less=True)
        epsilon = Signal(32, reset_less=True)
        solve = Signal(self._drain)  # the last beat of pass 1, on its way into the sums
        m.d.sync += solve.eq(Cat(self.i.valid & payload.last & ~normalize, solve))
        with m.If(self.i.valid & payload.last):
            m.d.sync += normalize.eq(~normalize)
            with m.If(~normalize):
                m.d.sync += [channels.eq(payload.channels), epsilon.eq(payload.epsilon)]

        x, weight, valid, ends = self._serialize(m, normalize)
        minus_sum, squares, clear = self._gather(m, x, valid & ~ends["second"])
        reciprocal, lead, held_sum = self._solve(m, solve[-1], clear, channels, epsilon, minus_sum, squares)
        self._normalize(m, x, weight, ends, channels, held_sum, reciprocal, lead)
        return m

    def _serialize(self, m, normalize):
        """The word's channels, `lanes` at a time: in a slot x and weight of each lane, whether the slot is one, and
        whether it is of the second pass and the last of its word."""
        payload, width = self.i.payload, 8 * self.lanes
        words = {name: Signal(self.interval * width, name=f"{name}_word", reset_less=True) for name in ("x", "weight")}
        slots = Signal(self.interval)
        second = Signal(reset_less=True)
        m.d.sync += slots.eq(slots[1:])
        for word in words.values():
            m.d.sync += word.eq(word[width:])
        with m.If(self.i.valid):
            m.d.sync += [slots.eq(-1), second.eq(normalize)]
            m.d.sync += [word.eq(payload[name].as_value()) for name, word in words.items()]
        x, weight = ([word[8 * k : 8 * (k + 1)].as_signed() for k in range(self.lanes)] for word in words.values())
        last = slots[0] & ~(slots[1] if self.interval > 1 else Const(0, 1))
        return x, weight, slots[0], {"second": second, "last": last & second}

    def _gather(self, m, x, valid):
        """Pass 1: -S1 and S2, and the signal that clears them when they have been used."""
        m.submodules.sum_tree = sum_tree = AdderTree(self.lanes, 8)
        m.submodules.square_tree = square_tree = AdderTree(self.lanes, 16)
        minus_sum = Signal(signed(SUM_BITS))
        squares = Signal(SQUARE_BITS)
        clear = Signal()
        for k, value in enumerate(x):
            multiplier = MultiplyAdd(8, 8, operand_registers=0, result_register=False)
            m.submodules[f"square{k}"] = multiplier
            m.d.comb += [
                multiplier.a.eq(value),
                multiplier.b.eq(value),
                sum_tree.i[k].eq(delayed(m, value, multiplier.latency, f"x{k}")[-1]),
                square_tree.i[k].eq(multiplier.o),
            ]
        m.d.comb += [sum_tree.en.eq(1), square_tree.en.eq(1)]
        with m.If(delayed(m, valid, 1 + sum_tree.latency, "gathered", reset=True)[-1]):
            m.d.sync += [minus_sum.eq(minus_sum - sum_tree.o), squares.eq(squares + square_tree.o)]
        with m.If(clear):
            m.d.sync += [minus_sum.eq(0), squares.eq(0)]
        return minus_sum, squares, clear

    def _solve(self, m, start, clear, channels, epsilon, minus_sum, squares):
        """Between the passes: the reciprocal R, the index L and -S1 of the vector in pass 2."""
        reciprocal = Signal(QUOTIENT_BITS, reset_less=True)
        lead = Signal(range(ROOT_BITS), reset_less=True)
        held_sum = Signal(signed(SUM_BITS), reset_less=True)
        scaled_squares = Signal(CHANNEL_BITS + SQUARE_BITS, reset_less=True)
        squared_sum = Signal(2 * ROOT_BITS, reset_less=True)
        variance = Signal(2 * ROOT_BITS, reset_less=True)
        # Factors that are too wide for one multiplier come in two parts, whose products are added a cycle later.
        low, high = minus_sum[:SPLIT], minus_sum[SPLIT:].as_signed()
        low_scaled = Signal(CHANNEL_BITS + SPLIT, reset_less=True)
        high_scaled = Signal(CHANNEL_BITS + SQUARE_BITS - SPLIT, reset_less=True)
        low_square = Signal(2 * SPLIT, reset_less=True)
        high_square = Signal(2 * (SUM_BITS - SPLIT), reset_less=True)
        cross = Signal(signed(SUM_BITS), reset_less=True)
        root = Signal(ROOT_BITS, reset_less=True)
        power = Signal(ROOT_BITS, reset_less=True)  # 1 << lead
        remainder = Signal(ROOT_BITS + 2, reset_less=True)
        step = Signal(range(ROOT_BITS))
        with m.FSM():
            with m.State("products"):
                with m.If(start):
                    m.d.comb += clear.eq(1)
                    m.d.sync += [
                        low_scaled.eq(channels * squares[:SPLIT]),
                        high_scaled.eq(channels * squares[SPLIT:]),
                        low_square.eq(low * low),
                        high_square.eq(high * high),
                        cross.eq(low * high),
                        held_sum.eq(minus_sum),
                    ]
                    m.next = "sums"
            with m.State("sums"):
                m.d.sync += [
                    scaled_squares.eq(low_scaled + (high_scaled << SPLIT)),
                    squared_sum.eq(Cat(low_square, high_square) + (cross << (SPLIT + 1))),
                ]
                m.next = "variance"
            with m.State("variance"):
                m.d.sync += [
                    variance.eq(scaled_squares + epsilon - squared_sum),
                    root.eq(0),
                    remainder.eq(0),
                    step.eq(ROOT_BITS - 1),
                ]
                m.next = "root"
            with m.State("root"):
                # Two bits of the variance a step: the next bit of the root is set when 4 * root + 1 fits the remainder.
                pair = Signal(ROOT_BITS + 2)
                rest = Signal(ROOT_BITS + 3)
                bit = Signal()
                m.d.comb += [
                    pair.eq(Cat(variance[-2:], remainder)),
                    rest.eq(pair - Cat(Const(1, 2), root)),
                    bit.eq(~rest[-1]),
                ]
                m.d.sync += [
                    variance.eq(variance << 2),
                    remainder.eq(Mux(bit, rest, pair)),
                    root.eq(Cat(bit, root)),
                    power.eq(Mux(root == 0, bit, power << 1)),
                    lead.eq(Mux(root == 0, 0, lead + 1)),
                    step.eq(step - 1),
                ]
                with m.If(step == 0):
                    m.d.sync += [remainder.eq(Mux(root == 0, bit, power << 1)), step.eq(QUOTIENT_BITS - 1)]
                    m.next = "divide"
            with m.State("divide"):
                # The dividend 2**(L + 16) enters as 2**L. A root of zero has power 0 and must give 0, not all ones.
                left = Signal(ROOT_BITS + 3)
                fits = Signal()
                m.d.comb += [left.eq(remainder - root), fits.eq(~left[-1] & (remainder != 0))]
                m.d.sync += [
                    remainder.eq(Mux(fits, left, remainder) << 1),
                    reciprocal.eq(Cat(fits, reciprocal)),
                    step.eq(step - 1),
                ]
                with m.If(step == 0):
                    m.next = "products"
        return reciprocal, lead, held_sum

    def _normalize(self, m, x, weight, ends, channels, minus_sum, reciprocal, lead):
        """Pass 2: the multiplications of a lane, one register a stage, and the words of results.

        The constants of a vector are held until the next one's are solved, which is after these stages.
        """
        results = []
        for k in range(self.lanes):
            scale = MultiplyAdd(CHANNEL_BITS + 1, 8, addend="c", operand_registers=0)
            divide = MultiplyAdd(DIFFERENCE_BITS, QUOTIENT_BITS + 1, operand_registers=0, result_register=False)
            weigh = MultiplyAdd(Z_BITS, 8, operand_registers=0, result_register=False)
            width = DIFFERENCE_BITS + QUOTIENT_BITS
            shifter = WindowShift(width, Z_BITS, ROOT_BITS - 1 + SHIFT_OFFSET, zero_point=False)
            for name, part in (("scale", scale), ("divide", divide), ("shifter", shifter), ("weigh", weigh)):
                m.submodules[f"{name}{k}"] = part
            z = Signal(signed(Z_BITS), name=f"z{k}", reset_less=True)
            total = shifter.o.total
            low, high = (Const(limit, signed(Z_BITS)) for limit in arithmetic.signed_range(Z_BITS))
            outside = shifter.o.beyond | (total[Z_BITS - 1] != total[Z_BITS])
            m.d.sync += z.eq(Mux(outside, Mux(shifter.o.negative, low, high), total))
            m.d.comb += [
                scale.a.eq(channels),
                scale.b.eq(x[k]),
                scale.c.eq(minus_sum),
                divide.a.eq(scale.o),
                divide.b.eq(reciprocal),
                shifter.i.value.eq(divide.o),
                shifter.i.shift.eq(lead + SHIFT_OFFSET),
                shifter.i.late.fraction.eq(1),
                weigh.a.eq(z),
                weigh.b.eq(delayed(m, weight[k], STAGES - 1, f"weight{k}")[-1]),
            ]
            results.append(weigh.o[: Z_BITS + 8])
        word = Signal(self.interval * self.lanes * (Z_BITS + 8), reset_less=True)
        given = delayed(m, ends["last"], STAGES + 1, "given", reset=True)[-1]
        m.d.sync += word.eq(Cat(word, *results)[-len(word) :])
        m.d.comb += self.o.valid.eq(given)
        m.d.comb += [self.o.payload.acc[k].eq(word.word_select(k, Z_BITS + 8).as_signed()) for k in range(self.block)]
