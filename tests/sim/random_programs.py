"""Random legal programs: every opcode with random fields, both MAC units, LOAD and STORE at work side by side.

A program is a row of segments that use the halves of the buffers in turn, so that a segment's loads and its
predecessor's stores run beside its computation. Within a segment the instructions of both MAC units are independent of
each other, but for those that make divisor codes or weights in K, whose readers wait for them. At its end the MAT unit
copies what A, K and the divisor buffer have got into O, and O is stored: memory tells everything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from tests.sim.random_instructions import CODES, FEATURES, IDENTITY, RECORDS, WEIGHTS, Full, Segment
from triovit.compiler.memory.layout import align
from triovit.hdl.bus.axi4 import PAGE_BYTES
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, PROGRAM_MAGIC, Instruction
from triovit.hdl.isa.names import Buffer, Opcode, Unit
from triovit.hdl.isa.record import RECORD_BYTES, RECORD_DTYPE
from triovit.machine.functional import FunctionalSimulator
from triovit.machine.partitions import Partitions

CONSTANTS = 1 << 14  # first byte after the program
LINKS = ("loaded rmac", "loaded mat", "rmac done", "mat done", "dumped", "stored", "codes free",
         *(f"made {giver} {taker}" for giver in ("RMAC", "MAT") for taker in ("RMAC", "MAT")))  # fmt: skip


@dataclass
class RandomProgram:
    """Instructions, PROGRAM and END included, and the memory with them at its beginning."""

    config: AcceleratorConfig
    instructions: list[Instruction]
    memory: np.ndarray
    core_stride: int

    @property
    def program_bytes(self) -> int:
        return len(self.instructions) * INSTRUCTION_BYTES

    def expected(self, *, check_overlap: bool = False) -> np.ndarray:
        """Memory after the program, by the functional simulator."""
        memory = self.memory.copy()
        FunctionalSimulator(self.config, memory, self.core_stride, check_overlap=check_overlap).run()
        return memory


def random_program(config: AcceleratorConfig, seed: int, segments: int | None = None) -> RandomProgram:
    """The program of a seed; segments: 1 to 3 of them by default."""
    return _Generator(config, seed).build(segments)


def _give(instruction: Instruction, name: str, semaphore: int) -> None:
    instruction.fields[name] = instruction.fields.get(name, 0) | 1 << semaphore


class _Generator:
    def __init__(self, config: AcceleratorConfig, seed: int):
        self.config, self.block = config, config.block
        self.rng, self.noise = random.Random(seed), np.random.default_rng(seed)
        self.links = dict(zip(LINKS, self.rng.sample(range(32), len(LINKS)), strict=True))
        self.sizes = {"constants": 0, "maps": 0}
        self.patches: list[tuple[str, int, np.ndarray]] = []
        self.regions: list[tuple[Instruction, str]] = []
        self.code_segment = -2
        self.last_dump: Instruction | None = None

    def signal(self, instruction: Instruction, link: str) -> None:
        _give(instruction, "signal", self.links[link])

    def wait(self, instruction: Instruction, link: str) -> None:
        _give(instruction, "wait", self.links[link])

    def build(self, segments: int | None) -> RandomProgram:
        parts = [self._segment(number) for number in range(segments or self.rng.randint(1, 3))]
        body = parts[0][0]
        for number, (_, compute, rest) in enumerate(parts):
            following = parts[number + 1][0] if number + 1 < len(parts) else []
            body = body + self._merged(following, compute) + rest
        start = {"magic": PROGRAM_MAGIC, "hash": self.config.hash, "instructions": len(body) + 2}
        # With several ports every partition has a stripe of the constants, and whole pages.
        ports, cores = self.config.ports, range(self.config.cores)
        maps = CONSTANTS + align(-(-self.sizes["constants"] // ports), 64)
        stride = align(self.sizes["maps"], 64)
        partitions = Partitions(self.config, align(maps + len(cores) // ports * stride, PAGE_BYTES if ports > 1 else 1))
        starts = {"constants": partitions.start(CONSTANTS), "maps": maps}
        for instruction, space in self.regions:
            instruction.fields["memory"] += starts[space]
        program = [Instruction(Opcode.PROGRAM, start), *body, Instruction(Opcode.END, {})]
        memory = self.noise.integers(0, 256, ports * partitions.size, dtype=np.uint8)
        code = np.frombuffer(b"".join(instruction.encode() for instruction in program), np.uint8)
        assert code.size <= CONSTANTS
        memory[: code.size] = code
        for space, offset, values in self.patches:
            places = starts[space] + offset + np.arange(values.size)
            if space == "constants":
                memory[partitions.striped(places)] = values
            else:
                for core in cores:
                    memory[partitions.of_core(core, stride) + places] = values
        return RandomProgram(self.config, program, memory, stride)

    def _merged(self, first: list, second: list) -> list:
        """Both lists in one, each in its order."""
        first, second, merged = list(first), list(second), []
        while first or second:
            merged.append((first if self.rng.random() * (len(first) + len(second)) < len(first) else second).pop(0))
        return merged

    # ---- LOAD and STORE ----
    def _transfer(self, opcode: Opcode, buffer: Buffer, local: int, count: int, values=None) -> list[Instruction]:
        """Transfers of `count` words, from or to new memory; values (bytes): what stands there."""
        rng, block = self.rng, self.block
        space = "maps" if buffer <= Buffer.O else "constants"
        words = count if values is not None else rng.randint(max(1, count // 9), count)
        made = []
        for first, length, rows in ((0, words, count // words), (count // words * words, count % words, 1)):
            if not length:
                continue
            offset = self.sizes[space] + rng.randint(0, 9) * block
            row = (length + rng.randint(0, 5)) * block
            self.sizes[space] = offset + rows * row
            f = {"words": length, "rows": rows, "planes": 1, "local": local + first, "local_row": length,
                 "memory": offset, "memory_row": row}  # fmt: skip
            made.append(Instruction(opcode, f | ({"buffer": int(buffer)} if opcode == Opcode.LOAD else {})))
            self.regions.append((made[-1], space))
            if values is not None:
                self.patches.append((space, offset, np.ascontiguousarray(values).view(np.uint8).reshape(-1)))
        return made

    def _records(self) -> np.ndarray:
        """Random records, then those of the dumps."""
        noise, records = self.noise, np.zeros((RECORDS, self.block), RECORD_DTYPE)
        for name, low, high in (
            ("bias", -30000, 30000), ("m1", 1 << 11, 1 << 16), ("n1", 19, 30), ("zero_point", -40, 41),
            ("m2", 1, 1 << 16), ("n2", 18, 44), ("residual_multiplier", 0, 1 << 21), ("residual_shift", 0, 2),
        ):  # fmt: skip
            records[name] = noise.integers(low, high, records.shape)
        for special in (IDENTITY, CODES):
            records[special] = np.zeros((), RECORD_DTYPE)
            records["m1"][special] = 1
        records["bias"][CODES] = np.where(np.arange(self.block) % 2, 1 << 7, 1 << 14)
        return records

    def _loads(self, s: Segment) -> list[Instruction]:
        block, load = self.block, Opcode.LOAD
        unit = np.eye(block, dtype=np.int8)
        loads = [
            self._transfer(load, Buffer.A, s.features, block, unit),
            self._transfer(load, Buffer.A, s.features + block, FEATURES - block),
            self._transfer(load, Buffer.A, s.first, s.results - s.first),
            self._transfer(load, Buffer.O, s.first, s.results - s.first),
            self._transfer(load, Buffer.B, s.weights, WEIGHTS),
            self._transfer(load, Buffer.C, s.weights, 2 * block, np.concatenate([unit * 0, unit])),
            self._transfer(load, Buffer.C, s.weights + 2 * block, WEIGHTS - 2 * block),
            self._transfer(load, Buffer.P, s.records * RECORD_BYTES, RECORDS * RECORD_BYTES, self._records()),
        ]
        self.rng.shuffle(loads)
        return [instruction for part in loads for instruction in part]

    # ---- a segment ----
    def _segment(self, number: int) -> tuple[list[Instruction], list[Instruction], list[Instruction]]:
        """Its loads, its computation, its dumps and stores."""
        s = Segment(self.config, self.rng, number)
        compute = self._compute(s, number)
        dump = s.dump()
        store = self._transfer(Opcode.STORE, Buffer.O, s.first, s.results - s.first)
        loads = self._loads(s)

        if number >= 2:
            self.wait(loads[0], "stored")
        for unit, loaded, done in ((Unit.RMAC, "loaded rmac", "rmac done"), (Unit.MAT, "loaded mat", "mat done")):
            own = [instruction for instruction in compute if instruction.unit == unit]
            if own or unit == Unit.MAT:
                self.signal(loads[-1], loaded)
                self.wait((own or dump)[0], loaded)
            if own:
                self.signal(own[-1], done)
                self.wait(dump[0], done)
        self.signal(dump[-1], "dumped")
        self.wait(store[0], "dumped")
        self.signal(store[-1], "stored")
        self.last_dump = dump[-1]
        return loads, compute, dump + store

    def _compute(self, s: Segment, number: int) -> list[Instruction]:
        rng = self.rng
        makers: dict[Unit, Instruction] = {}  # last instruction of a unit that makes codes or weights
        known: set[tuple[Unit, Unit]] = set()
        compute: list[Instruction] = []
        code_unit = None
        if rng.random() < 0.6:
            compute.append(s.outer(keep=True))
            if rng.random() < 0.6:
                compute.append(s.row_sum(keep=True))
            makers[Unit.RMAC] = compute[-1]
        if rng.random() < 0.6:
            code_unit = rng.choice((Unit.RMAC, Unit.MAT))
            compute.append(s.convolution(code_unit, special="make codes"))
            makers[code_unit] = compute[-1]
            if code_unit == Unit.RMAC and self.code_segment == number - 1:  # MAT may still read the codes before
                self.signal(self.last_dump, "codes free")
                self.wait(compute[-1], "codes free")
            self.code_segment = number

        def emit(instruction: Instruction, giver: Unit | None) -> None:
            """giver: unit whose codes or weights it needs."""
            compute.append(instruction)
            if giver is not None and (giver, instruction.unit) not in known:
                known.add((giver, instruction.unit))
                link = f"made {giver.name} {instruction.unit.name}"
                self.signal(makers[giver], link)
                self.wait(instruction, link)

        def one(unit: Unit) -> list[tuple[Instruction, Unit | None]]:
            if unit == Unit.RMAC and rng.random() < 0.65:
                return [(rng.choice((s.depthwise, s.outer, s.row_sum, s.layer_norm))(), None)]
            kinds = ["", ""] + ["use codes"] * bool(s.codes) + ["stationary"] * (bool(s.tiles) and unit == Unit.MAT)
            special = rng.choice(kinds)
            giver = {"": None, "use codes": code_unit, "stationary": Unit.RMAC}[special]
            return [(s.convolution(unit, special=special), giver)]

        def pair() -> list[tuple[Instruction, Unit | None]]:
            special = rng.choice([""] + ["use codes"] * bool(s.codes))
            convolution = s.convolution(Unit.RMAC, joint=True, special=special)
            giver = code_unit if special else None
            halves = [(convolution, giver), (Instruction(Opcode.MAT_JOIN, {}), giver)]
            rng.shuffle(halves)
            # The halves need not be neighbours: the second one's unit may have something to do before.
            between = one(halves[1][0].unit) if rng.random() < 0.3 else []
            return [halves[0], *between, halves[1]]

        try:
            for _ in range(rng.randint(2, 9)):
                kind = rng.random()
                for part in pair() if kind < 0.25 else one(Unit.RMAC if kind < 0.65 else Unit.MAT):
                    emit(*part)
        except Full:
            pass
        return compute
