"""Print the instructions of a compiled program."""

from __future__ import annotations

import argparse
import sys

from compiler.disassemble import disassemble
from compiler.program import CompiledProgram
from flow.output import write_json

SUMMARY = "print a compiled program"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="PROGRAM", help="file from 'triovit compile -o'")


def execute(options) -> int:
    program = CompiledProgram.load(options.program)
    sys.stdout.write(disassemble(program))
    write_json(
        options.json,
        {
            "name": program.name,
            "config": program.config.name,
            "instructions": [
                {"index": n, "unit": i.unit.name, "opcode": i.opcode.name, "layer": program.layer_of(n), **i.fields}
                for n, i in enumerate(program.instructions)
            ],
        },
    )
    return 0
