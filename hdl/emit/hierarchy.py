"""A design's hierarchy as modules with whole-signal ports, each distinct module once.

Amaranth's own back end gives every instance a module of its own, and draws its ports from the nets that happen to
cross it: two lanes fed from different slices of one bus get different port lists, a lane with a constant input
gets no port at all, and nothing can be shared. Here a submodule is cut out before that happens: its ports are
its component's signature (plus any other signal that crosses the boundary), its parent gets an instance, and
submodules of equal text are one module. A design of 2048 equal cells becomes one cell module.

This uses Amaranth's intermediate representation, which is not a public interface: see `hdl.emit.amaranth_private`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from amaranth.back import rtlil
from amaranth.hdl import Fragment, Instance, IOBufferInstance, MemoryInstance, Module, Signal
from amaranth.lib import wiring

from triovit.hdl.emit.amaranth_private import (
    PortDirection,
    RequirePosedge,
    SignalDict,
    SignalSet,
    TransformedElaboratable,
    driven_signals,
    memory_facts,
    memory_outputs,
    read_signals,
)
from triovit.hdl.emit.fingerprint import fingerprint
from triovit.hdl.emit.names import plain_name, unique_name

_PLACEHOLDER = "module.under.emission"
_LEAVES = (Instance, IOBufferInstance, MemoryInstance, RequirePosedge)  # emitted in place, with their parent


@dataclass
class ModuleRecord:
    """One distinct module: RTLIL text, ports as (name, direction, width) in order, children as name -> count.

    external: the same of modules that the design does not define. instances: name of each instance -> its module.
    component: class it was made of; facts: what that tells of itself in an attribute `facts`. arrays: the same of the
    memories that stand in the module itself, which Amaranth's queues have.
    """

    name: str
    rtlil: str
    ports: list[tuple[str, str, int]]
    children: dict[str, int] = field(default_factory=dict)
    external: dict[str, int] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    component: str = ""
    facts: dict = field(default_factory=dict)
    arrays: list[dict] = field(default_factory=list)


def snake_case(name: str) -> str:
    """RMacLane -> r_mac_lane, AXIReader -> axi_reader."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


def instantiated(fragment) -> set[str]:
    """Names of the modules that a design instantiates and does not define."""
    if isinstance(fragment, Instance):
        return {fragment.type}
    return set().union(*(instantiated(part) for part, _name, _src_loc in fragment.subfragments))


def member_ports(component) -> list[tuple[str, Signal, PortDirection]]:
    """(name, signal, direction) of each member of a component's signature, path joined with an underscore."""
    ports = []
    for path, member, value in component.signature.flatten(component):
        signal = value.as_value() if hasattr(value, "as_value") else value
        if isinstance(signal, Signal) and len(signal):
            direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
            ports.append(("_".join(map(str, path)), signal, direction))
    return ports


@contextlib.contextmanager
def _named(names: SignalDict):
    """Signals under other names for the time of one emission."""
    saved = [(signal, signal.name) for signal in names]
    for signal, name in names.items():
        signal.name = name
    try:
        yield
    finally:
        for signal, name in saved:
            signal.name = name


class Hierarchy:
    """Distinct modules of a fragment, children before parents, the top module last: `modules` (name -> record).

    fragment: what `Fragment.get` gave. ports: name -> (signal, direction) of the top module. name: its name, also
    the prefix of the other modules' names, which are none of the reserved ones. Raises what Amaranth raises for an
    illegal design (driver conflicts, combinational loops within a module).
    """

    def __init__(self, fragment: Fragment, ports: dict, name: str, reserved: Iterable[str] = ()):
        self.name = name
        self.modules: dict[str, ModuleRecord] = {}
        self._by_text: dict[str, str] = {}
        self._by_structure: dict[tuple, str] = {}
        design = fragment.prepare(ports=ports, hierarchy=(name,), missing_domain=lambda domain: None)
        self._used = {part: info.used_signals for part, info in design.fragments.items()}
        self._io = {part: bool(info.used_io_ports) for part, info in design.fragments.items()}
        self._driven: dict[Fragment, SignalSet] = {}
        self._shared = SignalSet()  # signals with bits driven from several fragments
        self._collect_drivers(design.fragment)
        self._resets: dict[Fragment, SignalSet] = {}
        self._collect_resets(design.fragment)
        self._taken = {name, *reserved, *instantiated(design.fragment)}
        top, names = self._cut(design.fragment)
        self._emit(top, [(port, *entry) for port, entry in ports.items()], names, name, fragment.origins)

    def _collect_drivers(self, fragment):
        """Signals driven anywhere inside each fragment."""
        driven = SignalSet()
        if isinstance(fragment, Instance):
            values = [value for value, kind in fragment.ports.values() if kind == "o"]
        elif isinstance(fragment, MemoryInstance):
            values = memory_outputs(fragment)
        elif isinstance(fragment, IOBufferInstance):
            values = [] if fragment.i is None else [fragment.i]
        else:
            values = [statement for block in fragment.statements.values() for statement in block]
        for value in values:
            driven.update(driven_signals(value))
        for subfragment, _name, _src_loc in fragment.subfragments:
            inner = self._collect_drivers(subfragment)
            self._shared.update(signal for signal in inner if signal in driven)
            driven.update(inner)
        self._driven[fragment] = driven
        return driven

    def _collect_resets(self, fragment):
        """Reset signals that each fragment has any use for: registers without a reset need none."""
        resets = SignalSet()
        if not isinstance(fragment, _LEAVES):
            for name, block in fragment.statements.items():
                reset = None if name == "comb" else fragment.domains[name].rst
                if reset is not None and any(
                    not signal.reset_less for statement in block for signal in driven_signals(statement)
                ):
                    resets.add(reset)
        values = fragment.ports.values() if isinstance(fragment, Instance) else ()
        read = [value for value, kind in values if kind == "i"]
        if not isinstance(fragment, _LEAVES):
            read += [statement for block in fragment.statements.values() for statement in block]
        known = [domain.rst for domain in fragment.domains.values() if domain.rst is not None]
        resets.update(reset for reset in known if any(reset in read_signals(value) for value in read))
        for subfragment, _name, _src_loc in fragment.subfragments:
            resets.update(self._collect_resets(subfragment))
        self._resets[fragment] = resets
        return resets

    def _boundary(self, fragment, parent):
        """Ports of a submodule as (name, signal, direction); None when it cannot be cut out of its parent."""
        crossing = SignalDict((signal, None) for signal in self._used[fragment] if signal in self._used[parent])
        driven = self._driven[fragment]
        if self._io[fragment] or any(signal in self._shared and signal in driven for signal in crossing):
            return None  # pins, or signals with bits driven on both sides: left to Amaranth
        ports, names = SignalDict(), set()
        for domain in fragment.domains.values():
            for signal, suffix in ((domain.clk, "clk"), (domain.rst, "rst")):
                if signal is not None and signal in crossing and (suffix == "clk" or signal in self._resets[fragment]):
                    ports.setdefault(signal, (domain.name, suffix))
        for suffix in ("clk", "rst"):
            found = [signal for signal, port in ports.items() if port[1] == suffix]
            for signal in found:
                # A module in one domain has the same ports whichever domain that is.
                prefix = "" if ports[signal][0] == "sync" or len(found) == 1 else f"{ports[signal][0]}_"
                ports[signal] = (prefix + suffix, PortDirection.Input)
                names.add(prefix + suffix)
        clocks = set(names)
        for origin in fragment.origins or ():
            if isinstance(origin, wiring.Component):
                for name, signal, flow in member_ports(origin):
                    if signal not in ports:
                        ports[signal] = (unique_name(name, names), flow)
                        names.add(ports[signal][0])
        resets = SignalSet(domain.rst for domain in fragment.domains.values() if domain.rst is not None)
        for signal in crossing:
            if signal not in ports and len(signal) and signal not in resets:
                ports[signal] = (unique_name(plain_name(signal.name or "signal"), names), PortDirection.Input)
                names.add(ports[signal][0])
        result = []
        for signal, (name, flow) in ports.items():
            if signal in driven:
                flow = PortDirection.Output
            elif signal in self._driven[parent] or name in clocks:
                flow = PortDirection.Input
            result.append((name, signal, flow))
        return result

    @staticmethod
    def _is_clock(fragment, signal):
        return any(signal is domain.clk or signal is domain.rst for domain in fragment.domains.values())

    def _cut(self, fragment):
        """Copy of `fragment` with an instance for each submodule, and names for the instances' signals."""
        result = Fragment(src_loc=fragment.src_loc)
        result.attrs, result.origins = fragment.attrs, fragment.origins
        result.add_domains(fragment.domains.values())
        for domain, statements in fragment.statements.items():
            result.add_statements(domain, statements)
        names = SignalDict()
        for index, (part, name, src_loc) in enumerate(fragment.subfragments):
            name = name or f"u_{index}"
            if isinstance(part, _LEAVES):
                result.add_subfragment(part, name, src_loc=src_loc)
                continue
            ports = self._boundary(part, fragment)
            inner, inner_names = self._cut(part)
            if ports is None:
                names.update(inner_names)
                result.add_subfragment(inner, name, src_loc=src_loc)
                continue
            module = self._emit(inner, ports, inner_names, None, part.origins, name)
            for port, signal, _flow in ports:
                if signal not in names and not self._is_clock(part, signal):
                    names[signal] = f"{name}_{port}"
            connections = [(flow.value[0], port, signal) for port, signal, flow in ports]
            result.add_subfragment(Instance(module, *connections), name, src_loc=src_loc)
        return result, names

    def _emit(self, fragment, ports, names, module, origins, instance=""):
        """Add the module of a cut fragment, or find its equal; returns the module's name."""
        names = SignalDict(names.items())
        for port, signal, _flow in ports:
            names[signal] = port
        description = fingerprint(fragment, ports, names)
        if module is None and description in self._by_structure:
            return self._by_structure[description]
        module = self._emit_text(fragment, ports, names, module, origins, instance)
        if description is not None:
            self._by_structure[description] = module
        return module

    def _emit_text(self, fragment, ports, names, module, origins, instance):
        table = {port: (signal, flow) for port, signal, flow in ports}
        with _named(names):
            text, _ = rtlil.convert_fragment(fragment, table, _PLACEHOLDER, emit_src=False, propagate_domains=False)
        if module is None and text in self._by_text:
            return self._by_text[text]
        made = [origin for origin in origins or () if not isinstance(origin, Module | TransformedElaboratable)]
        kind = type(made[0]).__name__ if made else ""
        base = snake_case(kind) or re.sub(r"[_$]?\d+$", "", instance)
        module = module or unique_name(f"{self.name}_{re.sub(r'[^a-zA-Z0-9_]', '_', base)}", self._taken)
        self._taken.add(module)
        self._by_text[text] = module
        record = ModuleRecord(module, self._legal_names(text, module), [], component=kind)
        record.facts = getattr(made[0], "facts", {}) if made else {}
        record.ports = [(port, flow.name.lower(), len(signal)) for port, signal, flow in ports]
        record.arrays = [memory_facts(part) for part, _, _ in fragment.subfragments if isinstance(part, MemoryInstance)]
        for part, name in self._instances(fragment):
            target = record.children if part.type in self.modules else record.external
            target[part.type] = target.get(part.type, 0) + 1
            record.instances[name] = part.type
        self.modules[module] = record
        return module

    def _instances(self, fragment, path=""):
        """(instance, its name) of all that a module holds; of what stayed inside (see `_boundary`) with its path."""
        for index, (part, name, _src_loc) in enumerate(fragment.subfragments):
            name = f"{path}{name or f'u_{index}'}"
            if isinstance(part, Instance):
                yield part, name
            elif not isinstance(part, _LEAVES):
                yield from self._instances(part, f"{name}.")

    @staticmethod
    def _legal_names(text: str, module: str) -> str:
        """Module name in place of the placeholder; modules that stayed inside (see `_boundary`) get legal names."""
        inner = set(re.findall(rf"^module \\{re.escape(_PLACEHOLDER)}(\S+)$", text, re.M))
        for path in sorted(inner):
            legal = re.sub(r"[^a-zA-Z0-9_]", "_", path)
            text = re.sub(rf"\\{re.escape(_PLACEHOLDER + path)}(?=\s)", lambda _, name=legal: f"\\{module}{name}", text)
        return text.replace(_PLACEHOLDER, module)
