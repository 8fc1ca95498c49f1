"""Bundles of signals inside the compute units, a signature for each kind of port.

A pipeline (`hdl.compute.engines`) is a control, once, and a path in each core. It meets the rest at these ports: its
units' instructions and result descriptors, the buffers it reads, and the rows of psums that its engines give.
"""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.steps import RESULT, WORD_ADDRESS_BITS
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.errors import ERROR
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED

# Buffers that pipelines read.
READ_SPACES = (Space.A, Space.O, Space.K, Space.B, Space.C)


def words(config: AcceleratorConfig, count: int) -> data.ArrayLayout:
    """Layout of `count` words of a configuration."""
    return data.ArrayLayout(unsigned(8 * config.block), count)


def row_layout(block: int) -> data.StructLayout:
    """A row of psums; last: it is the last row of its accumulation."""
    return data.StructLayout({"acc": data.ArrayLayout(signed(32), block), "last": 1})


class DescriptorInterface(wiring.PureInterface):
    """Members of a `DescriptorPort`."""

    push: Signal
    result: data.View
    space: Signal


class DescriptorPort(wiring.Signature):
    """Descriptors of results under way, in order; directions of the control. `space`: one may be pushed."""

    def __init__(self):
        super().__init__({"push": Out(1), "result": Out(RESULT), "space": In(1)})


class IssueInterface(wiring.PureInterface):
    """Members of an `IssuePort`."""

    i: stream.Interface
    accepted: Signal
    signal: Signal
    index: Signal
    results: DescriptorInterface
    busy: Signal
    stall: Signal
    error: data.View


class IssuePort(wiring.Signature):
    """One unit at the control of its pipeline; directions of the control.

    Members
    -------
    i : In(stream of ISSUED)
    accepted : Out(1), signal : Out(32), index : Out(32)
        An instruction has been taken, its semaphores, and its number, which stays until the next one.
    results : Out(DescriptorPort())
    busy, stall : Out(1)
        It has work; a step has to wait in this cycle.
    error : Out(ERROR)
        The instruction is refused, or one of its reads lies beyond a buffer.
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "accepted": Out(1),
                "signal": Out(SEMAPHORES),
                "index": Out(INDEX_BITS),
                "results": Out(DescriptorPort()),
                "busy": Out(1),
                "stall": Out(1),
                "error": Out(ERROR),
            }
        )


class CompletionInterface(wiring.PureInterface):
    """Members of a `CompletionPort`."""

    results: DescriptorInterface
    accepted: Signal
    signal: Signal
    index: Signal
    room: Signal
    done: Signal
    done_signal: Signal
    done_index: Signal
    fault: Signal
    fault_index: Signal
    idle: Signal


class CompletionPort(wiring.Signature):
    """One unit at the result control; directions of the result control.

    Members
    -------
    results : In(DescriptorPort())
    accepted : In(1), signal : In(32), index : In(32)
        From the unit's control.
    room : Out(1)
        Another instruction may be accepted.
    done : Out(1), done_signal : Out(32), done_index : Out(32)
        The last result of an instruction is written.
    fault : Out(1), fault_index : Out(32)
        A result beyond a buffer.
    idle : Out(1)
        No instruction is under way.
    """

    def __init__(self):
        super().__init__(
            {
                "results": In(DescriptorPort()),
                "accepted": In(1),
                "signal": In(SEMAPHORES),
                "index": In(INDEX_BITS),
                "room": Out(1),
                "done": Out(1),
                "done_signal": Out(SEMAPHORES),
                "done_index": Out(INDEX_BITS),
                "fault": Out(1),
                "fault_index": Out(INDEX_BITS),
                "idle": Out(1),
            }
        )


class RequestInterface(wiring.PureInterface):
    """Members of a `ReadRequest`."""

    request: Signal
    address: Signal
    double: Signal
    hold: Signal
    blocked: Signal


class ReadRequest(wiring.Signature):
    """A read of a buffer that pipelines share; directions of the pipeline.

    Members
    -------
    request : Out(1), address : Out(24)
        A read in this cycle, of as many words as the buffer puts out at once. It may depend on `blocked`.
    double : Out(1)
        A only: every second word.
    hold : Out(1)
        A only: the pipeline still needs the words that A puts out now, nobody else may read A.
    blocked : In(1)
        Somebody with priority reads, or A is held: there must be no request. The first pipeline is never blocked at B,
        C and K.
    """

    def __init__(self):
        super().__init__(
            {"request": Out(1), "address": Out(WORD_ADDRESS_BITS), "double": Out(1), "hold": Out(1), "blocked": In(1)}
        )


class RowInterface(wiring.PureInterface):
    """Members of a `RowOffer`."""

    valid: Signal
    last: Signal


class RowOffer(wiring.Signature):
    """An engine of core 0 offers a row of psums, the last one of its accumulation. Out at the core."""

    def __init__(self):
        super().__init__({"valid": Out(1), "last": Out(1)})


def space_name(space: Space) -> str:
    """A space as a member's name."""
    return space.value.lower()


class RequestsInterface(wiring.PureInterface):
    """Members of `requests`, those of its spaces."""

    a: RequestInterface
    o: RequestInterface
    k: RequestInterface
    b: RequestInterface
    c: RequestInterface


def requests(spaces: Iterable[Space]) -> wiring.Signature:
    """Read requests of a control, a member for each buffer of `spaces`."""
    return wiring.Signature({space_name(space): Out(ReadRequest()) for space in READ_SPACES if space in spaces})


class OperandsInterface(wiring.PureInterface):
    """Members of `operands`, those of its spaces."""

    a: data.View
    o: data.View
    k: data.View
    b: data.View
    c: data.View


def operands(config: AcceleratorConfig, spaces: Iterable[Space]) -> wiring.Signature:
    """What the buffers of `spaces` put out, a member for each: `block` words, and of O one. Out at the buffers."""
    return wiring.Signature(
        {
            space_name(space): Out(words(config, 1 if space == Space.O else config.block))
            for space in READ_SPACES
            if space in spaces
        }
    )


def by_space(bundle) -> dict[Space, object]:
    """Members of a bundle that `requests` or `operands` describes, by space."""
    return {
        space: getattr(bundle, space_name(space))
        for space in READ_SPACES
        if space_name(space) in bundle.signature.members
    }


def members_of(bundle) -> list:
    """The members of a bundle, in order."""
    return [getattr(bundle, name) for name in bundle.signature.members]
