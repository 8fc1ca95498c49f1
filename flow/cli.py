"""Entry point: parses the command line, tells errors in one line."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import sys

from triovit.flow.errors import explain

COMMANDS = {
    "doctor": "print tools, versions and what is missing",
    "generate": "generate Verilog; lint and synthesize it",
    "quantize": "quantize a float network",
    "compile": "compile a quantized network",
    "disassemble": "print a compiled program",
    "run": "classify images on a backend",
    "evaluate": "measure accuracy on labelled images",
    "report": "tell all about a quantized network in one HTML file",
    "ablate": "quantize in many ways and measure each",
    "compare": "compare the RTL with the integer model, tensor by tensor",
}


class Parser(argparse.ArgumentParser):
    """Tells a wrong argument in one line, as every other error is told."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: error: {message}; see '{self.prog} --help'\n")


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """All commands; only `command` gets its options, so that nothing is imported that is not needed."""
    parser = Parser(
        prog="triovit",
        description="Hardware stack for efficient vision transformers: Verilog generator, quantizer, integer model, "
        "compiler, RTL simulation.",
        epilog="Start with 'triovit doctor', then 'triovit compare': the bundled network classifies a photo on the "
        "RTL, and every tensor is compared with the integer model. 'triovit COMMAND --help' has examples.",
    )
    parser.add_argument("--version", action="version", version=f"triovit {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == command:
            module = importlib.import_module(f"triovit.flow.{name}")
            subparser.description = module.__doc__
            module.configure(subparser)
            subparser.add_argument("--json", metavar="FILE", help="write the report as JSON too")
            subparser.set_defaults(execute=module.execute)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 when a comparison or a check failed, 2 for wrong input."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command = next((argument for argument in arguments if argument in COMMANDS), None)
    try:
        options = build_parser(command).parse_args(arguments)
        from triovit.flow.output import check_distinct, check_target

        check_target("--json", options.json)
        check_distinct(options)
        status = options.execute(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of a listing has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"triovit {command}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        text, status = explained
        print(f"triovit {command}: error: {text}", file=sys.stderr)
        return status


def _version() -> str:
    try:
        return importlib.metadata.version("triovit")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
