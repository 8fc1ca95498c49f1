"""Random legal compute instructions on one half of the buffers."""

from __future__ import annotations

import random

from triovit.compiler.memory.layout import align
from triovit.golden.integer.arithmetic import MAX_FRACTION_BITS
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Destination, Opcode, PostMode, Unit

FEATURES, WEIGHTS, RECORDS = 384, 512, 12  # words of A's and B's (C's) regions, record blocks of a segment
OPERANDS = 160  # words of O: half of them for the engines to read, half for residual operands
IDENTITY, CODES = RECORDS - 2, RECORDS - 1  # record blocks: psums as they are; what tells divisor codes apart
SIMPLE = (PostMode.LINEAR, PostMode.HARDSWISH)
NOT_KEPT, KEPT = (1, 2, 3), (4, 5, 6, 7)  # destinations without and with K


class Full(Exception):
    """No room for another instruction's results."""


class Segment:
    """Regions of half `number % 2` of every buffer, and the instructions that use them.

    results: next free word for results in O, and in A at the same number. dumps: (first, count) of results in A.
    tiles: blocks of weights in K. codes: codes in the divisor buffer.
    """

    def __init__(self, config: AcceleratorConfig, rng: random.Random, number: int):
        self.rng, self.block = rng, config.block
        half = number % 2

        def region(start: int, size: int, needed: int) -> int:
            return start + half * size + rng.randrange(size - needed + 1)

        size = config.output_words // 2
        self.first = self.results = half * size + rng.randrange(size // 8)
        self.end, self.to_dump = (half + 1) * size, 1 + 3 * 9  # room that the dumps will need: codes, and one word
        self.operands = self.allocate(OPERANDS)
        self.residuals = OPERANDS // 2
        # A holds results below `output_words`, features above.
        self.features = region(config.feature_words // 2, config.feature_words // 4, FEATURES)
        self.weights = align(region(0, config.weight_words // 2, WEIGHTS + self.block - 1), self.block)
        self.records = region(0, config.parameter_blocks // 2, RECORDS)
        self.kept, self.kept_words = half * (config.attention_words // 2), config.attention_words // 2
        self.tiles = self.codes = 0
        self.dumps: list[tuple[int, int]] = []

    def allocate(self, count: int) -> int:
        if self.results + count + self.to_dump > self.end:
            raise Full
        first, self.results = self.results, self.results + count
        return first

    # ---- fields ----
    def _nest(self, region: int, words: int, *counts: int) -> tuple[int, list[int]]:
        """Base and strides of a loop nest within a region."""
        left, strides = words - 1, [0] * len(counts)
        for level in self.rng.sample(range(len(counts)), len(counts)):
            if counts[level] > 1:
                strides[level] = self.rng.randint(0, left // (counts[level] - 1))
                left -= strides[level] * (counts[level] - 1)
        return region + self.rng.randint(0, left), strides

    def _common(self, destinations=NOT_KEPT, modes=(*SIMPLE, PostMode.WIDE)) -> dict[str, int]:
        rng = self.rng
        counts = ("groups", "rows", "cols", "kernel_rows", "kernel_cols", "blocks")
        return {
            **{name: rng.randint(1, 3) for name in counts}, "tag": rng.getrandbits(16), "relu": rng.randint(0, 1),
            "destination": rng.choice(destinations), "mode": rng.choice(modes),
            "fraction_bits": rng.randint(0, MAX_FRACTION_BITS), "log2_offset": rng.randint(-20, 4),
            "parameters": self.records + rng.randrange(IDENTITY - 5),
        }  # fmt: skip

    def _place(self, f: dict, outer: int, rows: int, cols: int) -> None:
        """Addresses of `outer` x `rows` x `cols` results (levels out_group, out_row, 1), all different."""
        rng, copies = self.rng, 2 if f["mode"] == PostMode.WIDE else 1
        if rng.random() < 0.5:
            f["out_row"] = cols + rng.randint(0, 2)
            f["out_group"] = rows * copies * f["out_row"] + rng.randint(0, 2)
            span = outer * f["out_group"]
        else:
            f["out_group"] = cols + rng.randint(0, 2)
            f["out_row"] = outer * f["out_group"] + rng.randint(0, 2)
            span = rows * copies * f["out_row"]
        to_a = span if f["destination"] & Destination.A else 0
        self.to_dump += to_a
        if f["mode"] == PostMode.LINEAR and rng.random() < 0.6 and self.residuals + span <= OPERANDS:
            f["residual"], f["out_base"] = 1, self.operands + self.residuals
            self.residuals += span
        else:
            try:
                f["out_base"] = self.allocate(span)
            except Full:
                self.to_dump -= to_a
                raise
        if to_a:
            self.dumps.append((f["out_base"], span))

    def _window(self, f: dict, blocks: int) -> None:
        s = f["stride"] + 1
        height, width = (f["rows"] - 1) * s + f["kernel_rows"], (f["cols"] - 1) * s + f["kernel_cols"]
        region, words = (self.operands, OPERANDS // 2) if f.get("source") else (self.features, FEATURES)
        f["in_base"], (f["in_group"], f["in_row"], f["in_block"]) = self._nest(
            region, words - width + 1, f["groups"], height, blocks
        )

    # ---- instructions ----
    def convolution(self, unit: Unit, joint: bool = False, special: str = "") -> Instruction:
        """special: "make codes" (log2 to the divisor buffer), "use codes", "stationary" (weights from K)."""
        rng = self.rng
        f = self._common()
        f |= {"joint": int(joint), "source": int(rng.random() < 0.35), "stride": rng.randint(0, 1)}
        f |= {"cols": rng.randint(1, 9), "blocks": rng.choice((1, 1, 2, 3))}
        if joint:
            f["groups"] = rng.randint(1, 2)
        if rng.random() < 0.4:
            f["kernel_rows"] = f["kernel_cols"] = 1
        if special == "make codes":
            f |= {"mode": PostMode.LOG2, "destination": rng.choice((8, 9, 10, 11))}
            self.codes = f["rows"] * f["cols"]
        elif special == "use codes":
            f["mode"] = PostMode.DIVIDE
            f["rows"] = min(f["rows"], self.codes)
            f["cols"] = min(f["cols"], self.codes // f["rows"])
        elif special == "stationary":
            f["stationary"] = 1
        room = self.tiles if special == "stationary" else WEIGHTS // self.block
        while self._tiles(f) > room:
            f[max(("groups", "kernel_rows", "kernel_cols", "blocks"), key=f.get)] -= 1
        if f["mode"] == PostMode.WIDE:
            f["rows"] = 1
        self._window(f, f["blocks"])
        if special == "stationary":
            f["weights"] = self.kept + self.block * rng.randint(0, self.tiles - self._tiles(f))
        else:
            f["weights"] = self.weights + self.block * rng.randint(0, WEIGHTS // self.block - self._tiles(f))
        self._place(f, f["groups"] * (1 + joint), f["rows"], f["cols"])
        return Instruction(Opcode.RMAC_CONV if unit == Unit.RMAC else Opcode.MAT_CONV, f)

    @staticmethod
    def _tiles(f: dict) -> int:
        return f["groups"] * f["kernel_rows"] * f["kernel_cols"] * f["blocks"]

    def depthwise(self) -> Instruction:
        f = self._common() | {"cols": self.rng.randint(1, 3 * self.block), "stride": self.rng.randint(0, 1)}
        if f["mode"] == PostMode.WIDE:
            f["rows"] = 1
        self._window(f, 1)
        f["weights"] = self.weights + self.rng.randint(0, WEIGHTS - 27)
        self._place(f, f["groups"], f["rows"], f["cols"])
        return Instruction(Opcode.RMAC_DEPTHWISE, f)

    def outer(self, keep: bool = False) -> Instruction:
        """keep: into K, to be used as weights."""
        f = self._common(*((KEPT, (PostMode.LINEAR,)) if keep else (NOT_KEPT, SIMPLE)))
        f["cols"] = self.rng.randint(1, 3 * self.block)
        words = FEATURES - f["cols"] + 1
        f["in_base"], (f["in_row"], f["in_block"]) = self._nest(self.features, words, f["rows"], f["kernel_rows"])
        words -= f["in_row"] * (f["rows"] - 1)
        f["in_value"], (f["in_group"],) = self._nest(self.features, words, f["groups"])
        self._place(f, f["groups"], f["kernel_rows"], self.block)
        if keep:
            self.tiles = f["groups"] * f["kernel_rows"]
            self.kept += self.block * self.rng.randint(0, self.kept_words // self.block - self.tiles)
            self.to_dump += self.tiles * self.block
            f["attention"] = self.kept
        return Instruction(Opcode.RMAC_OUTER, f)

    def row_sum(self, keep: bool = False) -> Instruction:
        """keep: into lane 0 of the blocks in K."""
        f = self._common(*((KEPT, (PostMode.LINEAR,)) if keep else (NOT_KEPT,)))
        f |= {"groups": self.rng.randint(1, self.tiles if keep else 5), "cols": self.rng.randint(1, 3 * self.block)}
        words = FEATURES - f["cols"] + 1
        f["in_base"], (f["in_group"], f["in_row"]) = self._nest(self.features, words, f["groups"], f["rows"])
        self._place(f, f["groups"], 1, 1)
        f["attention"] = self.kept
        return Instruction(Opcode.RMAC_ROW_SUM, f)

    def layer_norm(self) -> Instruction:
        f = self._common() | {"blocks": self.rng.randint(1, 6)}
        f |= {"cols": f["blocks"] * self.block, "epsilon": self.rng.getrandbits(self.rng.randint(1, 32))}
        f["in_base"], (f["in_block"],) = self._nest(self.features, FEATURES, f["blocks"])
        f["weights"] = self.weights + self.rng.randint(0, WEIGHTS - 6)
        self._place(f, f["blocks"], 1, 1)
        return Instruction(Opcode.RMAC_LAYER_NORM, f)

    def dump(self) -> list[Instruction]:
        """MAT instructions that copy results out of A, K and the divisor buffer into O.

        The first words of the features are the unit vectors, the first blocks of C zeros and the identity matrix.
        """
        block, self.to_dump = self.block, 0
        zeros, identity = self.weights, self.weights + block
        common = dict.fromkeys(("groups", "rows", "kernel_rows", "kernel_cols", "blocks"), 1)
        common |= {"in_row": 1, "out_row": 1, "destination": int(Destination.O), "parameters": self.records + IDENTITY}
        made = [
            {"in_base": first, "cols": count, "weights": identity, "out_base": self.allocate(count)}
            for first, count in (*self.dumps, (self.features, 1))
        ]
        if self.tiles:
            out = self.allocate(self.tiles * block)
            made.append({"stationary": 1, "in_base": self.features, "groups": self.tiles, "cols": block,
                         "weights": self.kept, "out_base": out, "out_group": block})  # fmt: skip
        if self.codes:
            made.append({"in_base": self.features, "cols": self.codes, "weights": zeros, "mode": PostMode.DIVIDE,
                         "parameters": self.records + CODES, "out_base": self.allocate(self.codes)})  # fmt: skip
        # The identity's records are one block; every group of K reads its own.
        split = []
        for f in made:
            groups = f.pop("groups", 1)
            split += [
                Instruction(Opcode.MAT_CONV, common | f | {
                    "weights": f["weights"] + g * block, "out_base": f["out_base"] + g * f.get("out_group", 0)})
                for g in range(groups)
            ]  # fmt: skip
        return split
