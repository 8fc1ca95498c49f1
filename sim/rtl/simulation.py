"""Whole networks on the verilated accelerator: a host's script, an AXI memory with real timing, and the results.

    simulation = RtlSimulation(folder, data_bytes=16, memory=MemoryModel(read_latency=40))
    simulation.load(0, image)
    simulation.write_register(START, 1)
    done = simulation.wait_interrupt(limit=10_000_000)
    logits = simulation.dump(0x100000, 1000)
    result = simulation.execute()
    result[done].cycles, result[logits]

The methods write a script; `execute` runs all of it in one process, so a hundred images cost one start. Register
addresses are the caller's: nothing here knows the register map. Names and numbers of the units, and their trace ports,
come from the map beside the Verilog.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triovit.golden.errors import Status, TriovitError
from triovit.golden.validation import Rule, at_least
from triovit.hdl.bus.axi4 import AXI_ADDRESS_BITS, PAGE_BYTES
from triovit.machine.memory_timing import MemoryTiming
from triovit.sim.cache import Progress
from triovit.sim.processes import child
from triovit.sim.verilate import verilate

Cycles = Callable[[str, int], None]  # progress: the label of the last mark, and cycles so far

EVENT_START, EVENT_DONE = 0, 1
EVENTS = np.dtype([("cycle", "<u8"), ("index", "<u4"), ("mark", "<u2"), ("unit", "u1"), ("event", "u1")])
RESPONSES = {"SLVERR": 2, "DECERR": 3}
# What the memory can do wrong: rules of AXI that it breaks, and ways of not answering.
BROKEN_RULES = (
    "early-last", "late-last", "read-id", "read-exokay", "stray-beat", "write-id", "write-exokay", "stray-answer",
    "early-answer",
)  # fmt: skip
SILENCES = ("mute-reads", "mute-writes", "deaf")
FAULTS = (*BROKEN_RULES, *SILENCES)
RANDOM_POWER_UP = ("--x-initial", "unique", "--x-assign", "unique")  # of Verilator
ADDRESSES, BASE = 1 << AXI_ADDRESS_BITS, PAGE_BYTES
LAST = "_rlast"  # a pin that every AXI master has, and no AXI4-Lite port
_FOLDER = Path(__file__).parent


class SimulationError(TriovitError, RuntimeError):
    """The simulation could not be carried through: an interrupt that never came, or a script the harness refused."""


class ProtocolError(TriovitError, AssertionError):
    """The design broke a rule of AXI; the message has the first violations with their cycles."""

    status = Status.FAILED


@dataclass(frozen=True, kw_only=True)
class MemoryModel(MemoryTiming):
    """The memory behind the AXI master: its timing, and where it is.

    seed: of the stalls, which are the register interface's too. base: address of the first byte, a multiple of BASE
    (the machine's register has no lower bits), below 2**64. Raises ValueError naming parameter, rule and value.
    """

    seed: int = 1
    base: int = 0

    def rules(self) -> dict[str, Rule]:
        base = (f"a multiple of {BASE} below 2**64", lambda base: base % BASE == 0 and 0 <= base < ADDRESSES)
        return super().rules() | {"seed": at_least(0), "base": base}

    def _line(self) -> str:
        threshold = round(self.stall_probability * (1 << 32))
        latencies = f"{self.read_latency} {self.write_latency}"
        return f"timing {latencies} {self.bandwidth or 0} {threshold} {self.seed} {self.outstanding}"


@dataclass(frozen=True)
class Wait:
    """Result of `wait_interrupt`: its cycles and traffic, and what was still under way when the interrupt came."""

    cycles: int
    expired: bool
    bytes_read: int
    bytes_written: int
    reads_outstanding: int
    writes_outstanding: int


@dataclass
class SimulationResult:
    """What `RtlSimulation.execute` returns.

    result[handle]: an int for a register read, a `Wait`, or a uint8 array for a dump. events: structured array (dtype
    EVENTS) of the units' start and done strobes, `mark` counting the calls of `RtlSimulation.mark` so far. cycles,
    bytes_read, bytes_written: totals. seconds: wall time of the simulation, the build not included. violations: AXI
    rules broken, with cycles. responses: handle -> AXI response of register accesses. units: name -> number in events.
    """

    cycles: int
    seconds: float
    bytes_read: int
    bytes_written: int
    violations: list[str]
    events: np.ndarray
    marks: list[str]
    units: dict[str, int]
    responses: dict[int, int] = field(default_factory=dict)
    finished_at: dict[int, int] = field(default_factory=dict)
    _values: dict[int, object] = field(default_factory=dict)

    def __getitem__(self, handle: int):
        return self._values[handle]

    def events_of(self, unit: str, event: int) -> np.ndarray:
        """(cycle, index) rows of one unit's EVENT_START or EVENT_DONE."""
        chosen = self.events[(self.events["unit"] == self.units[unit]) & (self.events["event"] == event)]
        return np.stack([chosen["cycle"], chosen["index"]], axis=1).astype(np.int64)


class RtlSimulation:
    """Script of a simulation of the Verilog files in `verilog_dir`, with the map that was emitted with them.

    data_bytes: width of each AXI master, 4 to 128, a power of two. memory: timing. memory_bytes: size of the memory;
    an access beyond it is answered with DECERR. Addresses are those of the AXI port. top: module name. waves: VCD file
    to write (slow: for short runs). power_up: seed, from 1 on, of what registers and memories hold before the reset
    where the Verilog does not say it; without one they hold zeros. upsets: bits of the design's memories can be
    flipped, which costs speed too.
    """

    def __init__(
        self, verilog_dir, data_bytes: int, memory: MemoryModel | None = None, *,
        memory_bytes: int = 1 << 26, top: str = "triovit", waves=None,
        power_up: int | None = None, upsets: bool = False,
    ):  # fmt: skip
        if data_bytes not in (4, 8, 16, 32, 64, 128):
            raise ValueError(f"data_bytes must be 4, 8, 16, 32, 64 or 128, not {data_bytes}")
        self.sources = sorted(Path(verilog_dir).glob("*.v"))
        if not self.sources:
            raise FileNotFoundError(f"no Verilog file (*.v) in {verilog_dir}")
        self._units, self.masters = self._read_map(Path(verilog_dir) / f"{top}.json")
        self.data_bytes, self.top = data_bytes, top
        self.model = memory or MemoryModel()
        if self.model.base + memory_bytes > ADDRESSES:
            raise ValueError(
                f"base must be at most 2**64 less the memory's {memory_bytes} bytes, not {self.model.base:#x}"
            )
        self._waves = Path(waves).resolve() if waves else None
        self._power_up = power_up
        self._upsets = upsets
        self._lines: list[str] = []
        self._blob = bytearray()
        self._kinds: dict[int, tuple] = {}
        self._dumped = 0
        self._marks: list[str] = []
        self._add(f"width {data_bytes}")
        self._add(f"memory {self.model.base} {memory_bytes}")
        self._add(self.model._line())
        if self._waves:
            self._add(f"waves {self._waves}")
        self.reset()

    @staticmethod
    def _read_map(path: Path) -> tuple[list[dict], list[str]]:
        """Of an emitted map the units: name, number, trace; and the names of the AXI masters."""
        try:
            emitted = json.loads(path.read_text(encoding="utf-8"))
            units = emitted["units"]
            masters = [port["name"].removesuffix(LAST) for port in emitted["ports"] if port["name"].endswith(LAST)]
        except (OSError, ValueError, KeyError) as error:
            raise FileNotFoundError(
                f"{path} must be the map of an accelerator, with its units: emit the Verilog again ({error!r})"
            ) from None
        if not all(unit["trace"] for unit in units):
            raise ValueError(f"{path}: simulations need trace ports: emit the Verilog with them (--trace, trace=True)")
        return units, masters

    def _header(self) -> str:
        """C++ header that names the units' numbers and trace ports, and the masters."""
        calls = "".join(f" UNIT({unit['number']}, {unit['trace']})" for unit in self._units)
        masters = "".join(f" MASTER({number}, {name})" for number, name in enumerate(self.masters))
        return (
            f"// Generated from the map beside the Verilog.\n#define UNITS{calls}\n#define MASTERS{masters}\n"
            f"#define MASTER_COUNT {len(self.masters)}\n#define FIRST_MASTER {self.masters[0]}\n"
        )

    def _add(self, line: str, *kind) -> int:
        self._lines.append(line)
        handle = len(self._lines) - 1
        if kind:
            self._kinds[handle] = kind
        return handle

    def load(self, address: int, data) -> None:
        """Host writes `data` (bytes or an array) into the memory at `address`, in no time."""
        data = data.tobytes() if isinstance(data, np.ndarray) else bytes(data)
        self._add(f"load {address} input.bin {len(self._blob)} {len(data)}")
        self._blob += data

    def dump(self, address: int, length: int) -> int:
        """Handle of the memory's `length` bytes at `address` at this point, a uint8 array."""
        handle = self._add(f"dump {address} {length} dump.bin", "dump", self._dumped, length)
        self._dumped += length
        return handle

    def write_register(self, address: int, value: int) -> int:
        """Write 32 bits through AXI4-Lite; the handle has a response in `SimulationResult.responses`."""
        return self._add(f"write {address} {value & 0xFFFFFFFF}", "write")

    def read_register(self, address: int) -> int:
        """Handle of the 32 bits read through AXI4-Lite."""
        return self._add(f"read {address}", "read")

    def wait_interrupt(self, limit: int, *, stop: bool = True) -> int:
        """Run until `interrupt` is high, at most `limit` cycles; handle of a `Wait`.

        stop: when the limit passes the rest of the script is not run, and `execute` raises SimulationError.
        """
        return self._add(f"wait {limit} {int(stop)}", "wait")

    def run(self, cycles: int) -> None:
        """Run a number of cycles."""
        self._add(f"run {cycles}")

    def reset(self, cycles: int = 8) -> None:
        """Hold `aresetn` low. The memory keeps its contents and forgets what was under way."""
        self._add(f"reset {cycles}")

    def set_memory(self, model: MemoryModel) -> None:
        """Another timing from here on (the base stays)."""
        self._add(model._line())

    def inject_error(self, direction: str, address: int, length: int, response: str = "SLVERR") -> None:
        """Answer "read" or "write" beats that touch [address, address + length) with SLVERR or DECERR."""
        if direction not in ("read", "write"):
            raise ValueError(f'direction must be "read" or "write", not {direction!r}')
        self._add(f"error {direction} {address} {length} {RESPONSES[response]}")

    def inject_fault(self, fault: str, after: int = 0, port: int = 0) -> None:
        """Break a rule of AXI, once, or stop answering (one of FAULTS), at the first burst of a port that it can
        strike, leaving alone the next `after` bursts of its direction."""
        if fault not in FAULTS:
            raise ValueError(f"fault must be one of {', '.join(FAULTS)}, not {fault!r}")
        if not 0 <= port < len(self.masters):
            raise ValueError(f"port must be 0..{len(self.masters) - 1}, not {port}")
        self._add(f"fault {fault} {after} {port}")

    def upset(self, memory: str, first: int, count: int, bits: Iterable[int]) -> None:
        """Flip bits, the same ones in `count` words from `first` on, of a memory of the design by its name in
        `list_memories`."""
        bits = [*bits]
        self._add(f"upset {memory} {first} {count} {len(bits)} {' '.join(map(str, bits))}")

    def scramble(self, seed: int) -> None:
        """Random contents of all memories of the design, as after power-up."""
        self._add(f"scramble {seed}")

    def list_memories(self) -> int:
        """Handle of the design's memories: name -> (words, bits of a word)."""
        return self._add("memories", "memories")

    def clear_errors(self) -> None:
        """End all injected errors and faults."""
        self._add("no-errors")

    def mark(self, label: str = "") -> None:
        """Begin a part of the script: later events carry the number of marks so far (the first mark is 1)."""
        self._marks.append(label)
        self._add("mark")

    def record_events(self, on: bool) -> None:
        """Record the units' events (default) or not."""
        self._add(f"events {int(on)}")

    def build(self, progress: Progress | None = None) -> Path:
        """The verilated program; built only if anything that it depends on has changed. Raises ToolchainError."""
        options, sources = ["--trace"] if self._waves else [], [*self.sources]
        options += RANDOM_POWER_UP if self._power_up else []
        if self._upsets:
            options += ["--vpi", "-CFLAGS", "-DUPSETS=1"]
            sources.append(_FOLDER / "upsets.vlt")
        return verilate(
            sources, _FOLDER / "harness.cpp", top=self.top, options=options,
            depends=[_FOLDER / "axi_memory.h", _FOLDER / "upsets.h"], headers={"units.h": self._header()},
            progress=progress,
        )  # fmt: skip

    def execute(self, *, check: bool = True, progress: Cycles | None = None) -> SimulationResult:
        """Run the script. Raises SimulationError (see `wait_interrupt`), and ProtocolError unless `check` is False.

        progress: called about four times a second.
        """
        program = self.build()
        with tempfile.TemporaryDirectory(prefix="simulation-") as name:
            folder = Path(name)
            (folder / "script.txt").write_text("\n".join(self._lines) + "\n", encoding="utf-8")
            (folder / "input.bin").write_bytes(self._blob)
            self._run(program, folder, progress)
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            events = np.fromfile(folder / "events.bin", dtype=EVENTS)
            dump = folder / "dump.bin"
            dumped = np.fromfile(dump, dtype=np.uint8) if dump.exists() else np.zeros(0, np.uint8)
        result = SimulationResult(
            report["cycles"], report["seconds"], report["bytes_read"], report["bytes_written"],
            report["violations"], events, list(self._marks), {unit["name"]: unit["number"] for unit in self._units},
        )  # fmt: skip
        self._collect(result, report, dumped)
        if check and result.violations:
            shown = "\n".join(result.violations[:10])
            raise ProtocolError(f"{report['violation_count']} violations of AXI:\n{shown}")
        if report["stopped"]:
            raise SimulationError(f"{report['stopped']} (cycle {report['cycles']}, {len(events)} events recorded)")
        return result

    def _collect(self, result, report, dumped):
        for entry in report["results"]:
            handle = entry.pop("command")
            kind = self._kinds[handle][0]
            result.finished_at[handle] = entry.pop("cycle")
            if kind == "wait":
                result._values[handle] = Wait(**entry)
            elif kind == "memories":
                result._values[handle] = {name: (words, bits) for name, words, bits in entry["memories"]}
            else:
                result.responses[handle] = entry["response"]
                if kind == "read":
                    result._values[handle] = entry["value"]
        for handle, kind in self._kinds.items():
            if kind[0] == "dump" and kind[1] + kind[2] <= len(dumped):
                result._values[handle] = dumped[kind[1] : kind[1] + kind[2]]

    def _run(self, program, folder, progress):
        command = [program, "script.txt", "report.json", "events.bin", str(self._power_up or 0)]
        with (folder / "errors.txt").open("w+", encoding="utf-8") as log:
            with child(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True) as process:
                for line in process.stdout or ():
                    word, *numbers = line.split()
                    if word == "progress" and progress:
                        cycle, mark, _command = map(int, numbers)
                        progress(self._marks[mark - 1] if mark else "", cycle)
                code = process.wait()
            if code:
                log.seek(0)
                raise SimulationError(f"simulation ended with code {code}: {log.read().strip()}")
