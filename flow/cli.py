"""Entry point: parses the command line, tells input errors in one line (exit status 2)."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from flow.output import messages

COMMANDS = ("doctor", "generate", "quantize", "compile", "disassemble", "run", "compare")


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = argparse.ArgumentParser(
        prog="triovit",
        description="Hardware stack for efficient vision transformers: Verilog generator, quantizer, integer model, "
        "compiler, RTL simulation.",
        epilog="Start with 'triovit doctor', then 'triovit compare': the bundled network classifies a photo on the "
        "RTL, and every tensor is compared with the integer model.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"flow.{name}")
        command = commands.add_parser(
            name, help=module.SUMMARY, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.configure(command)
        command.add_argument("--json", metavar="FILE", help="write the report as JSON too")
        command.set_defaults(execute=module.execute)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 when a comparison or a check failed, 2 for wrong input."""
    from flow.errors import INPUT_ERRORS
    from sim.accelerator import SimulationError
    from sim.machine import MachineError
    from sim.toolchain import ToolchainError

    options = build_parser().parse_args(arguments)
    try:
        return options.execute(options)
    except (*INPUT_ERRORS, ToolchainError, SimulationError, MachineError) as error:
        messages.print(
            f"triovit {options.command}: error: {' '.join(str(error).split())}", markup=False, soft_wrap=True
        )
        return 2
    except OSError as error:
        messages.print(
            f"triovit {options.command}: error: {error.strerror or error}: {error.filename or ''}",
            markup=False,
            soft_wrap=True,
        )
        return 2
    except BrokenPipeError:  # the reader of a listing has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        messages.print(f"triovit {options.command}: interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
