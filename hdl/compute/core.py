"""One core: its buffers, both MAC engines, the auxiliary engines and the post-processing pipeline.

A core decides nothing: all control comes from `OperandControl` and `ResultControl`, which drive every core alike.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.aux.row_sum import RowSum
from triovit.hdl.compute.operands import operand_control, read_control
from triovit.hdl.compute.results import RESULT_CONTROL, RowSource
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.names import Destination
from triovit.hdl.mat.engine import MATEngine
from triovit.hdl.memory.banked import BankedMemory
from triovit.hdl.memory.ram import Ram
from triovit.hdl.rmac.engine import RMACEngine


def words(config: AcceleratorConfig, count: int) -> data.ArrayLayout:
    """Layout of `count` words of a configuration."""
    return data.ArrayLayout(unsigned(8 * config.block), count)


class Core(wiring.Component):
    """Data path of a core.

    Parameters: config.
    Members:
      reads, operands, results (In): control, the same for every core. b_data, c_data (In, block words), p_data (In, 16
      words): outputs of the shared buffers. load_a, load_o (In, 1), load_address, load_data, load_mask (In): a LOAD's
      write, given only
      in cycles without a result for the same buffer.
      rmac_ready, row_sum_ready, layer_norm_ready, mat_ready (Out, 1): engines take the beat in S2.
      rmac_row, rmac_last, row_sum_row, layer_norm_row, mat_row (Out, 1): engines offer a row of psums.
      o_data (Out, beat words): buffer O's output, for STORE.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        block = config.block
        super().__init__(
            {
                "reads": In(read_control(config)),
                "operands": In(operand_control(config)),
                "results": In(RESULT_CONTROL),
                "b_data": In(words(config, block)),
                "c_data": In(words(config, block)),
                "p_data": In(words(config, 16)),
                "load_a": In(1),
                "load_o": In(1),
                "load_address": In(20),
                "load_data": In(words(config, config.beat_words)),
                "load_mask": In(config.beat_words),
                "rmac_ready": Out(1),
                "row_sum_ready": Out(1),
                "layer_norm_ready": Out(1),
                "mat_ready": Out(1),
                "rmac_row": Out(1),
                "rmac_last": Out(1),
                "row_sum_row": Out(1),
                "layer_norm_row": Out(1),
                "mat_row": Out(1),
                "o_data": Out(words(config, config.beat_words)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, block, beat = self.config, self.config.block, self.config.beat_words
        m.submodules.a = a = BankedMemory(config.feature_words, 2 * block, 8 * block, beat, block, strides=(1, 2))
        m.submodules.o = o = BankedMemory(config.output_words, max(beat, 2), 8 * block, beat, beat)
        m.submodules.k = k = BankedMemory(config.attention_words, block, 8 * block, 1, block)
        m.submodules.codes = codes = Ram(4, config.divisors)
        m.submodules.rmac = rmac = RMACEngine(block, block)
        m.submodules.mat = mat = MATEngine(block, block)
        m.submodules.row_sum = row_sum = RowSum(block, block)
        m.submodules.layer_norm = layer_norm = LayerNorm(block)
        m.submodules.post = post = PostProcessing(block)

        m.d.comb += [
            a.read_en.eq(self.reads.a_en),
            a.read_address.eq(self.reads.a_address),
            a.read_double.eq(self.reads.a_double),
            o.read_en.eq(self.reads.o_en),
            o.read_address.eq(self.reads.o_address),
            self.o_data.eq(o.read_data),
            k.read_en.eq(self.reads.k_en),
            k.read_address.eq(self.reads.k_address),
        ]
        self._build_operands(m, a.read_data, o.read_data[0], k.read_data, rmac, mat, row_sum, layer_norm)
        self._build_results(m, rmac, mat, row_sum, layer_norm, post, o, codes)
        self._build_writes(m, post.o, a, o, k, codes)
        return m

    def _build_operands(self, m, window, o_word, k_data, rmac, mat, row_sum, layer_norm):
        """S1 to S2: choose, clamp and arrange what the buffers put out, and hold it in front of the engines."""
        ctl, block = self.operands, self.config.block
        tile = data.ArrayLayout(data.ArrayLayout(signed(8), block), block)  # [pixel or token or lane][channel]

        def clamped(view, relu):
            return [[Mux(relu & view[i][j][7], 0, view[i][j]) for j in range(block)] for i in range(block)]

        def assign(target, source, clock):
            clock += [target[i][j].eq(source[i][j]) for i in range(block) for j in range(block)]

        window_view = data.View(tile, window.as_value())
        rmac_hold, mat_hold = Signal(8 * block, reset_less=True), Signal(8 * block, reset_less=True)
        for hold, enable in ((rmac_hold, ctl.rmac_hold & ~ctl.rmac_held), (mat_hold, ctl.mat_hold & ~ctl.mat_held)):
            with m.If(enable):
                m.d.sync += hold.eq(o_word)

        key = Signal(tile, reset_less=True)
        features, weights = Signal(tile, reset_less=True), Signal(tile, reset_less=True)
        seen = Signal(tile)  # what the R-MAC side's S1 holds
        m.d.comb += seen.eq(window)
        with m.If(ctl.rmac_from_o):
            m.d.comb += seen[0].as_value().eq(Mux(ctl.rmac_held, rmac_hold, o_word))
        relu_seen = Signal(tile)
        assign(relu_seen, clamped(seen, ctl.rmac_relu), m.d.comb)
        with m.If(ctl.key_capture):
            m.d.sync += key.eq(relu_seen)
        b_tile = data.View(tile, self.b_data.as_value())
        with m.If(ctl.rmac_load):
            with m.If(ctl.rmac_outer):
                # features[0] is the current token's k; byte 0 of lane l is its v_l.
                m.d.sync += features.eq(key)
                assign(
                    weights, [[window_view[token][lane] for token in range(block)] for lane in range(block)], m.d.sync
                )
            with m.Else():
                m.d.sync += [features.eq(relu_seen), weights.eq(b_tile)]
        with m.Elif(ctl.rmac_shift):
            for i in range(block):
                if i + 1 < block:
                    m.d.sync += features[i].eq(features[i + 1])
                m.d.sync += [weights[i][j].eq(weights[i][j + 1]) for j in range(block - 1)]

        vector = data.ArrayLayout(signed(8), block)
        mat_features, mat_weights = Signal(vector, reset_less=True), Signal(tile, reset_less=True)
        own = Signal(vector)
        m.d.comb += own.eq(window_view[0])
        with m.If(ctl.mat_from_o):
            m.d.comb += own.as_value().eq(Mux(ctl.mat_held, mat_hold, o_word))
        with m.If(ctl.mat_load):
            with m.If(ctl.mat_joint):
                m.d.sync += mat_features.eq(relu_seen[0])
            with m.Else():
                m.d.sync += [mat_features[j].eq(Mux(ctl.mat_relu & own[j][7], 0, own[j])) for j in range(block)]
            stationary = ctl.mat_stationary & ~ctl.mat_joint
            m.d.sync += mat_weights.eq(Mux(stationary, k_data.as_value(), self.c_data.as_value()))

        m.d.comb += [
            rmac.i.valid.eq(ctl.rmac_valid),
            rmac.i.payload.features.eq(features),
            rmac.i.payload.weights.eq(weights),
            rmac.i.payload.mode.eq(ctl.mode),
            rmac.i.payload.first.eq(ctl.first),
            rmac.i.payload.last.eq(ctl.last),
            rmac.i.payload.rows.eq(ctl.rows),
            self.rmac_ready.eq(rmac.i.ready),
            row_sum.i.valid.eq(ctl.row_sum_valid),
            row_sum.i.payload.window.eq(features),
            row_sum.i.payload.count.eq(ctl.count),
            row_sum.i.payload.first.eq(ctl.first),
            row_sum.i.payload.last.eq(ctl.last),
            self.row_sum_ready.eq(row_sum.i.ready),
            layer_norm.i.valid.eq(ctl.layer_norm_valid),
            layer_norm.i.payload.x.eq(features[0]),
            layer_norm.i.payload.weight.eq(weights[0]),
            layer_norm.i.payload.channels.eq(ctl.channels),
            layer_norm.i.payload.epsilon.eq(ctl.epsilon),
            layer_norm.i.payload.last.eq(ctl.last),
            self.layer_norm_ready.eq(layer_norm.i.ready),
            mat.i.valid.eq(ctl.mat_valid),
            mat.i.payload.features.eq(mat_features),
            mat.i.payload.weights.eq(mat_weights),
            mat.i.payload.first.eq(ctl.mat_first),
            mat.i.payload.last.eq(ctl.mat_last),
            self.mat_ready.eq(mat.i.ready),
        ]

    def _build_results(self, m, rmac, mat, row_sum, layer_norm, post, o, codes):
        """A row of psums, chosen in T0, meets its records, residual operand and divisor code in T1."""
        ctl, block = self.results, self.config.block
        m.d.comb += [
            rmac.o.ready.eq(ctl.rmac_ready),
            mat.o.ready.eq(ctl.mat_ready),
            row_sum.o.ready.eq(ctl.row_sum_ready),
            layer_norm.o.ready.eq(ctl.layer_norm_ready),
            self.rmac_row.eq(rmac.o.valid),
            self.rmac_last.eq(rmac.o.payload.last),
            self.mat_row.eq(mat.o.valid),
            self.row_sum_row.eq(row_sum.o.valid),
            self.layer_norm_row.eq(layer_norm.o.valid),
            codes.read_en.eq(ctl.code_en),
            codes.read_address.eq(ctl.code_address),
        ]
        row = Signal(data.ArrayLayout(signed(32), block), reset_less=True)
        with m.If(ctl.take):
            with m.Switch(ctl.source):
                for source, engine in (
                    (RowSource.RMAC, rmac),
                    (RowSource.ROW_SUM, row_sum),
                    (RowSource.LAYER_NORM, layer_norm),
                    (RowSource.MAT, mat),
                ):
                    with m.Case(source):
                        m.d.sync += row.eq(engine.o.payload.acc)
        records = data.View(data.ArrayLayout(RECORD_LAYOUT, block), self.p_data.as_value())
        m.d.comb += [
            post.en.eq(1),
            post.i.acc.eq(row),
            post.i.parameters.eq(records),
            post.i.residual.eq(o.read_data[0]),
            post.i.code.eq(codes.read_data),
            post.i.mode.eq(ctl.mode),
            post.i.fraction_bits.eq(ctl.fraction_bits),
            post.i.use_residual.eq(ctl.use_residual),
            post.i.log2_offset.eq(ctl.log2_offset),
            post.i.high_byte.eq(ctl.high_byte),
        ]

    def _build_writes(self, m, result, a, o, k, codes):
        """Write ports: a result first, else a LOAD (the accelerator offers one only where no result is)."""
        ctl = self.results
        for memory, destination, load in ((a, Destination.A, self.load_a), (o, Destination.O, self.load_o)):
            write = ctl.write[int(destination).bit_length() - 1]
            m.d.comb += [
                memory.write_en.eq(write | load),
                memory.write_address.eq(Mux(write, ctl.out, self.load_address)),
                memory.write_data.eq(self.load_data),
                memory.write_mask.eq(Mux(write, 1, self.load_mask)),
            ]
            with m.If(write):
                m.d.comb += memory.write_data[0].eq(result)
        m.d.comb += [
            k.write_en.eq(ctl.write[int(Destination.K).bit_length() - 1]),
            k.write_address.eq(ctl.attention),
            k.write_data[0].eq(result),
            k.write_mask.eq(1),
            codes.write_en.eq(ctl.write[int(Destination.DIVISOR).bit_length() - 1]),
            codes.write_address.eq(ctl.pixel),
            codes.write_data.eq(result[0]),
        ]
