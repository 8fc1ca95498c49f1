"""Post-processing: the pipeline behind a MAC engine, from a row of psums to a row of bytes."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.log2_quantizer import Log2Quantizer
from triovit.hdl.aux.post_lane import ROW_CONTROL, PostLane
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.names import PostMode
from triovit.hdl.validation import check_integer


class PostProcessing(wiring.Component):
    """Bias, requantization, hardswish, residual, division by a power of two and log2 quantization of a row of psums.

    Parameters
    ----------
    lanes : int
        Psums in a row, 1..64.

    Members
    -------
    i : In, {acc: lanes x signed(32), parameters: lanes x RECORD_LAYOUT, residual: lanes x signed(8),
        code: unsigned(4), mode: PostMode, fraction_bits: unsigned(4), use_residual: 1, log2_offset: signed(6),
        high_byte: 1}
    o : Out, lanes x signed(8)
    en : In, 1. Registers advance only while it is high; a pipeline that never waits ties it to 1.

    Latency: 10 enabled cycles in every mode, initiation interval 1; rows of different modes may follow each other.

    Numerics, with t = acc + bias, which the compiler's bounds keep in 32 bits:
      LINEAR     sat8(zp + rshift(t * m1 + ((residual * residual_multiplier) << residual_shift), n1)), the second term
                 only with `use_residual`; it and the sum must fit 50 bits
      HARDSWISH  x = sat16(rshift(t * m1, n1)); sat8(zp + rshift(x * clamp(x + 3 * 2**f, 0, 6 * 2**f) * m2, n2)), f =
                 `fraction_bits` in 0..13
      DIVIDE     d = sat24(rshift(t * m1, n1)); sat8(zp + rshift(d, code))
      LOG2       lane 0: clip(log2_round(t) + log2_offset, 0, 15), 0 when t <= 0; the other lanes 0
      WIDE       w = sat16(zp + rshift(t * m1, n1)); the high or the low byte of w, its bits taken as int8
    Shifts are 0..47. Every rounding is round half up.

    Raises: TypeError, ValueError for a lane count out of its range.

    Source: Trio-ViT, re-quantization, log2 quantization and shifting behind the engines;
    docs/numerics.md, Requantization to The log2 rule.
    """

    i: data.View
    o: data.View
    en: Signal

    latency = PostLane.latency

    def __init__(self, lanes: int):
        self.lanes = check_integer("lanes", lanes, 1, 64)
        row = {
            "acc": data.ArrayLayout(signed(32), lanes),
            "parameters": data.ArrayLayout(RECORD_LAYOUT, lanes),
            "residual": data.ArrayLayout(signed(8), lanes),
            "code": ROW_CONTROL["code"],
            "mode": ROW_CONTROL["mode"],
            "fraction_bits": ROW_CONTROL["fraction_bits"],
            "use_residual": ROW_CONTROL["use_residual"],
            "log2_offset": signed(6),
            "high_byte": ROW_CONTROL["high_byte"],
        }
        super().__init__({"i": In(data.StructLayout(row)), "o": Out(data.ArrayLayout(signed(8), lanes)), "en": In(1)})

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
    ):
        """Rows of one mode. acc: (..., lanes) int32. parameters: mapping of RECORD_LAYOUT's names to integers or
        arrays that broadcast with `acc`; absent names are 0. residual: (..., lanes) int8. The rest: scalars, or
        one value per row, shape (...). Returns int64 (..., lanes) in int8 range. Raises OverflowError outside the
        ranges of the class's numerics.
        """
        mode = PostMode(mode)
        p = {name: np.asarray(parameters.get(name, 0)) for name, _ in RECORD_LAYOUT}
        code, fraction_bits, use_residual, log2_offset, high_byte = (
            np.asarray(value)[..., None] for value in (code, fraction_bits, use_residual, log2_offset, high_byte)
        )
        low, high = arithmetic.signed_range(arithmetic.ACCUMULATOR_BITS)
        t = arithmetic.check_range(np.asarray(acc, dtype=np.int64) + p["bias"], low, high, "acc + bias")
        first = (t, p["m1"], p["n1"] & 63)
        zp = p["zero_point"]
        if mode == PostMode.LINEAR:
            residual = np.where(use_residual, residual, 0)
            return arithmetic.requantize_residual(
                *first, zp, residual, p["residual_multiplier"], p["residual_shift"] & 63
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
        lanes = [PostLane() for _ in range(self.lanes)]
        for k, lane in enumerate(lanes):
            m.submodules[f"lane_{k}"] = lane
            m.d.comb += [
                lane.i.acc.eq(self.i.acc[k]),
                lane.i.parameters.eq(self.i.parameters[k]),
                lane.i.residual.eq(self.i.residual[k]),
                lane.en.eq(self.en),
            ]
            m.d.comb += [lane.i[name].eq(self.i[name]) for name in ROW_CONTROL]
            if k:
                m.d.comb += self.o[k].eq(lane.o)

        # The lane gives 0 in mode LOG2 and the quantizer 0 in all others, so that their outputs are merely joined.
        m.submodules.log2 = log2 = Log2Quantizer(arithmetic.ACCUMULATOR_BITS)
        offset = Signal(signed(6), reset_less=True)
        selected = Signal(reset_less=True)
        code = [Signal(4, name=f"code_{k}", reset_less=True) for k in range(2 + log2.latency, self.latency + 1)]
        m.d.comb += [
            log2.i.value.eq(Mux(selected, lanes[0].biased, 0)),
            log2.i.offset.eq(offset),
            log2.en.eq(self.en),
            self.o[0].eq(lanes[0].o | code[-1]),
        ]
        with m.If(self.en):
            m.d.sync += [offset.eq(self.i.log2_offset), selected.eq(self.i.mode == PostMode.LOG2)]
            m.d.sync += [new.eq(old) for old, new in zip([log2.o, *code[:-1]], code, strict=True)]
        return m
