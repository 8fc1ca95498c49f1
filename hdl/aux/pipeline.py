"""Stream wrapper of a datapath kernel."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class StreamPipeline(wiring.Component):
    """A datapath kernel between two streams: valid bits travel beside the data, a blocked output freezes all of it.

    Parameters
    ----------
    kernel : wiring.Component
        Members `i` (In), `o` (Out) of any shape and `en` (In, 1); attribute `latency`, an integer >= 1, the number of
        enabled cycles from `i` to `o`. It becomes a submodule of this component.

    Members
    -------
    i : stream of the shape of `kernel.i`
    o : stream of the shape of `kernel.o`

    Latency: `kernel.latency` enabled cycles, initiation interval 1. A cycle is enabled when `~o.valid | o.ready`; only
    then does anything move, and `i.ready` is that condition itself: it depends on `o.ready` in the same cycle. Bubbles
    are therefore kept, and an item accepted in enabled cycle t is offered from enabled cycle t + latency on.

    Numerics: none, payloads pass through the kernel only.

    Raises: TypeError when the kernel lacks a member or its latency is no integer; ValueError when the latency is
    below 1.

    Source: ours; the global freeze of a rigid pipeline.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, kernel: wiring.Component):
        members = getattr(getattr(kernel, "signature", None), "members", {})
        for name, flow in (("i", In), ("o", Out), ("en", In)):
            member = members.get(name)
            if member is None or not member.is_port or member.flow != flow or member.dimensions:
                raise TypeError(f"kernel must have the port {name}: {flow.name}(...), {kernel!r} has not")
        latency = getattr(kernel, "latency", None)
        if not isinstance(latency, int):
            raise TypeError(f"kernel.latency must be an integer, not {latency!r}")
        if latency < 1:
            raise ValueError(f"kernel.latency must be at least 1, not {latency}")
        self.kernel = kernel
        self.latency = latency
        super().__init__(
            {
                "i": In(stream.Signature(members["i"].shape)),
                "o": Out(stream.Signature(members["o"].shape)),
            }
        )

    def model(self, *args, **kwargs):
        """The kernel's own `model`."""
        return self.kernel.model(*args, **kwargs)

    def elaborate(self, platform):
        m = Module()
        m.submodules.kernel = kernel = self.kernel

        valid = Signal(self.latency)  # bit k: the item in flight after k + 1 enabled cycles
        enable = Signal()
        m.d.comb += [
            enable.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(enable),
            self.o.valid.eq(valid[-1]),
            self.o.payload.eq(kernel.o),
            kernel.i.eq(self.i.payload),
            kernel.en.eq(enable),
        ]
        with m.If(enable):
            m.d.sync += valid.eq(Cat(self.i.valid, valid))
        return m
