"""Print the instructions of a compiled program: number, layer, unit, opcode, semaphores, fields.

examples:
  triovit compile bundled -o b0.program.safetensors
  triovit disassemble b0.program.safetensors | less
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from triovit.compiler.disassemble import disassemble
from triovit.compiler.errors import CompileError
from triovit.compiler.memory.program import CompiledProgram
from triovit.flow.arguments import Input
from triovit.flow.errors import UsageError
from triovit.flow.file_kinds import PROGRAM, check_kind
from triovit.flow.output import write_json


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", type=Input, metavar="PROGRAM", help="file from 'triovit compile -o'")


def execute(options) -> int:
    check_kind(options.program, PROGRAM)
    if not Path(options.program).is_file():
        raise UsageError(f"no program {options.program!r}: make one with 'triovit compile -o {options.program}'")
    program = CompiledProgram.load(options.program)
    if any(instruction.tag >= len(program.layers) for instruction in program.instructions):
        raise CompileError(f"{options.program} is damaged: an instruction belongs to no layer")
    for line in disassemble(program):
        sys.stdout.write(f"{line}\n")
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
