"""From issued steps to the beats of the engines: what a core's operand registers and engines are told, and when."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.engine_timing import EngineTiming
from triovit.hdl.compute.issue import MAT_STEP, rmac_step
from triovit.hdl.compute.steps import StepKind
from triovit.hdl.compute.timing import OPERANDS, READ, ROW_LEAD
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.delay_line import delayed
from triovit.hdl.rmac.operands import RMACMode


class FeatureSource(enum.Enum, shape=2):
    """Where the R-MAC unit's word of features comes from."""

    A = 0
    O = 1  # noqa: E741
    KEY = 2


def operand_control(block: int) -> data.StructLayout:
    """What goes into the operand registers of a core, S4.

    window, key: the window of A is kept for its pixels or tokens, or as keys. word, mat_word: the R-MAC unit's, and the
    MAT's, word of features is taken; else its register holds, so that nothing moves in an engine that has no beat.
    features, token: the word of features, and which of the keys it is. relu, mat_relu: negative features become zero.
    mat_from_o: the MAT's word is O's.
    """
    return data.StructLayout(
        {
            "window": 1,
            "key": 1,
            "word": 1,
            "mat_word": 1,
            "features": FeatureSource,
            "token": range(block),
            "relu": 1,
            "mat_from_o": 1,
            "mat_relu": 1,
        }
    )


def beat_control(block: int) -> data.StructLayout:
    """What stands before the engines of a core, S5; see the engines.

    mode: POINTWISE where the R-MAC has no beat. token: whose values an outer product takes from the window. relu: of a
    window's pixels. stationary: for each column of the MAT engine, its weights come from K.
    """
    lanes = range(block + 1)
    return data.StructLayout(
        {
            "rmac_valid": 1,
            "norm_valid": 1,
            "mat_valid": 1,
            "mode": RMACMode,
            "first": 1,
            "last": 1,
            "rows": lanes,
            "double": 1,
            "count": lanes,
            "resumed": 1,
            "final": 1,
            "token": range(block),
            "relu": 1,
            "channels": unsigned(13),
            "epsilon": unsigned(32),
            "mat_first": 1,
            "mat_last": 1,
            "stationary": unsigned(block),
        }
    )


def pair_control(block: int) -> data.StructLayout:
    """Control of the R-MAC and MAT units in a core."""
    return data.StructLayout({"operands": operand_control(block), "beat": beat_control(block)})


class Beats(wiring.Component):
    """Carries the control of issued steps beside their data, lets a window of an outer product go token by token, and
    announces the rows of psums that the beats end.

    Parameters: config.
    Members:
      rmac_step (In, rmac_step), mat_step (In, MAT_STEP): from the issue control.
      control (Out, pair_control): `operands` READ - 1 and `beat` OPERANDS - 1 cycles after the step: a register in
      each core is to follow. A window's further tokens come in the cycles behind it.
      rmac_row, mat_row (Out, 1): in `ROW_LEAD` cycles an engine of the unit shows a row.
    """

    rmac_step: data.View
    mat_step: data.View
    control: data.View
    rmac_row: Signal
    mat_row: Signal

    def __init__(self, config: AcceleratorConfig):
        self.config, self.timing = config, EngineTiming(config)
        super().__init__(
            {
                "rmac_step": In(rmac_step(config.block)),
                "mat_step": In(MAT_STEP),
                "control": Out(pair_control(config.block)),
                "rmac_row": Out(1),
                "mat_row": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._rmac(m)
        self._mat(m)
        self._rows(m)
        return m

    def _arriving(self, m, step, name: str) -> Any:
        """A step as it was READ - 1 cycles ago; only its `valid` is reset."""
        valid = delayed(m, step.valid, READ - 1, f"{name}_valid", reset=True)[-1]
        arriving: Any = Signal(step.shape(), name=name)
        m.d.comb += [arriving.eq(delayed(m, step.as_value(), READ - 1, name)[-1]), arriving.valid.eq(valid)]
        return arriving

    def _rmac(self, m):
        block, operands, beat = self.config.block, self.control.operands, self.control.beat
        arriving = self._arriving(m, self.rmac_step, "rmac")
        window: Any = Signal(arriving.shape(), name="window", reset_less=True)  # whose tokens go
        left = Signal(range(block))
        token = Signal(range(block), reset_less=True)
        walks = Signal()
        now: Any = Signal(arriving.shape(), name="now")
        m.d.comb += [walks.eq(left != 0), now.eq(Mux(walks, window, arriving))]
        outer = now.kind == StepKind.OUTER
        starts = arriving.valid & ~arriving.key
        with m.If(starts):
            m.d.sync += [window.eq(arriving), token.eq(1), left.eq(Mux(outer, arriving.count - 1, 0))]
        with m.Elif(walks):
            m.d.sync += [token.eq(token + 1), left.eq(left - 1)]
        valid = starts | walks
        alone = (now.kind != StepKind.CONV) & (now.kind != StepKind.LAYER_NORM)
        m.d.comb += [
            operands.window.eq(starts & alone),
            operands.key.eq(arriving.valid & arriving.key),
            operands.word.eq(valid & (outer | ~alone)),
            operands.features.eq(Mux(outer, FeatureSource.KEY, Mux(now.source, FeatureSource.O, FeatureSource.A))),
            operands.token.eq(Mux(walks, token, 0)),
            operands.relu.eq(now.relu),
        ]
        last_token = ~outer | Mux(walks, left == 1, arriving.count == 1)
        norm = now.kind == StepKind.LAYER_NORM
        mode = Signal(RMACMode)
        with m.Switch(now.kind):
            with m.Case(StepKind.DEPTHWISE):
                m.d.comb += mode.eq(RMACMode.DEPTHWISE)
            with m.Case(StepKind.OUTER):
                m.d.comb += mode.eq(RMACMode.OUTER)
            with m.Case(StepKind.ROW_SUM):
                m.d.comb += mode.eq(RMACMode.ROW_SUM)
            with m.Default():
                m.d.comb += mode.eq(RMACMode.POINTWISE)
        m.d.sync += [beat.rmac_valid.eq(valid & ~norm), beat.norm_valid.eq(valid & norm)]
        for name, value in {
            "mode": Mux(valid, mode, RMACMode.POINTWISE),
            "first": now.first & ~walks,
            "last": now.capture & last_token,
            "rows": Mux(outer, block, now.count),
            "token": operands.token,
            **{name: now[name] for name in ("double", "count", "resumed", "final", "relu", "channels", "epsilon")},
        }.items():
            register = Signal.like(beat[name], name=f"beat_{name}", reset_less=True)
            m.d.sync += register.eq(value)
            m.d.comb += beat[name].eq(register)

    def _mat(self, m):
        block, operands, beat = self.config.block, self.control.operands, self.control.beat
        arriving = self._arriving(m, self.mat_step, "mat")
        m.d.comb += [
            operands.mat_word.eq(arriving.valid),
            operands.mat_from_o.eq(arriving.source),
            operands.mat_relu.eq(arriving.relu),
        ]
        m.d.sync += beat.mat_valid.eq(arriving.valid)
        for name in ("first", "last"):
            register = Signal(name=f"beat_mat_{name}", reset_less=True)
            m.d.sync += register.eq(arriving[name])
            m.d.comb += beat[f"mat_{name}"].eq(register)
        # Column m of the weights belongs to the beat m cycles earlier.
        m.d.comb += beat.stationary.eq(Cat(delayed(m, arriving.stationary, block, "stationary")[1:]))

    def _rows(self, m):
        """Rows are announced so much before an engine shows them, which is its latency and a core's register behind the
        beats here."""
        timing, beat, block = self.timing, self.control.beat, self.config.block
        ends = beat.rmac_valid & beat.last
        leaving = Signal(range(block + 1))
        delays = {
            "conv": (ends & (beat.mode == RMACMode.POINTWISE), timing.conv_rows),
            "row_sum": (ends & beat.final & (beat.mode == RMACMode.ROW_SUM), timing.row_sum_rows),
            # A row for each word of the second pass.
            "norm": (beat.norm_valid & beat.final, timing.norm_rows),
        }
        single = [delayed(m, event, _ahead(latency), name, reset=True)[-1] for name, (event, latency) in delays.items()]
        several = ends & beat.final & ((beat.mode == RMACMode.DEPTHWISE) | (beat.mode == RMACMode.OUTER))
        ahead = _ahead(timing.alone_rows) - 1
        captured = delayed(m, several, ahead, "captured", reset=True)[-1]
        rows = delayed(m, beat.rows, ahead, "captured_rows")[-1]
        with m.If(captured):
            m.d.sync += leaving.eq(rows)
        with m.Elif(leaving != 0):
            m.d.sync += leaving.eq(leaving - 1)
        m.d.comb += [
            self.rmac_row.eq(Cat(*single).any() | (leaving != 0)),
            self.mat_row.eq(
                delayed(m, beat.mat_valid & beat.mat_last, _ahead(timing.mat_rows), "mat_row", reset=True)[-1]
            ),
        ]


def _ahead(latency: int) -> int:
    """Cycles from a beat in `Beats.control` to the announcement of the row that an engine shows `latency` cycles after
    it had that beat; at least one more than that could be, as announcements come from registers."""
    return max(1, 1 + latency - ROW_LEAD)


assert OPERANDS == READ + 1  # a register of beats behind the one of operands
