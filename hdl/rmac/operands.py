"""What each multiplier of an R-MAC array gets, by mode."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.delay_line import delayed
from triovit.hdl.shapes import OPERAND


class RMACMode(enum.Enum, shape=2):
    """Operand pattern of a beat."""

    POINTWISE = 0
    DEPTHWISE = 1
    OUTER = 2
    ROW_SUM = 3


class RMACOperands(wiring.Component):
    """Operand multiplexers, and the delay of features along the cascades.

    | mode | a[l][m] | b[m] | skewed | outer | own | one |
    |---|---|---|---|---|---|---|
    | POINTWISE | weights[l][m] | features[0][m] of m cycles ago | 1 | | | |
    | DEPTHWISE | features[l][m] | weights[0][m] | 0 | 0 | 1 | 0 |
    | OUTER | weights[l][0] | features[0][m] | 0 | 1 | | |
    | ROW_SUM | features[l][m], or 0 when l >= count | 1 | 0 | 0 | l < count | 1 |

    The controls are what one LUT with six inputs for each bit of `a` and `b` has room for.

    Parameters
    ----------
    lanes, macs : int

    Members
    -------
    features, weights : In(ArrayLayout(ArrayLayout(signed(8), macs), lanes))
    skewed : In(macs)
        Bit m: column m has the operands of POINTWISE.
    outer : In(1), own : In(lanes), one : In(1)
        See the table; bit l of `own` is for lane l.
    a : Out(ArrayLayout(ArrayLayout(signed(8), macs), lanes)), b : Out(ArrayLayout(signed(8), macs))

    Latency: 0, but for the delay of features that `b` shows; initiation interval 1. The delay has no reset.

    Numerics: none.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine: broadcast patterns of its modes.
    """

    features: data.View
    weights: data.View
    skewed: Signal
    outer: Signal
    own: Signal
    one: Signal
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
                "skewed": In(macs),
                "outer": In(1),
                "own": In(lanes),
                "one": In(1),
                "a": Out(operands),
                "b": Out(vector),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for lane in range(self.lanes):
            for j in range(self.macs):
                own = Mux(self.own[lane], self.features[lane][j], 0)
                direct = Mux(self.outer, self.weights[lane][0], own)
                m.d.comb += self.a[lane][j].eq(Mux(self.skewed[j], self.weights[lane][j], direct))
        for j in range(self.macs):
            feature = self.features[0][j]
            direct = Mux(self.outer, feature, Mux(self.one, 1, self.weights[0][j]))
            m.d.comb += self.b[j].eq(Mux(self.skewed[j], delayed(m, feature, j, f"feature{j}")[j], direct))
        return m
