"""Distances that the issue control keeps for the engines of the R-MAC unit, from what the engines say of themselves."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Elaboratable

from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.mat.engine import MATEngine
from triovit.hdl.rmac.engine import RMACEngine
from triovit.hdl.rmac.operands import RMACMode


def _only_asked(component: Any) -> Any:
    """The component, of which nobody will build hardware: it and what it is made of say nothing about that."""
    if isinstance(component, Elaboratable):
        component._MustUse__silence = True
        for part in vars(component).values():
            _only_asked(part)
    elif isinstance(component, (list, tuple)):
        for part in component:
            _only_asked(part)
    return component


class EngineTiming:
    """Cycles between steps of the R-MAC unit, and from beats to rows.

    Parameters: config.
    Attributes, all in cycles but the first two:
      beats, windows: most beats, and most full windows of tokens, that the array adds up before its sums are captured.
      x_to_y: from a step of kind x to one of kind y: conv is POINTWISE, alone any mode of self-accumulation, norm
      LayerNorm. Besides what the array asks for, no row overtakes another one: all go into one queue.
      outer_to_capture, row_sum_to_capture: from the last step of a captured group to that of the next one.
      interval, solve: from word to word of LayerNorm, and from the last one of its first pass to its second pass.
      conv_rows, alone_rows, row_sum_rows, norm_rows, mat_rows: from a beat to the first row that it ends.
      longest: of all distances.
    """

    def __init__(self, config: AcceleratorConfig):
        block = config.block
        engines = RMACEngine(block, block), MATEngine(block, block), LayerNorm(block, config.norm_lanes)
        rmac, mat, norm = map(_only_asked, engines)
        self.beats, self.windows = rmac.longest, rmac.longest // block
        self.interval, self.solve = norm.interval, norm.solve_cycles
        self.conv_rows, self.alone_rows = rmac.latency(RMACMode.POINTWISE), rmac.latency(RMACMode.OUTER)
        self.row_sum_rows, self.norm_rows, self.mat_rows = rmac.latency(RMACMode.ROW_SUM), norm.latency, mat.latency
        alone_last = max(self.alone_rows + block - 1, self.row_sum_rows)  # from a beat to the last row

        def apart(last_row: int, next_row: int) -> int:
            return max(1, last_row + 1 - next_row)

        self.alone_to_conv = max(
            apart(alone_last, self.conv_rows), rmac.spacing(RMACMode.DEPTHWISE, RMACMode.POINTWISE, block)
        )
        self.conv_to_alone = max(
            apart(self.conv_rows, self.alone_rows), rmac.spacing(RMACMode.POINTWISE, RMACMode.DEPTHWISE)
        )
        self.conv_to_norm, self.alone_to_norm = apart(self.conv_rows, self.norm_rows), apart(alone_last, self.norm_rows)
        self.norm_to_conv, self.norm_to_alone = (apart(self.norm_rows, x) for x in (self.conv_rows, self.alone_rows))
        # A step's own last beat is as late as that of the step before, or earlier by a window at most.
        resumed = rmac.spacing(RMACMode.OUTER, RMACMode.OUTER, block, resumed=True)
        self.outer_to_capture = resumed + block - 1
        self.row_sum_to_capture = rmac.spacing(RMACMode.ROW_SUM, RMACMode.ROW_SUM, resumed=True)
        distances = (value for name, value in vars(self).items() if "_to_" in name)
        self.longest = max(self.solve, self.interval, *distances)
