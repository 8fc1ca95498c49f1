"""Resources of any configuration, without synthesis.

DSPs and block RAMs follow from the structure. LUTs and flip-flops are sums of a few terms, for what exists once and for
each core apart; their weights are fitted to `boards.measurements`, so that a changed machine needs new measurements and
no new formula. All of it estimates what Yosys' synthesis gives, before placement.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from triovit.boards.devices import Family, Resources
from triovit.boards.measurements import Measurement, measurements
from triovit.boards.memories import all_block_rams, multiplexers
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import SHARED, buffers

ERROR = 0.15  # largest relative error of LUTs and flip-flops; tests/boards/test_estimate.py holds it
SHORT_QUEUE = 32  # instructions that one word of distributed memory per bit holds


def core_dsps(block: int, family: Family) -> int:
    """DSPs of a core. A product with an operand wider than a DSP's takes several."""
    engines = 2 * block * block  # R-MAC and MAT: a DSP for each multiplier
    post_processing = 6 * block  # two products of 32 x 16, one of 8 x 16, one of 16 x 16
    layer_norm = {Family.XILINX: 4 * block + 4, Family.ECP5: 4 * block + 10}[family]  # of each lane; of the variance
    return engines + post_processing + layer_norm


def estimate(config: AcceleratorConfig, family: Family) -> Resources:
    """Resources of a legal configuration on the FPGAs of a family."""
    lut, ff = (_shared(config, family, kind) + config.cores * _core(config, family, kind) for kind in ("lut", "ff"))
    dsp = config.cores * core_dsps(config.block, family)
    return Resources(round(lut), round(ff), dsp, all_block_rams(config, family))


# ---- terms ----
def _multiplexers(config: AcceleratorConfig, shared: bool) -> int:
    return sum(multiplexers(shape) for space, shape in buffers(config).items() if (space in SHARED) == shared)


Terms = Callable[[AcceleratorConfig], tuple[float, ...]]
CORE_TERMS: dict[str, Terms] = {
    # Lanes with post-processing; cells of the arrays; words between banks and lanes.
    "lut": lambda c: (c.block, c.block**2, _multiplexers(c, shared=False)),
    "ff": lambda c: (c.block, c.block**2),
}
SHARED_TERMS: dict[str, Terms] = {
    # Control and DMA; words between banks and lanes of B, C and P; memory of deep queues.
    "lut": lambda c: (1, _multiplexers(c, shared=True), c.queue_depth > SHORT_QUEUE),
    "ff": lambda c: (1, c.data_bytes),
}


def _core(config: AcceleratorConfig, family: Family, kind: str) -> float:
    return _weighted(config, family, "core", kind)


def _shared(config: AcceleratorConfig, family: Family, kind: str) -> float:
    return _weighted(config, family, "shared", kind)


# ---- weights ----
def _weighted(config: AcceleratorConfig, family: Family, part: str, kind: str) -> float:
    """Terms times weights. A family other than Xilinx' is taken to need a constant factor of its cells."""
    if family is Family.XILINX:
        terms = (CORE_TERMS if part == "core" else SHARED_TERMS)[kind](config)
    else:
        terms = (_weighted(config, Family.XILINX, part, kind),)
    return float(np.dot(_weights(family, part, kind), terms))


@functools.cache
def _weights(family: Family, part: str, kind: str) -> np.ndarray:
    """Weights with the least relative errors over the family's measurements."""
    measured = measurements(family)
    values = np.array([getattr(getattr(m, part), kind) for m in measured], dtype=float)
    if family is Family.XILINX:
        rows = [(CORE_TERMS if part == "core" else SHARED_TERMS)[kind](m.config) for m in measured]
    else:
        rows = [(_weighted(m.config, Family.XILINX, part, kind),) for m in measured]
    return np.linalg.lstsq(np.array(rows, dtype=float) / values[:, None], np.ones(len(values)), rcond=None)[0]


def deviation(measurement: Measurement, family: Family) -> Resources:
    """Estimate over measurement, minus 1, of each resource."""
    pairs = zip(estimate(measurement.config, family), measurement.whole, strict=True)
    return Resources(*(estimated / measured - 1 if measured else 0 for estimated, measured in pairs))
