"""Entry point: parses the command line, tells errors in one line."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from triovit.flow.arguments import Output
from triovit.flow.errors import explain
from triovit.flow.help import Help
from triovit.golden.errors import Status

COMMANDS = {
    "doctor": "print tools, versions and what is missing",
    "configs": "list configurations, their resources and boards",
    "generate": "generate Verilog; lint and synthesize it",
    "synthesize": "synthesize one component; its cells and longest paths",
    "data": "make a data file from CIFAR-10 or CIFAR-100 as published",
    "quantize": "quantize a float network",
    "compile": "compile a quantized network",
    "disassemble": "print a compiled program",
    "run": "classify images on a backend",
    "evaluate": "measure accuracy on labelled images",
    "report": "tell all about a quantized network in one HTML file",
    "ablate": "quantize in many ways and measure each",
    "train": "train the float network on CIFAR-10",
    "bundle": "make the quantized network that ships with the project",
    "compare": "compare the RTL with the integer model, tensor by tensor",
}


class Parser(argparse.ArgumentParser):
    """Tells a wrong argument in one line, as every other error is told."""

    def error(self, message: str):
        self.exit(Status.REFUSED, f"{self.prog}: error: {message}; see '{self.prog} --help'\n")


def command_line() -> argparse.ArgumentParser:
    """Parser of the command's name alone: what follows it is left over, and nothing of a command is imported."""
    parser = Parser(
        prog="triovit",
        formatter_class=Help,
        allow_abbrev=False,
        description="Hardware stack for efficient vision transformers: Verilog generator, quantizer, integer model, "
        "compiler, RTL simulation.",
        epilog="Start with 'triovit doctor', then 'triovit compare': the bundled network classifies a photo on the "
        "RTL, and every tensor is compared with the integer model. 'triovit COMMAND --help' has examples.",
    )
    parser.add_argument("--version", action="version", version=f"triovit {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False, allow_abbrev=False)
    return parser


def parser_of(command: str) -> argparse.ArgumentParser:
    """Parser of one command's arguments; imports the command."""
    module = importlib.import_module(f"triovit.flow.{command}")
    parser = Parser(
        prog=f"triovit {command}",
        description=module.__doc__,
        formatter_class=Help,
    )
    module.configure(parser)
    parser.add_argument("--json", type=Output, metavar="FILE", help="write the report as JSON too")
    parser.set_defaults(execute=module.execute)
    return parser


class Ended(KeyboardInterrupt):
    """The process was asked to end by another signal than that of Ctrl-C; files and child processes go the same way."""


@contextmanager
def endable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Ended` in a `with` block, so that nothing half done is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame) -> None:
        raise Ended(number)

    # A process that was started to outlive its terminal (nohup) goes on doing so.
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status, one of `golden.errors.Status`, or 128 and the number of a signal."""
    with endable():
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    command = ""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # characters that the terminal lacks; files are UTF-8 always
    try:
        named, words = command_line().parse_known_args(arguments)
        command = named.command
        options = parser_of(command).parse_args(words)
        from triovit.flow.output import check_distinct, check_target

        check_target("--json", options.json)
        check_distinct(options)
        status = options.execute(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of a listing has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.DONE
    except Ended as error:
        number = error.args[0]
        print(f"triovit {command}: ended by {signal.Signals(number).name}", file=sys.stderr)
        return 128 + number
    except KeyboardInterrupt:
        print(f"triovit {command}: interrupted", file=sys.stderr)
        return Status.INTERRUPTED
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
