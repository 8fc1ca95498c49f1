"""R-MAC and MAT in a core, with the LayerNorm behind the R-MAC unit, and the operand registers in front of them."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.hdl.compute.beats import FeatureSource, pair_control
from triovit.hdl.compute.ports import READ_SPACES, OperandsInterface, RowInterface, RowPort, operands, tile_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.mat.engine import MATEngine
from triovit.hdl.rmac.engine import RMACEngine
from triovit.hdl.rmac.operands import RMACMode


def _clamped(word, relu) -> list:
    """int8 values, zero for a negative one if `relu`."""
    return [Mux(relu & value[7], 0, value) for value in word]


class PairPath(wiring.Component):
    """Data path of the R-MAC and MAT units in a core: operand registers, operand multiplexers and the engines.

    Parameters: config.
    Members: see `hdl.compute.engines.Pipeline`. rows: R-MAC unit, MAT unit.
    Latency: a word or window that A or O puts out is an operand one cycle later; weights are operands as they come.
    """

    control: data.View
    operands: OperandsInterface
    rows: list[RowInterface]

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "control": In(pair_control(config.block)),
                "operands": In(operands(config, READ_SPACES)),
                "rows": Out(RowPort(config)).array(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        block = self.config.block
        bits = self.config.accumulator_bits
        m.submodules.rmac = rmac = RMACEngine(block, block, bits)
        m.submodules.layer_norm = norm = LayerNorm(block, self.config.norm_lanes, bits)
        m.submodules.mat = mat = MATEngine(block, block, bits)
        window, features, mat_features = self._registers(m)
        self._rmac_beats(m, rmac, window, features)
        beat = self.control.beat
        bytes_of = data.ArrayLayout(signed(8), block)
        m.d.comb += [
            norm.i.valid.eq(beat.norm_valid),
            norm.i.payload.x.eq(features),
            norm.i.payload.weight.eq(data.View(bytes_of, self.operands.b_word.as_value())),
            norm.i.payload.channels.eq(beat.channels),
            norm.i.payload.epsilon.eq(beat.epsilon),
            norm.i.payload.last.eq(beat.last),
            mat.i.valid.eq(beat.mat_valid),
            mat.i.payload.features.eq(mat_features),
            mat.i.payload.first.eq(beat.mat_first),
            mat.i.payload.last.eq(beat.mat_last),
            *(
                mat.i.payload.weights[lane][column].eq(
                    Mux(beat.stationary[column], self.operands.k[lane][column], self.operands.c[lane][column])
                )
                for lane in range(block)
                for column in range(block)
            ),
        ]
        # The issue control keeps rows of R-MAC and LayerNorm apart.
        m.d.comb += [
            self.rows[0].valid.eq(rmac.o.valid | norm.o.valid),
            self.rows[1].valid.eq(mat.o.valid),
            *(
                self.rows[0].acc[k].eq(Mux(norm.o.valid, norm.o.payload.acc[k], rmac.o.payload.acc[k]))
                for k in range(block)
            ),
            *(self.rows[1].acc[k].eq(mat.o.payload.acc[k]) for k in range(block)),
        ]
        return m

    def _registers(self, m) -> tuple:
        """S5: the window, the R-MAC unit's word, which LayerNorm has too, and the MAT's."""
        control, block, tile = self.control.operands, self.config.block, tile_layout(self.config.block)
        word = data.ArrayLayout(signed(8), block)
        a = data.View(tile, self.operands.a.as_value())
        o = data.View(word, self.operands.o.as_value())
        window = Signal(tile, reset_less=True)
        keys = Signal(tile, reset_less=True)
        features = Signal(word, reset_less=True)
        mat_features = Signal(word, reset_less=True)
        with m.If(control.window):
            m.d.sync += window.eq(a)
        with m.If(control.key):
            m.d.sync += keys.eq(a)
        seen = Signal(word)
        with m.Switch(control.features):
            with m.Case(FeatureSource.KEY):
                m.d.comb += seen.eq(keys[control.token])
            with m.Case(FeatureSource.O):
                m.d.comb += seen.eq(o)
            with m.Default():
                m.d.comb += seen.eq(a[0])
        mat_seen = Signal(word)
        m.d.comb += mat_seen.eq(Mux(control.mat_from_o, o.as_value(), a[0].as_value()))
        with m.If(control.word):
            m.d.sync += [features[k].eq(value) for k, value in enumerate(_clamped(seen, control.relu))]
        with m.If(control.mat_word):
            m.d.sync += [mat_features[k].eq(value) for k, value in enumerate(_clamped(mat_seen, control.mat_relu))]
        return window, features, mat_features

    def _rmac_beats(self, m, rmac, window, features):
        """The R-MAC's operands by mode: `RMACEngine` says where it looks for them."""
        beat, block, p = self.control.beat, self.config.block, rmac.i.payload
        values = window[beat.token]  # of an outer product's token
        depthwise, outer = beat.mode == RMACMode.DEPTHWISE, beat.mode == RMACMode.OUTER
        whole = depthwise | (beat.mode == RMACMode.ROW_SUM)
        word = data.View(data.ArrayLayout(signed(8), block), self.operands.b_word.as_value())
        m.d.comb += [
            rmac.i.valid.eq(beat.rmac_valid),
            *(p[name].eq(beat[name]) for name in ("mode", "first", "last", "rows", "double", "count")),
            *(p[name].eq(beat[name]) for name in ("resumed", "final")),
        ]
        for lane in range(block):
            pixel = _clamped(window[lane], beat.relu)
            for column in range(block):
                feature, weight = pixel[column], self.operands.b[lane][column]
                if lane == 0:
                    feature, weight = Mux(whole, feature, features[column]), Mux(depthwise, word[column], weight)
                if column == 0:
                    weight = Mux(outer, values[lane], weight)
                m.d.comb += [p.features[lane][column].eq(feature), p.weights[lane][column].eq(weight)]
