"""Features in buffer A: rows that roll through the ring, or whole planes."""

from __future__ import annotations

from typing import NamedTuple

from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.schedule.context import Context
from triovit.compiler.schedule.schedule import Schedule
from triovit.compiler.schedule.transfer import Part, Transfer, map_transfer
from triovit.hdl.isa.names import Buffer


class Rows(NamedTuple):
    """Rows in buffer A: first word, words from row to row and from plane to plane."""

    address: int
    row: int
    plane: int


class FeatureRows:
    """Rows of some planes of a map in buffer A, with the columns a convolution needs.

    rolling: rows follow each other ([row][plane][column]), so that the next step loads only the rows it does not share
    with this one; otherwise planes follow each other ([plane][row][column]), which makes longer runs.
    held: where the rows fetched last stand, for the step that fetched them and those that share them.
    """

    def __init__(self, layout: TensorLayout, plane: int, planes: int, padding: int, rolling: bool):
        self.layout, self.plane, self.planes, self.padding, self.rolling = layout, plane, planes, padding, rolling
        self.width = layout.shape[2] + 2 * padding
        self.first = self.end = self.address = 0
        self.valid = False
        self.held = Rows(0, 0, 0)

    def _transfers(self, row: int, rows: int) -> list[Transfer]:
        part = Part(self.plane, self.planes, row - self.padding, rows, -self.padding, self.width)
        if self.rolling:
            return map_transfer(self.layout, part, local_row=self.planes * self.width, local_plane=self.width)
        return map_transfer(self.layout, part)

    def beats(self, context: Context, row: int, rows: int) -> int:
        """Beats of padded rows row .. row + rows - 1, for one core."""
        return context.beats(self._transfers(row, rows))

    def fetch(self, schedule: Schedule, row: int, rows: int) -> None:
        """Load padded rows row .. row + rows - 1, as far as they are not there yet; `held` says where they are."""
        if not self.rolling:
            address = schedule.take("A", self.planes * rows * self.width)
            self._load(schedule, row, rows, address)
            self.held = Rows(address, self.width, rows * self.width)
            return
        line = self.planes * self.width
        end_address = self.address + (self.end - self.first) * line
        new = row + rows - self.end
        if (
            self.valid
            and self.first <= row <= self.end
            and new >= 0
            and schedule.rings["A"].extend(end_address, new * line)
        ):
            self._load(schedule, self.end, new, end_address)
        else:
            self.first, self.address, self.valid = row, schedule.take("A", rows * line), True
            self._load(schedule, row, rows, self.address)
        self.end = row + rows
        self.held = Rows(self.address + (row - self.first) * line, line, self.width)

    def _load(self, schedule: Schedule, row: int, rows: int, address: int) -> None:
        if rows:
            for transfer in self._transfers(row, rows):
                schedule.load(transfer, address, Buffer.A)
