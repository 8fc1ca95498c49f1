"""What each multiplier of an R-MAC array gets, by mode."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.delay_line import delayed
from triovit.hdl.aux.shapes import OPERAND


class RMACMode(enum.Enum, shape=2):
    """Operand pattern of a beat."""

    POINTWISE = 0
    DEPTHWISE = 1
    OUTER = 2
    ROW_SUM = 3


class RMACOperands(wiring.Component):
    """Operand multiplexers, and the delay of features along the cascades.

    | mode | a[l][m] | b[m] |
    |---|---|---|
    | POINTWISE | weights[l][m] | features[0][m] of m cycles ago |
    | DEPTHWISE | features[l][m] | weights[0][m] |
    | OUTER | weights[l][0] | features[0][m] |
    | ROW_SUM | features[l][m], or 0 when l >= count | 1 |

    Parameters
    ----------
    lanes, macs : int

    Members
    -------
    features, weights : In(ArrayLayout(ArrayLayout(signed(8), macs), lanes))
    mode : In(RMACMode), count : In(range(lanes + 1))
    skewed : In(macs)
        Bit m: column m is to have the operands of POINTWISE, whatever `mode` says.
    a : Out(ArrayLayout(ArrayLayout(signed(8), macs), lanes)), b : Out(ArrayLayout(signed(8), macs))

    Latency: 0, but for the delay of features that `b` shows; initiation interval 1. The delay has no reset.

    Numerics: none.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine: broadcast patterns of its modes.
    """

    features: data.View
    weights: data.View
    mode: enum.EnumView
    count: Signal
    skewed: Signal
    a: data.View
    b: data.View

    def __init__(self, lanes: int, macs: int):
        self.lanes, self.macs = lanes, macs
        vector = data.ArrayLayout(OPERAND, macs)
        operands = data.ArrayLayout(vector, lanes)
        super().__init__(
            {
                "features": In(operands),
                "weights": In(operands),
                "mode": In(RMACMode),
                "count": In(range(lanes + 1)),
                "skewed": In(macs),
                "a": Out(operands),
                "b": Out(vector),
            }
        )

    def elaborate(self, platform):
        m = Module()
        outer, row_sum = self.mode == RMACMode.OUTER, self.mode == RMACMode.ROW_SUM
        for lane in range(self.lanes):
            counts = Signal(name=f"counts{lane}")  # the features of the lane do
            m.d.comb += counts.eq(~row_sum | (self.count > lane))
            for j in range(self.macs):
                own = Mux(counts, self.features[lane][j], 0)
                direct = Mux(outer, self.weights[lane][0], own)
                m.d.comb += self.a[lane][j].eq(Mux(self.skewed[j], self.weights[lane][j], direct))
        for j in range(self.macs):
            feature = self.features[0][j]
            direct = Mux(outer, feature, Mux(row_sum, 1, self.weights[0][j]))
            m.d.comb += self.b[j].eq(Mux(self.skewed[j], delayed(m, feature, j, f"feature{j}")[j], direct))
        return m
