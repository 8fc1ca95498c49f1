"""Post-processing: the pipeline behind a MAC engine, from a row of psums to a row of bytes."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.hardswish import THRESHOLD, threshold
from triovit.hdl.aux.log2_quantizer import Log2Quantizer
from triovit.hdl.aux.post_lane import PostLane
from triovit.hdl.aux.shifter_array import ShifterArray
from triovit.hdl.delay_line import delayed
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.names import PostMode
from triovit.hdl.isa.record import PRODUCT_BITS, RESIDUAL_BYTES
from triovit.hdl.validation import check_integer


class PostProcessing(wiring.Component):
    """Bias, requantization, hardswish, residual, division by a power of two and log2 quantization of a row of psums.

    Parameters
    ----------
    lanes : int
        Psums in a row, 1..64.
    accumulator_bits : int, 24..32
        Bits of a psum, a bias and their sum.

    Members
    -------
    i : In, {acc: lanes x signed(accumulator_bits), parameters: lanes x RECORD_LAYOUT, residual: lanes x signed(8),
        code: unsigned(4), mode: PostMode, fraction_bits: unsigned(4), use_residual: 1, log2_offset: signed(6),
        high_byte: 1}
    o : Out, lanes x signed(8)

    Latency: `latency = 13` cycles in every mode, initiation interval 1; rows of different modes may follow each other.
    Nothing waits, and no register has a reset: a row is whatever stands at `i` in a cycle.

    Numerics, with t = acc + bias, which the compiler's bounds keep in accumulator_bits bits:
      LINEAR     sat8(zp + rshift(t * m1 + ((residual * residual_multiplier) << 8 * residual_shift), n1)), the second
                 term only with `use_residual`; the sum must fit 48 bits
      HARDSWISH  x = sat16(rshift(t * m1, n1)); sat8(zp + rshift(x * clamp(x + 3 * 2**f, 0, 6 * 2**f) * m2, n2)), f =
                 `fraction_bits` in 0..13
      DIVIDE     d = sat24(rshift(t * m1, n1)); sat8(zp + rshift(d, code))
      LOG2       lane 0: clip(log2_round(t) + log2_offset, 0, 15), 0 when t <= 0; the other lanes 0
      WIDE       w = sat16(zp + rshift(t * m1, n1)); the high or the low byte of w, its bits taken as int8
    Shifts n1 and n2 are 0..47. Every rounding is round half up.

    Raises: TypeError, ValueError for a parameter out of its range.

    Source: Trio-ViT, re-quantization, log2 quantization and shifting behind the engines;
    docs/numerics.md, Requantization to The log2 rule.
    """

    i: data.View
    o: data.View

    latency = PostLane.latency + ShifterArray.latency

    def __init__(self, lanes: int, accumulator_bits: int = arithmetic.ACCUMULATOR_BITS):
        self.lanes = check_integer("lanes", lanes, 1, 64)
        self.accumulator_bits = accumulator_bits
        self._lanes = [PostLane(accumulator_bits) for _ in range(lanes)]
        row = {
            "acc": data.ArrayLayout(signed(accumulator_bits), lanes),
            "parameters": data.ArrayLayout(RECORD_LAYOUT, lanes),
            "residual": data.ArrayLayout(signed(8), lanes),
            "code": unsigned(4),
            "mode": PostMode,
            "fraction_bits": unsigned(4),
            "use_residual": 1,
            "log2_offset": signed(6),
            "high_byte": 1,
        }
        super().__init__({"i": In(data.StructLayout(row)), "o": Out(data.ArrayLayout(signed(8), lanes))})

    @staticmethod
    def model(
        acc,
        parameters,
        mode,
        *,
        residual=0,
        code=0,
        fraction_bits=0,
        use_residual=True,
        log2_offset=0,
        high_byte=False,
        accumulator_bits=arithmetic.ACCUMULATOR_BITS,
    ):
        """Rows of one mode. acc: (..., lanes). parameters: mapping of RECORD_LAYOUT's names to integers or
        arrays that broadcast with `acc`; absent names are 0. residual: (..., lanes) int8. The rest: scalars, or
        one value per row, shape (...). Returns int64 (..., lanes) in int8 range. Raises OverflowError outside the
        ranges of the class's numerics.
        """
        mode = PostMode(mode)
        p = {name: np.asarray(parameters.get(name, 0)) for name, _ in RECORD_LAYOUT}
        code, fraction_bits, use_residual, log2_offset, high_byte = (
            np.asarray(value)[..., None] for value in (code, fraction_bits, use_residual, log2_offset, high_byte)
        )
        low, high = arithmetic.signed_range(accumulator_bits)
        t = arithmetic.check_range(np.asarray(acc, dtype=np.int64) + p["bias"], low, high, "acc + bias")
        first = (t, p["m1"], p["n1"] & 63)
        zp = p["zero_point"]
        if mode == PostMode.LINEAR:
            residual = np.where(use_residual, residual, 0)
            residual_multiplier = p["residual_multiplier"] & (1 << arithmetic.RESIDUAL_BITS) - 1
            residual_shift = 8 * (p["residual_shift"] & RESIDUAL_BYTES)
            return arithmetic.requantize_residual(
                *first, zp, residual, residual_multiplier, residual_shift, product_bits=PRODUCT_BITS
            )
        if mode == PostMode.HARDSWISH:
            return arithmetic.hardswish_requantize(*first, fraction_bits, p["m2"], p["n2"] & 63, zp)
        if mode == PostMode.DIVIDE:
            return arithmetic.shift_divide(*first, code, zp)
        if mode == PostMode.LOG2:
            codes = arithmetic.divisor_code(t, log2_offset)
            return np.where(np.arange(codes.shape[-1]) == 0, codes, 0)
        wide = arithmetic.requantize(*first, zp, 16)
        return arithmetic.saturate(np.where(high_byte, wide >> 8, ((wide & 255) ^ 128) - 128), 8)

    def elaborate(self, platform):
        m = Module()
        i, lanes = self.i, self._lanes
        m.submodules.shifters = shifters = ShifterArray(self.lanes)
        hardswish, wide = i.mode == PostMode.HARDSWISH, i.mode == PostMode.WIDE
        last_shift = Signal(6)
        with m.If(i.mode == PostMode.DIVIDE):
            m.d.comb += last_shift.eq(i.code)
        with m.If(wide):
            m.d.comb += last_shift.eq(Mux(i.high_byte, 8, 0))
        before = PostLane.threshold_delay - 1
        fraction_bits = delayed(m, i.fraction_bits, before, "fraction_bits")[-1]
        active = delayed(m, hardswish, before, "hardswish")[-1]
        limit = Signal(THRESHOLD, reset_less=True)
        m.d.sync += [limit[name].eq(value) for name, value in threshold(active, fraction_bits).items()]
        for k, lane in enumerate(lanes):
            m.submodules[f"lane_{k}"] = lane
            m.d.comb += [
                lane.i.acc.eq(i.acc[k]),
                lane.i.parameters.eq(i.parameters[k]),
                lane.i.residual.eq(i.residual[k]),
                lane.i.control.hardswish.eq(hardswish),
                lane.i.control.wide.eq(wide),
                lane.i.control.use_residual.eq(i.use_residual & (i.mode == PostMode.LINEAR)),
                lane.i.control.last_shift.eq(last_shift),
                lane.threshold.eq(limit),
                shifters.i.lane[k].eq(lane.o),
            ]
        choices = {"low_byte": wide & ~i.high_byte, "high_byte": wide & i.high_byte, "mute": i.mode == PostMode.LOG2}
        for name, value in choices.items():
            m.d.comb += shifters.i[name].eq(delayed(m, value, PostLane.latency, name)[-1])

        # The array gives 0 in mode LOG2 and the quantizer 0 in all others, so that their outputs are merely joined.
        m.submodules.log2 = log2 = Log2Quantizer(self.accumulator_bits)
        total = Signal(signed(self.accumulator_bits), reset_less=True)
        m.d.sync += total.eq(i.acc[0] + i.parameters[0].bias)
        with m.If(i.mode != PostMode.LOG2):
            m.d.sync += total.eq(0)
        m.d.comb += [
            log2.i.value.eq(total),
            log2.i.offset.eq(delayed(m, i.log2_offset, 1, "log2_offset")[-1]),
            self.o.eq(shifters.o),
            self.o[0].eq(shifters.o[0] | delayed(m, log2.o, self.latency - 1 - log2.latency, "code")[-1]),
        ]
        return m
