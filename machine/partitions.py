"""The memory of a machine: a partition for each AXI port, all laid out alike.

Port i sees the partition that begins i times the register PORT_STRIDE behind the memory base. In it are the feature
maps of the port's own cores, and a stripe of everything that is loaded for all cores: of consecutive beats of such a
run, beat i is in partition i mod ports. With one port the memory is the partition, and nothing is striped.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Buffer, Unit

Place = TypeVar("Place", int, np.ndarray)


def is_striped(i: Instruction) -> bool:
    """Whether the offsets of a LOAD or STORE count through the stripes of all partitions, not in each of them."""
    return i.unit == Unit.LOAD and i.buffer not in (Buffer.A, Buffer.O)


class Stripes:
    """Places in what is loaded for all cores.

    Parameters
    ----------
    config : AcceleratorConfig
    unit : bytes of a place: 1, or `config.block` where places are words
    """

    def __init__(self, config: AcceleratorConfig, unit: int = 1):
        self.config, self.ports, self.beat = config, config.ports, config.data_bytes // unit

    def start(self, inside: int) -> int:
        """Place in the stripes at which all partitions have this place, a multiple of a beat."""
        return inside * self.ports

    def port(self, place: Place) -> Place:
        """Port whose partition has a place in the stripes."""
        return place // self.beat % self.ports

    def inside(self, place: Place) -> Place:
        """Place in its partition of a place in the stripes."""
        return place // (self.beat * self.ports) * self.beat + place % self.beat


class Partitions(Stripes):
    """Places in the memory of a configuration whose partitions follow each other without a gap.

    Parameters
    ----------
    config, unit : as above
    size : places of a partition
    """

    def __init__(self, config: AcceleratorConfig, size: int, unit: int = 1):
        super().__init__(config, unit)
        self.size = size

    def of_core(self, core: int, stride: int) -> int:
        """Place in the memory that is a core's place 0; stride: from a core of a port to the next one."""
        if not 0 <= core < self.config.cores:
            raise ValueError(f"core must be 0..{self.config.cores - 1}, not {core}")
        port, number = divmod(core, self.config.port_cores)
        return port * self.size + number * stride

    def striped(self, place: Place) -> Place:
        """Place in the memory of a place in the stripes."""
        return self.port(place) * self.size + self.inside(place)
