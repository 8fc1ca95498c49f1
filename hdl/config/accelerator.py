"""Configuration of the accelerator: one frozen dataclass, validated as a whole, named presets, JSON in and out.

The hash of a configuration goes into the Verilog header, the ID registers, every program and every
report; the machine refuses a program that was compiled for another configuration.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triovit.golden.errors import TriovitError
from triovit.golden.validation import at_least, faults, kinds, one_of
from triovit.hdl.config.ranges import BLOCKS, banks, ranges
from triovit.hdl.isa.instructions import ISA_VERSION
from triovit.hdl.isa.record import RECORD_BYTES
from triovit.hdl.technology import TECHNOLOGIES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_WORDS = "up to 64 letters, digits, '.', '_' or '-'"
BLOCKS_WORDS = f"{', '.join(map(str, BLOCKS[:-1]))} or {BLOCKS[-1]}"


class ConfigurationError(TriovitError, ValueError):
    """An impossible configuration; the message lists every rule that is broken."""


def _field(default: Any, meaning: str) -> Any:
    """A field with what it means, for the documentation; its range is in `hdl.config.ranges`."""
    return dataclasses.field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """Parameters of a Trio-ViT accelerator: (block x block R-MAC + block x block MAT) x cores.

    A *word* is `block` bytes: the int8 values of one pixel in one block of channels. Buffer sizes are
    in bytes. Buffers A, O, K and the divisor buffer exist once a core, the others once.
    """

    name: str = _field("custom", "name, in files and reports; no part of the hash")
    cores: int = _field(1, "cores in lockstep, an image each")
    block: int = _field(8, "channels of a block = R-MAC lanes = cells of a lane = MAT lanes = multipliers of a lane")
    ports: int = _field(1, "AXI masters; each serves an equal part of the cores and brings a stripe of the weights")
    data_bytes: int = _field(16, "bytes of an AXI beat, of each port")
    feature_bytes: int = _field(128 * 1024, "buffer A: input features")
    output_bytes: int = _field(64 * 1024, "buffer O: results")
    weight_bytes: int = _field(64 * 1024, "buffers B (R-MAC) and C (MAT), each: weights")
    parameter_bytes: int = _field(64 * 1024, "buffer P: post-processing records (layer norm of B3 needs 40 KiB)")
    attention_bytes: int = _field(8 * 1024, "buffer K: K^T V and the row sums of K, as MAT weights")
    divisors: int = _field(1024, "divisor buffer: 4-bit codes, one for each token")
    accumulator_bits: int = _field(27, "bits of psums, biases and their sums; the compiler proves each layer's need")
    norm_lanes: int = _field(1, "channels of layer norm at a time")
    queue_depth: int = _field(4, "instructions that wait in front of each unit")
    read_bursts: int = _field(16, "outstanding AXI read bursts")
    write_bursts: int = _field(16, "outstanding AXI write bursts")
    burst_beats: int = _field(64, "longest AXI burst, beats")
    technology: str = _field(
        "generic", "what multipliers and memories are made of; no part of the hash, since no program notices"
    )
    integrity: bool = _field(False, "codes of stored words: flipped bits are corrected, or stop the machine")

    # ---- derived ----
    @property
    def family(self) -> str:
        """Networks that the generated hardware runs, see golden.integer.family. There is one, so no field and no part
        of the hash: 8-bit products and dyadic requantization, both with multipliers."""
        return "trio"

    @property
    def multipliers(self) -> int:
        """Multipliers of both engines over all cores."""
        return 2 * self.block * self.block * self.cores

    @property
    def beat_words(self) -> int:
        """Words in one AXI beat."""
        return self.data_bytes // self.block

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat of each port, all together: what a LOAD for all cores brings at once."""
        return self.ports * self.data_bytes

    @property
    def bus_words(self) -> int:
        """Words of a beat of each port, all together."""
        return self.ports * self.beat_words

    @property
    def port_cores(self) -> int:
        """Cores that a port serves: port i the cores from i * port_cores on."""
        return self.cores // self.ports

    @property
    def masters(self) -> tuple[str, ...]:
        """Names of the AXI masters at the top level."""
        return ("m_axi",) if self.ports == 1 else tuple(f"m_axi{port}" for port in range(self.ports))

    @property
    def feature_words(self) -> int:
        return self.feature_bytes // self.block

    @property
    def output_words(self) -> int:
        return self.output_bytes // self.block

    @property
    def weight_words(self) -> int:
        return self.weight_bytes // self.block

    @property
    def parameter_words(self) -> int:
        return self.parameter_bytes // self.block

    @property
    def attention_words(self) -> int:
        return self.attention_bytes // self.block

    @property
    def words(self) -> dict[str, int]:
        """Words of each buffer by its name in `hdl.isa.names`, K included; codes of the divisor buffer."""
        return {
            "A": self.feature_words,
            "O": self.output_words,
            "B": self.weight_words,
            "C": self.weight_words,
            "P": self.parameter_words,
            "K": self.attention_words,
            "divisor": self.divisors,
        }

    @property
    def banks(self) -> dict[str, int]:
        """RAMs of each buffer; a word of each is a row, and a buffer's words are whole rows."""
        return banks(self.block, self.data_bytes)

    @property
    def parameter_blocks(self) -> int:
        """Channel blocks whose records fit buffer P (one block's records fill RECORD_BYTES words)."""
        return self.parameter_words // RECORD_BYTES

    @property
    def hash(self) -> int:
        """64-bit configuration hash: SHA-256 of everything that a program can notice, which the name and the technology
        are not. A machine without `integrity` has the hash that it had before there was such a field."""
        absent = {"name", "technology"} if self.integrity else {"name", "technology", "integrity"}
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k not in absent}
        text = json.dumps({"isa": ISA_VERSION, **fields}, sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    def validate(self) -> AcceleratorConfig:
        """Return self; raises ConfigurationError listing every broken rule."""
        errors = []

        def rule(holds: bool, text: str):
            if not holds:
                errors.append(text)

        integers = {name: at_least(1) for name, kind in kinds(AcceleratorConfig).items() if kind is int}
        if found := faults(self, integers | {"technology": one_of(*TECHNOLOGIES)}):
            raise ConfigurationError("; ".join(found))
        # It becomes a folder's name.
        rule(NAME.fullmatch(self.name) is not None, f"name must be {NAME_WORDS}, not {self.name!r}")
        rule(self.block in BLOCKS, f"block must be {BLOCKS_WORDS}, not {self.block}")
        for name, legal in ranges(self.block, self.data_bytes, self.ports).items():
            fault = legal.fault(name, getattr(self, name))
            rule(not fault, fault)
        rule(
            self.cores % self.ports == 0,
            f"ports must divide the cores, of which each port serves an equal part: {self.cores} is no multiple of "
            f"{self.ports}",
        )
        if errors:
            raise ConfigurationError("; ".join(errors))
        return self

    # ---- exchange ----
    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> AcceleratorConfig:
        """Read a configuration; raises ConfigurationError for bad JSON, unknown fields or broken rules."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"configuration is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigurationError(f"configuration must be a JSON object, not {type(values).__name__}")
        known = {field.name for field in dataclasses.fields(AcceleratorConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigurationError(f"unknown field {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return AcceleratorConfig(**values).validate()


PRESETS = {
    config.name: config
    for config in (
        # One core of the paper: 8 x 8 R-MAC + 8 x 8 MAT. The formula is Trio-ViT's (arXiv 2405.03882), its numbers
        # are those of the group's earlier machine on the same board (arXiv 2403.20230): (8 x 8 + 8 x 8) x 16.
        AcceleratorConfig(name="trio-core", attention_bytes=2 * 1024, technology="ultrascale"),
        # The paper's machine: 16 cores, 2048 multipliers, 64 bytes per cycle of memory, which the board's FPGA has as
        # four ports of 16 bytes: a wider one cannot be attached at that rate.
        AcceleratorConfig(
            name="trio-zcu102",
            cores=16,
            ports=4,
            output_bytes=32 * 1024,
            attention_bytes=2 * 1024,
            burst_beats=64,
            technology="ultrascale",
        ),
        # Half of it, with half of buffer A per core, for a part that has a third of the block RAM.
        AcceleratorConfig(
            name="trio-zcu104",
            cores=8,
            ports=4,
            feature_bytes=64 * 1024,
            output_bytes=32 * 1024,
            attention_bytes=2 * 1024,
            technology="ultrascale",
        ),
        # A small one for quick tests and small FPGAs.
        AcceleratorConfig(
            name="trio-tiny",
            block=4,
            data_bytes=8,
            feature_bytes=16 * 1024,
            output_bytes=8 * 1024,
            weight_bytes=8 * 1024,
            parameter_bytes=32 * 1024,
            attention_bytes=1024,
            divisors=256,
            read_bursts=4,
            write_bursts=4,
            burst_beats=16,
        ),
    )
}


def load_config(name_or_file: str) -> AcceleratorConfig:
    """A preset by name, or a JSON file. Raises ConfigurationError naming the presets when it is neither."""
    if name_or_file in PRESETS:
        return PRESETS[name_or_file].validate()
    path = Path(name_or_file)
    if path.suffix == ".json" or path.is_file():
        try:
            return AcceleratorConfig.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"cannot read configuration {name_or_file}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"cannot read configuration {name_or_file}: it is no text in UTF-8") from None
    raise ConfigurationError(f"unknown configuration {name_or_file!r}; presets: {', '.join(PRESETS)}, or a JSON file")
