"""Features in buffer A: rows that roll through the ring, or whole planes."""

from __future__ import annotations

from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.schedule.schedule import Schedule
from triovit.compiler.schedule.transfer import Transfer, map_transfer
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.names import Buffer


class FeatureRows:
    """Rows of some planes of a map in buffer A, with the columns a convolution needs.

    rolling: rows follow each other ([row][plane][column]), so that the next step loads only the rows it does not share
    with this one; otherwise planes follow each other ([plane][row][column]), which makes longer runs.
    """

    def __init__(self, layout: TensorLayout, plane: int, planes: int, padding: int, rolling: bool):
        self.layout, self.plane, self.planes, self.padding, self.rolling = layout, plane, planes, padding, rolling
        self.width = layout.shape[2] + 2 * padding
        self.first = self.end = self.address = 0
        self.valid = False

    def _transfers(self, row: int, rows: int) -> list[Transfer]:
        line = self.planes * self.width
        local_row, local_plane = (line, self.width) if self.rolling else (self.width, rows * self.width)
        return map_transfer(
            self.layout,
            plane=self.plane,
            planes=self.planes,
            row=row - self.padding,
            rows=rows,
            column=-self.padding,
            columns=self.width,
            local_row=local_row,
            local_plane=local_plane,
        )

    def beats(self, config: AcceleratorConfig, row: int, rows: int) -> int:
        return sum(t.beats(config.block, config.data_bytes) for t in self._transfers(row, rows))

    def fetch(self, schedule: Schedule, row: int, rows: int) -> tuple[int, int, int]:
        """Load padded rows row .. row + rows - 1; returns (address of the first, words a row, words a plane)."""
        if not self.rolling:
            address = schedule.take("A", self.planes * rows * self.width)
            for transfer in self._transfers(row, rows):
                schedule.load(transfer, address, Buffer.A)
            return address, self.width, rows * self.width
        line = self.planes * self.width
        end_address = self.address + (self.end - self.first) * line
        new = row + rows - self.end
        if (
            self.valid
            and self.first <= row <= self.end
            and new >= 0
            and schedule.rings["A"].extend(end_address, new * line)
        ):
            start, count, at = self.end, new, end_address
        else:
            self.first, self.address, self.valid = row, schedule.take("A", rows * line), True
            start, count, at = row, rows, self.address
        self.end = row + rows
        if count:
            for transfer in self._transfers(start, count):
                schedule.load(transfer, at, Buffer.A)
        return self.address + (row - self.first) * line, line, self.width
