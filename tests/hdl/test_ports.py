"""Components declare their ports on the class, where editors and type checkers see them."""

from amaranth.hdl import Fragment
from amaranth.lib import wiring

from tests.sim.configurations import TINY
from triovit.hdl.accelerator import Accelerator
from triovit.hdl.config.engines import engines_of
from triovit.hdl.isa.engines import trace_port, traced
from triovit.hdl.technology import GENERIC


def test_ports_are_declared(monkeypatch):
    """Every component of an accelerator; trace ports are named by the list of units, AXI masters by the configuration,
    not on the class."""
    components, create = [], wiring.Component.__init__

    def watched(self, *args, **kwargs):
        create(self, *args, **kwargs)
        components.append(self)

    monkeypatch.setattr(wiring.Component, "__init__", watched)
    Fragment.get(Accelerator(TINY, trace=True), GENERIC)
    by_list = {trace_port(unit) for unit in traced(engines_of(TINY))} | set(TINY.masters)
    missing, kinds = {}, {type(component): component for component in components}
    for kind, component in kinds.items():
        if kind.__module__.startswith("triovit.hdl"):
            undeclared = set(component.signature.members) - set(kind.__annotations__) - by_list
            missing |= {kind.__name__: sorted(undeclared)} if undeclared else {}
    assert not missing
    assert len(kinds) > 40
