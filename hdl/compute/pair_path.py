"""R-MAC and MAT in a core, with the engines behind the R-MAC unit: adder tree for row sums and layer norm."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.layer_norm_stream import LayerNormStream
from triovit.hdl.aux.row_sum import RowSum
from triovit.hdl.compute.operands import READY, operand_control
from triovit.hdl.compute.ports import READ_SPACES, OperandsInterface, operands, row_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.mat.stalling import MATEngine
from triovit.hdl.rmac.stalling import RMACEngine


def _clamped(view, relu, block: int) -> list:
    """Rows of int8 values, zero for a negative one if `relu`."""
    return [[Mux(relu & view[i][j][7], 0, view[i][j]) for j in range(block)] for i in range(block)]


def _assign(target, source, block: int) -> list:
    return [target[i][j].eq(source[i][j]) for i in range(block) for j in range(block)]


class PairPath(wiring.Component):
    """Data path of the R-MAC and MAT units in a core: S1 to S2, and the engines.

    Parameters: config.
    Members: see `hdl.compute.engines.Pipeline`. rows: R-MAC, row sum, layer norm, MAT.
    Latency: a buffer's output stands before its engine one cycle later.
    """

    control: data.View
    status: data.View
    operands: OperandsInterface
    rows: list[stream.Interface]

    def __init__(self, config: AcceleratorConfig):
        self.config, block = config, config.block
        self._tile = data.ArrayLayout(data.ArrayLayout(signed(8), block), block)  # [pixel, token or lane][channel]
        super().__init__(
            {
                "control": In(operand_control(config)),
                "status": Out(READY),
                "operands": In(operands(config, READ_SPACES)),
                "rows": Out(stream.Signature(row_layout(block))).array(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control, status, block = self.control, self.status, self.config.block
        m.submodules.rmac = rmac = RMACEngine(block, block)
        m.submodules.row_sum = row_sum = RowSum(block, block)
        m.submodules.layer_norm = layer_norm = LayerNormStream(block, self.config.norm_lanes)
        m.submodules.mat = mat = MATEngine(block, block)

        features, weights, joint_features = self._rmac_operands(m)
        m.d.comb += [
            rmac.i.valid.eq(control.rmac_valid),
            rmac.i.payload.features.eq(features),
            rmac.i.payload.weights.eq(weights),
            rmac.i.payload.mode.eq(control.mode),
            rmac.i.payload.first.eq(control.first),
            rmac.i.payload.last.eq(control.last),
            rmac.i.payload.rows.eq(control.rows),
            status.rmac.eq(rmac.i.ready),
            row_sum.i.valid.eq(control.row_sum_valid),
            row_sum.i.payload.window.eq(features),
            row_sum.i.payload.count.eq(control.count),
            row_sum.i.payload.first.eq(control.first),
            row_sum.i.payload.last.eq(control.last),
            status.row_sum.eq(row_sum.i.ready),
            layer_norm.i.valid.eq(control.layer_norm_valid),
            layer_norm.i.payload.x.eq(features[0]),
            layer_norm.i.payload.weight.eq(weights[0]),
            layer_norm.i.payload.channels.eq(control.channels),
            layer_norm.i.payload.epsilon.eq(control.epsilon),
            layer_norm.i.payload.last.eq(control.last),
            status.layer_norm.eq(layer_norm.i.ready),
        ]
        features, weights = self._mat_operands(m, joint_features)
        m.d.comb += [
            mat.i.valid.eq(control.mat_valid),
            mat.i.payload.features.eq(features),
            mat.i.payload.weights.eq(weights),
            mat.i.payload.first.eq(control.mat_first),
            mat.i.payload.last.eq(control.mat_last),
            status.mat.eq(mat.i.ready),
        ]
        # Of a row sum, a layer norm and the MAT every row is an accumulation of its own.
        lasts = (rmac.o.payload.last, 1, 1, 1)
        for row, engine, last in zip(self.rows, (rmac, row_sum, layer_norm, mat), lasts, strict=True):
            m.d.comb += [
                row.valid.eq(engine.o.valid),
                row.payload.acc.eq(engine.o.payload.acc),
                row.payload.last.eq(last),
                engine.o.ready.eq(row.ready),
            ]
        return m

    def _o_word(self, m, hold, held):
        """O's word, kept while it waits: O's read port goes on to somebody else."""
        kept = Signal(8 * self.config.block, reset_less=True)
        with m.If(hold & ~held):
            m.d.sync += kept.eq(self.operands.o)
        return Mux(held, kept, self.operands.o.as_value())

    def _rmac_operands(self, m):
        """Features and weights in S2 of the R-MAC side, and the features of a joint step's pixel in S1."""
        control, block, tile = self.control, self.config.block, self._tile
        window = data.View(tile, self.operands.a.as_value())
        o_word = self._o_word(m, control.rmac_hold, control.rmac_held)
        key = Signal(tile, reset_less=True)
        features = Signal(tile, reset_less=True)
        weights = Signal(tile, reset_less=True)
        seen = Signal(tile)  # what S1 holds
        relu_seen = Signal(tile)
        m.d.comb += seen.eq(window)
        with m.If(control.rmac_from_o):
            m.d.comb += seen[0].as_value().eq(o_word)
        m.d.comb += _assign(relu_seen, _clamped(seen, control.rmac_relu, block), block)
        with m.If(control.key_capture):
            m.d.sync += key.eq(relu_seen)
        with m.If(control.rmac_load):
            with m.If(control.rmac_outer):
                # features[0] is the current token's k; byte 0 of lane l is its v_l.
                m.d.sync += features.eq(key)
                m.d.sync += _assign(weights, [[window[j][i] for j in range(block)] for i in range(block)], block)
            with m.Else():
                m.d.sync += [features.eq(relu_seen), weights.eq(data.View(tile, self.operands.b.as_value()))]
        with m.Elif(control.rmac_shift):
            for i in range(block):
                if i + 1 < block:
                    m.d.sync += features[i].eq(features[i + 1])
                m.d.sync += [weights[i][j].eq(weights[i][j + 1]) for j in range(block - 1)]
        return features, weights, relu_seen[0]

    def _mat_operands(self, m, joint_features):
        """Features and weights in S2 of the MAT side."""
        control, block = self.control, self.config.block
        vector = data.ArrayLayout(signed(8), block)
        o_word = self._o_word(m, control.mat_hold, control.mat_held)
        features = Signal(vector, reset_less=True)
        weights = Signal(self._tile, reset_less=True)
        own = Signal(vector)
        m.d.comb += own.eq(data.View(self._tile, self.operands.a.as_value())[0])
        with m.If(control.mat_from_o):
            m.d.comb += own.as_value().eq(o_word)
        with m.If(control.mat_load):
            with m.If(control.mat_joint):
                m.d.sync += features.eq(joint_features)
            with m.Else():
                m.d.sync += [features[j].eq(Mux(control.mat_relu & own[j][7], 0, own[j])) for j in range(block)]
            stationary = control.mat_stationary & ~control.mat_joint
            m.d.sync += weights.eq(Mux(stationary, self.operands.k.as_value(), self.operands.c.as_value()))
        return features, weights
