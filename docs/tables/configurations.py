"""Tables of configurations: fields, their ranges, presets."""

from __future__ import annotations

import dataclasses
from typing import cast

from docs.tables.markdown import code, table
from triovit.hdl.config.accelerator import BLOCKS_WORDS, NAME_WORDS, PRESETS, AcceleratorConfig
from triovit.hdl.config.buffers import SHARED, buffers
from triovit.hdl.config.engines import engines_of, semaphores
from triovit.hdl.config.ranges import BLOCKS, Range, ranges
from triovit.hdl.technology import TECHNOLOGIES

UNITS = ((1 << 20, "Mi"), (1 << 10, "Ki"))


def size(number: int | str) -> str:
    """A number, in units of 1024 or 1024^2 where it is a whole number of them; a text as it is, a bool as in JSON."""
    if isinstance(number, str):
        return number
    if isinstance(number, bool):
        return str(number).lower()
    return next((f"{number // unit} {name}" for unit, name in UNITS if number % unit == 0), str(number))


def legal(name: str, block: int) -> str:
    """Range of a field for one block size and the narrowest bus."""

    def words(legal: Range) -> str:
        return f"{size(legal.low)}..{size(legal.high)}"

    fixed = {
        "name": NAME_WORDS,
        "block": BLOCKS_WORDS,
        "technology": " or ".join(TECHNOLOGIES),
        "integrity": "true, false",
    }
    return fixed.get(name) or words(ranges(block, data_bytes=block)[name])


def fields() -> str:
    """Fields, defaults, ranges by the block size."""

    def only(name: str) -> str:
        legal = [ranges(block, block).get(name, Range(0, 0)) for block in BLOCKS]
        steps = " / ".join(dict.fromkeys(str(one.step) for one in legal))
        return "powers of two" if legal[0].power_of_two else "" if steps == "1" else f"multiples of {steps}"

    def row(field: dataclasses.Field) -> tuple[str, ...]:
        choices = list(dict.fromkeys(legal(field.name, block) for block in BLOCKS))
        default = size(cast(int | str, field.default))
        return (
            code(field.name),
            default,
            " / ".join(choices),
            only(field.name),
            field.metadata["meaning"],
        )

    heading = f"legal (block {' / '.join(map(str, BLOCKS))})"
    return table(("field", "default", heading, "only", "meaning"), map(row, dataclasses.fields(AcceleratorConfig)))


def presets() -> str:
    """Presets, one column for each."""
    names = [field.name for field in dataclasses.fields(AcceleratorConfig) if field.name != "name"]
    configs = list(PRESETS.values())
    rows = [(code(name), *(size(getattr(config, name)) for config in configs)) for name in names]
    rows += [
        ("multipliers", *(str(config.multipliers) for config in configs)),
        ("channels with records in P", *(str(config.parameter_blocks * config.block) for config in configs)),
        ("hash", *(code(f"{config.hash:016x}") for config in configs)),
    ]
    return table(("", *(f"`{config.name}`:" for config in configs)), rows)


def units() -> str:
    """Units with their opcodes and what they touch."""
    return table(
        ("unit", "number:", "opcodes", "reads", "writes"),
        (
            (
                engine.unit.name,
                engine.unit.value,
                ", ".join(opcode.name for opcode in engine.opcodes),
                ", ".join(sorted(engine.reads)),
                ", ".join(sorted(engine.writes)),
            )
            for engine in engines_of(AcceleratorConfig())
        ),
    )


def semaphore_numbers() -> str:
    """Semaphores of the pairs of units, one row per giver."""
    numbers = semaphores(engines_of(AcceleratorConfig()))
    engines = [engine.unit for engine in engines_of(AcceleratorConfig())]
    return table(
        ("given by \\ taken by", *(f"{unit.name}:" for unit in engines)),
        ((giver.name, *(str(numbers.get((giver, taker), "")) for taker in engines)) for giver in engines),
    )


def memories(config: AcceleratorConfig) -> str:
    """Structure of the on-chip memories of one configuration."""
    return table(
        ("buffer", "words:", "bits of a word:", "banks:", "words per write:", "words per read:", "exists"),
        (
            (
                space.value,
                shape.words,
                shape.word_bits,
                shape.banks,
                shape.write_width,
                shape.read_width,
                "once" if space in SHARED else "in each core",
            )
            for space, shape in buffers(config).items()
        ),
    )


def technologies() -> str:
    """Technologies of a configuration."""
    return table(("technology", "made of"), ((code(one.name), one.meaning) for one in TECHNOLOGIES.values()))


CONTENTS = {
    "memories of trio-core": lambda: memories(PRESETS["trio-core"]),
    "fields of a configuration": fields,
    "technologies": technologies,
    "presets": presets,
    "units": units,
    "semaphores": semaphore_numbers,
}
