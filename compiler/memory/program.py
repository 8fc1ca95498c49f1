"""A compiled program: instructions, constants and memory map, as an object and as a file (never pickle)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from triovit.compiler.errors import CompileError
from triovit.compiler.memory.layout import TensorLayout
from triovit.golden.files import whole_file
from triovit.golden.integer.network import INPUT
from triovit.hdl.config.accelerator import AcceleratorConfig, ConfigurationError
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, Instruction, InstructionError
from triovit.machine.partitions import Partitions

FORMAT = "triovit-program"
VERSION = "1"


@dataclass(frozen=True)
class CompiledProgram:
    """Program and memory map of one network on one configuration.

    instructions: PROGRAM first, END last; `tag` is an index into `layers`. constants: bytes at `constants_offset` of
    every port's partition, which has a stripe of them. tensors: layouts by name, relative to a core's feature maps,
    which begin at `maps_offset + core * core_stride`, core counted among those of the port, in its partition. borders:
    (C,) int8 padding values of the tensors that have a border. partition_bytes: of a partition (registers MEMORY_SIZE
    and PORT_STRIDE). memory_bytes: the whole image; the program stands at offset 0. metadata: free JSON values,
    `config_hash` among them.
    """

    name: str
    config: AcceleratorConfig
    instructions: tuple[Instruction, ...]
    layers: tuple[str, ...]
    constants: np.ndarray
    constants_offset: int
    maps_offset: int
    core_stride: int
    tensors: dict[str, TensorLayout]
    borders: dict[str, np.ndarray]
    output: str
    classes: tuple[str, ...] = ()
    trace: bool = False
    metadata: dict = field(default_factory=dict)

    @property
    def partition_bytes(self) -> int:
        return self.maps_offset + self.config.port_cores * self.core_stride

    @property
    def memory_bytes(self) -> int:
        return self.config.ports * self.partition_bytes

    @property
    def partitions(self) -> Partitions:
        """Bytes of the image by core and stripe."""
        return Partitions(self.config, self.partition_bytes)

    def layer_of(self, index: int) -> str:
        """Name of the layer that instruction `index` belongs to."""
        return self.layers[self.instructions[index].tag]

    def program_bytes(self) -> bytes:
        return b"".join(instruction.encode() for instruction in self.instructions)

    # ---- memory ----
    def image(self, fill: int = 0) -> np.ndarray:
        """(memory_bytes,) uint8 before the first run: program, constants, borders; everything else is `fill`."""
        memory = np.full(self.memory_bytes, fill, dtype=np.uint8)
        program = np.frombuffer(self.program_bytes(), dtype=np.uint8)
        memory[: program.size] = program
        partitions = self.partitions
        first = partitions.start(self.constants_offset)
        memory[partitions.striped(np.arange(first, first + self.constants.size))] = self.constants
        for core in range(self.config.cores):
            for name, values in self.borders.items():
                self.tensors[name].write_border(memory, self.maps_of(core), values)
        return memory

    def maps_of(self, core: int) -> int:
        """Byte of the image at which a core's feature maps begin. Raises ValueError for a core that is not there."""
        return self.maps_offset + self.partitions.of_core(core, self.core_stride)

    def write_input(self, memory: np.ndarray, image: np.ndarray, core: int = 0) -> None:
        """Put a core's image, int8 of the network's input shape (pixels minus 128), into memory."""
        layout = self.tensors[INPUT]
        if image.shape != layout.shape or image.dtype != np.int8:
            raise ValueError(f"image must be int8 {layout.shape}, not {image.dtype} {image.shape}")
        layout.write(memory, self.maps_of(core), image)

    def read_tensor(self, memory: np.ndarray, name: str, core: int = 0) -> np.ndarray:
        """A tensor that a run has left in memory; int8, or int16 logits. Raises KeyError for an unknown name."""
        return self.tensors[name].read(memory, self.maps_of(core))

    # ---- files ----
    def save(self, path: str | Path) -> None:
        """Write the program; the file appears whole or not at all."""
        arrays = {
            "program": np.frombuffer(self.program_bytes(), dtype=np.uint8).reshape(-1, INSTRUCTION_BYTES),
            "constants": self.constants,
        }
        arrays |= {f"border.{name}": values for name, values in self.borders.items()}
        structure = {
            "name": self.name,
            "config": json.loads(self.config.to_json()),
            "hash": f"{self.config.hash:016x}",
            "layers": self.layers,
            "constants_offset": self.constants_offset,
            "maps_offset": self.maps_offset,
            "core_stride": self.core_stride,
            "output": self.output,
            "classes": self.classes,
            "trace": self.trace,
            "tensors": [dataclasses.asdict(layout) for layout in self.tensors.values()],
            "metadata": self.metadata,
        }
        data = save(
            {k: np.ascontiguousarray(v) for k, v in arrays.items()},
            metadata={"format": FORMAT, "version": VERSION, "program": json.dumps(structure)},
        )
        with whole_file(path) as partial:
            partial.write_bytes(data)

    @staticmethod
    def load(path: str | Path) -> CompiledProgram:
        """Read a program; raises CompileError naming the file and what is wrong with it."""
        try:
            with safe_open(str(path), framework="numpy") as file:
                header = file.metadata() or {}
                if header.get("format") != FORMAT or header.get("version") != VERSION:
                    raise CompileError(
                        f"{path} is not a compiled program of version {VERSION}; make one with 'triovit compile'"
                    )
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            s = json.loads(header["program"])
            config = AcceleratorConfig.from_json(json.dumps(s["config"]))
            if f"{config.hash:016x}" != s["hash"]:
                raise CompileError(
                    f"{path} was compiled for hash {s['hash']}, its configuration now has {config.hash:016x}: another "
                    "version of triovit has made it; compile the network again"
                )
            tensors = {t["name"]: TensorLayout(**{**t, "shape": tuple(t["shape"])}) for t in s["tensors"]}
            return CompiledProgram(
                name=s["name"],
                config=config,
                instructions=tuple(Instruction.decode(row.tobytes()) for row in arrays["program"]),
                layers=tuple(s["layers"]),
                constants=arrays["constants"],
                constants_offset=s["constants_offset"],
                maps_offset=s["maps_offset"],
                core_stride=s["core_stride"],
                tensors=tensors,
                borders={k.removeprefix("border."): v for k, v in arrays.items() if k.startswith("border.")},
                output=s["output"],
                classes=tuple(s["classes"]),
                trace=s["trace"],
                metadata=s["metadata"],
            )
        except CompileError:
            raise
        except FileNotFoundError:
            raise CompileError(f"no such file: {path}") from None
        except SafetensorError as error:
            reason = f"{error}; copy it again, or make it with 'triovit compile'"
            raise CompileError(f"{path}: not a whole safetensors file ({reason})") from None
        except OSError as error:
            raise CompileError(f"cannot read {path}: {error.strerror or error}") from None
        except (KeyError, TypeError, ValueError, AttributeError, ConfigurationError, InstructionError) as error:
            raise CompileError(f"{path} is damaged: {type(error).__name__}: {error}") from None
