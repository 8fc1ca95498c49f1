"""Resources of any configuration, without synthesis.

DSPs and block RAMs follow from the structure. LUTs and flip-flops are sums of a few terms, for what exists once and for
each core apart; their weights are fitted to `boards.measurements`, so that a changed machine needs new measurements and
no new formula. All of it estimates what Yosys' synthesis gives, before placement.
"""

from __future__ import annotations

import functools

import numpy as np

from triovit.boards.devices import Family, Resources
from triovit.boards.measurements import Measurement, measurements
from triovit.boards.memories import all_block_rams, multiplexers
from triovit.hdl.config.accelerator import AcceleratorConfig

ERROR = 0.15  # largest relative error of LUTs and flip-flops; tests/boards/test_estimate.py holds it


def core_dsps(block: int, family: Family) -> int:
    """DSPs of a core. A product with an operand wider than a DSP's takes several."""
    engines = 2 * block * block  # R-MAC and MAT: a DSP for each multiplier
    post_processing = 6 * block  # two products of 32 x 16, one of 8 x 16, one of 16 x 16
    layer_norm = {Family.XILINX: 4 * block + 4, Family.ECP5: 5 * block + 6}[family]  # of each lane; of the variance
    return engines + post_processing + layer_norm


def estimate(config: AcceleratorConfig, family: Family) -> Resources:
    """Resources of a legal configuration on the FPGAs of a family."""
    lut, ff = (
        _weighted(config, family, "shared", kind) + config.cores * _weighted(config, family, "core", kind)
        for kind in TERMS
    )
    dsp = config.cores * core_dsps(config.block, family)
    return Resources(round(lut), round(ff), dsp, all_block_rams(config, family))


# ---- terms ----
def _lut_terms(config: AcceleratorConfig, part: str) -> tuple[float, ...]:
    """Lanes with their post-processing, cells of the arrays; control and DMA; words between banks and lanes."""
    crossed = multiplexers(config)[part]
    return (0, 0, 1, crossed) if part == "shared" else (config.block, config.block**2, 0, crossed)


def _ff_terms(config: AcceleratorConfig, part: str) -> tuple[float, ...]:
    """Lanes, cells; control and DMA, beats."""
    return (0, 0, 1, config.data_bytes) if part == "shared" else (config.block, config.block**2, 0, 0)


PARTS = ("core", "shared")
TERMS = {"lut": _lut_terms, "ff": _ff_terms}


# ---- weights ----
def _terms(config: AcceleratorConfig, family: Family, part: str, kind: str) -> tuple[float, ...]:
    """Of a family other than Xilinx' one term per part, the cells of Xilinx': it needs a constant factor of them."""
    if family is Family.XILINX:
        return TERMS[kind](config, part)
    cells = _weighted(config, Family.XILINX, part, kind)
    return (cells, 0) if part == "core" else (0, cells)


def _weighted(config: AcceleratorConfig, family: Family, part: str, kind: str) -> float:
    return float(np.dot(_weights(family, kind), _terms(config, family, part, kind)))


@functools.cache
def _weights(family: Family, kind: str) -> np.ndarray:
    """Weights with the least relative errors over the family's measurements, cores and what is shared together."""
    pairs = [(measured, part) for measured in measurements(family) for part in PARTS]
    values = np.array([getattr(getattr(measured, part), kind) for measured, part in pairs], dtype=float)
    rows = np.array([_terms(measured.config, family, part, kind) for measured, part in pairs], dtype=float)
    return np.linalg.lstsq(rows / values[:, None], np.ones(len(values)), rcond=None)[0]


def deviation(measurement: Measurement, family: Family) -> Resources:
    """Estimate over measurement, minus 1, of each resource."""
    pairs = zip(estimate(measurement.config, family), measurement.whole, strict=True)
    return Resources(*(estimated / measured - 1 if measured else 0 for estimated, measured in pairs))
