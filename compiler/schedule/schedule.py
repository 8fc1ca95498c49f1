"""Steps become an instruction sequence: on-chip places, loads, computations, stores, in one program order.

Every buffer is used as a ring: a step takes the next words of A for its features and of O for its results, so that the
queues of the units overlap its loads with the computation before it and its stores with the one after. Weights and
records live as long as a step needs them and are loaded ahead of their first use, when the memory bus has time left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from triovit.compiler.errors import CompileError
from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.requirements import check_words
from triovit.compiler.schedule.rings import Area, Ring, Tile, TileRing
from triovit.compiler.schedule.transfer import Region, Transfer, take_planes
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import NONZERO, Instruction, field_offsets
from triovit.hdl.isa.names import Buffer, Opcode
from triovit.hdl.isa.record import RECORD_BYTES

PREFETCH_STEPS = 96  # how far ahead of its first use a constant may be loaded
PREFETCH_BEATS = 4096  # most bus time that is saved up for loading ahead
PREFETCH_DISTANCE = 3  # a place is taken over early only from tiles that nobody has used for so many steps


@dataclass(eq=False)
class Draft:
    """An instruction whose semaphores are not yet known, whose memory offset is relative to `region`."""

    instruction: Instruction
    region: Region | None = None

    def edit(self, **fields: int) -> None:
        """Give fields other values."""
        self.instruction = self.instruction.replace(**fields)


@dataclass(eq=False, kw_only=True, repr=False)
class Step(ABC):
    """One piece of a layer's work: some loads, its computation, some stores. A kind of layer has a kind of step.

    layer: number of the layer. rows: output rows it completes. constants: tiles it reads, each with the number of its
    loads that have to be there. places: what it takes of A, O and K, by purpose, in this order.
    cycles, beats: estimates of its computation and of its feature traffic (a core).
    """

    layer: int
    rows: int = 1
    constants: list[tuple[Tile, int]]
    places: dict[str, Area]
    cycles: int
    beats: int

    @property
    @abstractmethod
    def work(self) -> str:
        """What it computes, in words."""

    def prepare(self, schedule: Schedule) -> None:
        """Take the places and load what memory brings there. Those of a ring lie side by side: with the end of the ring
        between them, the last one could meet the first."""
        for ring in schedule.rings:
            words = sum(place.words for place in self.places.values() if place.ring == ring)
            check_words(schedule.config, schedule.layers[schedule.layer], ring, words)
            schedule.rings[ring].join(words)
        for place in self.places.values():
            schedule.fill(place)

    @abstractmethod
    def run(self, schedule: Schedule) -> None:
        """Append the instructions that compute, and those that store the results."""

    def __repr__(self) -> str:
        """Work, places, constants and cost: "RowStep(layer 3: rows 0..7; results in O 0..511; ...)"."""
        places = [f"{name} in {place}" for name, place in self.places.items()]
        places += [f"constants in {tile}" for tile, _ in self.constants]
        cost = f"{self.cycles} cycles, {self.beats} beats"
        return f"{type(self).__name__}({'; '.join([f'layer {self.layer}: {self.work}', *places, cost])})"


class Schedule:
    """Collects drafts. Addresses of features and results come from `take`, those of constants from `emit`."""

    def __init__(self, config: AcceleratorConfig, layers: list[str]):
        self.config, self.layers = config, layers
        self.drafts: list[Draft] = []
        self.steps: list[Step] = []
        self.rings = {
            "A": Ring(config.feature_words),
            "O": Ring(config.output_words),
            "K": Ring(config.attention_words),
        }
        self.tiles = {
            "W": TileRing(config.weight_words, config.block),
            "P": TileRing(config.parameter_words, RECORD_BYTES),
        }
        self.layer = 0
        self.stores = 0
        self._written: dict[str, np.ndarray] = {}

    # ---- instructions ----
    def _draft(self, opcode: Opcode, fields: dict[str, int], region: Region | None = None) -> None:
        """Append an instruction of the current layer. Raises InstructionError for a field that the opcode lacks."""
        self.drafts.append(Draft(Instruction(opcode, {}).replace(tag=self.layer, **fields), region))

    def compute(self, opcode: Opcode, **fields: int) -> None:
        """An engine's instruction; counts that are not named are 1.

        Raises InstructionError for a field that the opcode lacks.
        """
        counts = {name: 1 for name in NONZERO if name in field_offsets(opcode)}
        self._draft(opcode, counts | fields)

    def load(self, transfer: Transfer, base: int, buffer: Buffer | None = None) -> None:
        """LOAD, in parts when some of it has been stored long ago and some only just now."""
        target = transfer.buffer if buffer is None else buffer
        if target is None:
            raise ValueError("a part of a map may go to any buffer, so a LOAD of it has to name one")
        for part in self._by_age(transfer):
            self._draft(Opcode.LOAD, {"buffer": int(target), **part.fields(base)}, part.region)

    def store(self, transfer: Transfer, base: int) -> None:
        """STORE of results."""
        self._draft(Opcode.STORE, transfer.fields(base), transfer.region)
        self.stores += 1
        layout = transfer.tensor
        if layout is not None and layout.kind == "map":
            planes = slice(transfer.plane, transfer.plane + transfer.planes * transfer.plane_step, transfer.plane_step)
            self._ages(layout)[planes, transfer.row : transfer.row + transfer.row_count] = self.stores

    def _ages(self, layout: TensorLayout) -> np.ndarray:
        """(planes, rows): number of the STORE that wrote a row."""
        return self._written.setdefault(layout.name, np.zeros((layout.planes, layout.shape[1]), dtype=np.int64))

    def _by_age(self, transfer: Transfer) -> list[Transfer]:
        layout = transfer.tensor
        if layout is None or layout.kind != "map":
            return [transfer]
        rows = slice(max(transfer.row, 0), max(transfer.row + transfer.row_count, 0))
        planes = slice(transfer.plane, transfer.plane + transfer.planes * transfer.plane_step, transfer.plane_step)
        ages = self._ages(layout)[planes, rows]
        if ages.size == 0:
            return [transfer]
        ages = np.where(ages <= self.stores - 3, 0, ages).max(axis=1)
        cuts = [0, *(np.flatnonzero(np.diff(ages)) + 1).tolist(), transfer.planes]
        if len(cuts) > 5 or transfer.planes == 1:
            return [transfer]
        return [take_planes(transfer, first, last - first) for first, last in pairwise(cuts)]

    def take(self, ring: str, words: int) -> int:
        """Address of the next words of A, O or K."""
        check_words(self.config, self.layers[self.layer], ring, words)
        return self.rings[ring].take(words)

    def fill(self, place: Area) -> None:
        """Take a place and load what memory brings there."""
        place.address = self.take(place.ring, place.words)
        for transfer in place.loads:
            self.load(transfer, place.address, Buffer[place.ring])

    def empty(self, place: Area) -> None:
        """Store what goes from a place to memory."""
        for transfer in place.stores:
            self.store(transfer, place.at)

    # ---- steps ----
    def __str__(self) -> str:
        """A line for each step that has been emitted: its number, its layer and what it does."""
        return "\n".join(f"{n:5} {self.layers[step.layer]:30} {step!r}" for n, step in enumerate(self.steps))

    def emit(self, steps: list[Step]) -> None:
        """Append the instructions of all steps."""
        self.steps += steps
        demands: list[Demand] = []
        for index, step in enumerate(steps):
            for tile, loads in step.constants:
                tile.last_step = index
                demands.append(Demand(index, step.layer, tile, loads))
        budget = 0
        for index, step in enumerate(steps):
            while demands and demands[0].step <= index:
                self._fulfil(demands.pop(0))
            budget = min(budget + step.cycles - step.beats * self.config.port_cores, PREFETCH_BEATS)
            budget = self._prefetch(demands, index, budget)
            self.layer = step.layer
            step.prepare(self)
            step.run(self)

    def _fulfil(self, demand: Demand) -> None:
        """What a step needs and has not been loaded yet is loaded now."""
        tile, ring = demand.tile, self.tiles[demand.tile.ring]
        if tile.address is None and not ring.place(tile, demand.step):
            raise CompileError(
                f"{self.layers[demand.layer]}: needs {tile.words} words of buffer "
                f"{'B' if tile.ring == 'W' else 'P'}, of which {ring.words} exist and others are in use"
            )
        while tile.loaded < demand.loads:
            self._load_next(demand)

    def _load_next(self, demand: Demand) -> int:
        """Issue a tile's next load; returns its beats."""
        tile = demand.tile
        transfer = tile.loads[tile.loaded]
        tile.loaded += 1
        self.layer = demand.layer
        self.load(transfer, tile.at)
        return transfer.beats(self.config.block, self.config.bus_bytes)

    def _prefetch(self, demands: list[Demand], index: int, budget: int) -> int:
        """Load constants of coming steps while the bus has time left, a ring's in their order; returns what is left."""
        stuck: set[str] = set()
        for demand in demands:
            if budget <= 0 or len(stuck) == len(self.tiles) or demand.step > index + PREFETCH_STEPS:
                break
            tile = demand.tile
            if tile.ring in stuck:
                continue
            if tile.address is None and not self.tiles[tile.ring].place(tile, index - PREFETCH_DISTANCE):
                stuck.add(tile.ring)
                continue
            while budget > 0 and tile.loaded < demand.loads:
                budget -= self._load_next(demand)
        return budget


@dataclass(frozen=True)
class Demand:
    """A step needs the first `loads` loads of a tile."""

    step: int
    layer: int
    tile: Tile
    loads: int
