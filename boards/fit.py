"""Does a board's FPGA hold a configuration?"""

from __future__ import annotations

from typing import NamedTuple

from triovit.boards.devices import RESOURCE_NAMES, Board
from triovit.boards.estimate import estimate
from triovit.hdl.config.accelerator import AcceleratorConfig

TIGHT = 0.8  # share of a resource from which on placement and routing are hard


class Fit(NamedTuple):
    """The resource that a configuration takes most of, and its share of what the FPGA has; None: it has none."""

    scarcest: str
    share: float | None

    @property
    def fits(self) -> bool:
        return self.share is not None and self.share <= 1

    @property
    def verdict(self) -> str:
        """yes, tight or no."""
        if self.share is None or self.share > 1:
            return "no"
        return "tight" if self.share > TIGHT else "yes"

    @property
    def text(self) -> str:
        """'LUT 83 %', or 'no DSP48E2' where there is none."""
        return f"no {self.scarcest}" if self.share is None else f"{self.scarcest} {100 * self.share:.0f} %"


def fit(config: AcceleratorConfig, board: Board) -> Fit:
    """Whether a configuration fits, by the estimate of its resources; the rest of a design is not counted."""
    if config.technology not in board.technologies:
        return Fit("DSP48E2", None)
    needs = estimate(config, board.family)
    shares = [need / has for need, has in zip(needs, board.has, strict=True)]
    return Fit(RESOURCE_NAMES[shares.index(max(shares))], max(shares))
