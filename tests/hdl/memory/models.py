"""Models of the memories, cycle by cycle, and random inputs. An unknown word or byte is None."""

from __future__ import annotations

import random
from collections import deque


class RamModel:
    """A word that is written while it is read is unknown; the last read's word stays."""

    def __init__(self, depth: int, latency: int, parts: int = 1, part_bits: int = 64):
        self.contents: list[list[int | None]] = [[None] * parts for _ in range(depth)]
        self.part_bits = part_bits
        self.array: list[int | None] = [None] * parts
        self.line = deque([self.array] * latency, maxlen=latency)

    def step(self, write_en: int, write_row: int, write_data: int, read_en: int, read_row: int) -> list[int | None]:
        """A clock edge; returns the parts that are shown after it."""
        if read_en:
            written = write_en if write_row == read_row else 0
            shown = enumerate(self.contents[read_row])
            self.array = [None if written >> part & 1 else value for part, value in shown]
        self.line.append(self.array)
        for part in range(len(self.array)):
            if write_en >> part & 1:
                self.contents[write_row][part] = write_data >> self.part_bits * part & ((1 << self.part_bits) - 1)
        return self.line[0]


class BankArrayModel:
    """A RAM a bank; `step` takes inputs by name and returns the words that are shown."""

    def __init__(self, words: int, banks: int, word_bits: int, write_width: int):
        self.banks = [RamModel(words // banks, 2, part_bits=word_bits) for _ in range(banks)]
        self.word_bits, self.write_width, self.rows = word_bits, write_width, words // banks

    def inputs(self, generator: random.Random) -> dict:
        def rows() -> list[int]:
            base = generator.randrange(self.rows)  # few rows, so that reads meet what has just been written
            return [(base + generator.randrange(2)) % self.rows for _ in self.banks]

        written = rows()
        return {
            "write_en": generator.getrandbits(len(self.banks)),
            "write_rows": written,
            "write_data": [generator.getrandbits(self.word_bits) for _ in range(self.write_width)],
            "read_en": generator.choice((0, generator.getrandbits(len(self.banks)), (1 << len(self.banks)) - 1)),
            "read_rows": generator.choice((written, rows())),
        }

    def step(self, write_en, write_rows, write_data, read_en, read_rows) -> list[int | None]:
        shown = []
        for bank, ram in enumerate(self.banks):
            write = (write_en >> bank & 1, write_rows[bank], write_data[bank % self.write_width])
            shown += ram.step(*write, read_en >> bank & 1, read_rows[bank])
        return shown


class ColumnMemoryModel:
    """A RAM a column, whose read is m cycles late; `step` returns [lane][column]."""

    def __init__(self, words: int, lanes: int, columns: int):
        self.columns = [RamModel(words // lanes, 1, lanes, 8) for _ in range(columns)]
        self.reads = deque([(0, 0)] * (columns + 1), maxlen=columns + 1)
        self.lanes, self.rows = lanes, words // lanes

    def inputs(self, generator: random.Random) -> dict:
        row = generator.randrange(self.rows)
        return {
            "write_en": generator.choice((0, 1 << generator.randrange(self.lanes), generator.getrandbits(self.lanes))),
            "write_row": row,
            "write_data": [generator.randint(-128, 127) for _ in self.columns],
            "read_en": generator.random() < 0.7,
            "read_row": generator.choice((row, generator.randrange(self.rows))),
        }

    def step(self, write_en, write_row, write_data, read_en, read_row) -> list[list[int | None]]:
        shown = []
        for m, ram in enumerate(self.columns):
            everywhere = sum((write_data[m] & 0xFF) << 8 * lane for lane in range(self.lanes))
            late_en, late_row = self.reads[-1 - m]
            shown.append(ram.step(write_en, write_row, everywhere, late_en, late_row))
        self.reads.append((read_en, read_row))
        signed = [[None if byte is None else (byte ^ 128) - 128 for byte in column] for column in shown]
        return [[column[lane] for column in signed] for lane in range(self.lanes)]
