"""Resources of any configuration, without synthesis.

DSPs, block RAMs and LUTs that serve as memory follow from the structure. Other LUTs and flip-flops are sums of a few
terms, for what exists once and for each core apart; their weights are fitted to `boards.measurements`, so that a
changed machine needs new measurements and no new formula. All of it estimates what Yosys' synthesis gives, before
placement.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from triovit.boards.devices import Family, Resources
from triovit.boards.integrity import integrity_luts
from triovit.boards.measurements import CORE, SHARED, Measurement, count_memory_luts, measurements, resources
from triovit.boards.memories import block_rams, memories, memory_luts, multiplexers
from triovit.hdl.config.accelerator import AcceleratorConfig

ERROR = 0.15  # largest relative error of LUTs and flip-flops; tests/boards/test_estimate.py holds it
PACKED = "ultrascale"  # the technology with two products in a multiplier
OPERAND = 27  # widest operand of a DSP48E2


def core_dsps(config: AcceleratorConfig, family: Family) -> int:
    """DSPs of a core. A product with an operand wider than a DSP's takes several."""
    cells = 2 * config.block**2  # multipliers of R-MAC and MAT
    if family is Family.ECP5:
        # A lane's: psums and residual operand, two each; hardswish; two of the wide product.
        return cells + 7 * config.block + 5 * config.norm_lanes + 6
    arrays = cells // 2 if config.technology == PACKED else cells
    lane = 5 + (config.accumulator_bits > OPERAND)
    return arrays + lane * config.block + 4 * config.norm_lanes + 4  # of the variance


def can_build(config: AcceleratorConfig, family: Family) -> bool:
    """Whether a family has the multipliers of a configuration."""
    return config.technology != PACKED or family is Family.XILINX


def estimate(config: AcceleratorConfig, family: Family) -> Resources:
    """Resources of a legal configuration on the FPGAs of a family.

    Raises ValueError for multipliers that the family does not have.
    """
    core, shared = (estimate_part(config, family, part) for part in (CORE, SHARED))
    return Resources(*(one + config.cores * each for one, each in zip(shared, core, strict=True)))


def estimate_part(config: AcceleratorConfig, family: Family, part: str) -> Resources:
    """The same of a core, or of what exists once."""
    if not can_build(config, family):
        raise ValueError(f"technology must be generic for {family}, not {PACKED}: DSP48E2 are of Xilinx UltraScale+")
    of_part = memories(config, part)
    return Resources(
        lut=round(_weighted(config, family, part, "lut"))
        + sum(memory_luts(memory, family) for memory in of_part)
        + integrity_luts(config, family, part),
        ff=round(_weighted(config, family, part, "ff")),
        dsp=core_dsps(config, family) if part == CORE else 0,
        ram=sum(block_rams(memory, family) for memory in of_part),
    )


# ---- terms ----
def _lut_terms(config: AcceleratorConfig, part: str) -> tuple[float, ...]:
    """What scales with a core, and words between banks and lanes; control and DMA."""
    crossed = multiplexers(config)[part]
    return (0, 0, 0, 0, 1, crossed) if part == SHARED else (*_core_terms(config), 0, crossed)


def _ff_terms(config: AcceleratorConfig, part: str) -> tuple[float, ...]:
    """What scales with a core; control and DMA, beats."""
    return (0, 0, 0, 0, 1, config.bus_bytes) if part == SHARED else (*_core_terms(config), 0, 0)


def _core_terms(config: AcceleratorConfig) -> tuple[float, ...]:
    """Lanes with their post-processing; multipliers; those whose adders and registers are not in a DSP48E2, arrays' and
    post-processing's; lanes of layer norm, whose solver is as large as three."""
    lanes, cells = config.block, config.block**2
    return lanes, cells, (cells + 5 * lanes) * (config.technology != PACKED), config.norm_lanes + 3


TERMS = {"lut": _lut_terms, "ff": _ff_terms}


# ---- weights ----
def _terms(config: AcceleratorConfig, family: Family, part: str, kind: str) -> tuple[float, ...]:
    """Of a family other than Xilinx' one term per part, the cells of Xilinx': it needs a constant factor of them."""
    if family is Family.XILINX:
        return TERMS[kind](config, part)
    cells = _weighted(config, Family.XILINX, part, kind)
    return (cells, 0) if part == CORE else (0, cells)


def _weighted(config: AcceleratorConfig, family: Family, part: str, kind: str) -> float:
    return float(np.dot(_weights(family, kind), _terms(config, family, part, kind)))


@functools.cache
def _weights(family: Family, kind: str) -> np.ndarray:
    """Weights with the least relative errors over the family's measurements, cores and what is shared together."""
    measured = [(one.config, part, cells) for one in measurements(family) for part, cells in one.parts.items()]
    values = np.array([_measured(cells, kind) for _, _, cells in measured], dtype=float)
    rows = np.array([_terms(config, family, part, kind) for config, part, _ in measured], dtype=float)
    return np.linalg.lstsq(rows / values[:, None], np.ones(len(values)), rcond=None)[0]


def _measured(cells: Mapping[str, int], kind: str) -> float:
    """What terms have to tell: LUTs without those that are memory, or flip-flops."""
    return getattr(resources(cells), kind) - (count_memory_luts(cells) if kind == "lut" else 0)


def deviation(measurement: Measurement, family: Family) -> Resources:
    """Estimate over measurement, minus 1, of each resource: of the whole machine, or of a core if that was measured."""
    config = measurement.config
    estimated = estimate(config, family) if measurement.whole else estimate_part(config, family, CORE)
    pairs = zip(estimated, measurement.resources, strict=True)
    return Resources(*(found / measured - 1 if measured else 0 for found, measured in pairs))
