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


def row_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """A row of psums."""
    return data.ArrayLayout(signed(config.accumulator_bits), config.block)


def tile_layout(block: int) -> data.ArrayLayout:
    """`block` words as bytes, [word][byte]."""
    return data.ArrayLayout(data.ArrayLayout(signed(8), block), block)


class RowInterface(wiring.PureInterface):
    """Members of a `RowPort`."""

    valid: Signal
    acc: data.View


class RowPort(wiring.Signature):
    """Rows of psums of one unit, never refused; Out at the engines."""

    def __init__(self, config: AcceleratorConfig):
        super().__init__({"valid": Out(1), "acc": Out(row_layout(config))})


class DescriptorInterface(wiring.PureInterface):
    """Members of a `DescriptorPort`."""

    push: Signal
    result: data.View
    space: Signal


class DescriptorPort(wiring.Signature):
    """Descriptors of results under way, in order; directions of the control.

    push, result: a result of `result.rows` rows, at most `block`, is on its way, before the first of them is announced.
    space: a register; there is room for the rows of one.
    """

    def __init__(self):
        super().__init__({"push": Out(1), "result": Out(RESULT), "space": In(1)})


class IssueInterface(wiring.PureInterface):
    """Members of an `IssuePort`."""

    i: stream.Interface
    accepted: Signal
    signal: Signal
    index: Signal
    start: Signal
    start_index: Signal
    results: DescriptorInterface
    row: Signal
    busy: Signal
    stall: Signal
    error: data.View


class IssuePort(wiring.Signature):
    """One unit at the control of its pipeline; directions of the control.

    Members
    -------
    i : In(stream of ISSUED)
    accepted : Out(1), signal : Out(32), index : Out(32)
        An instruction will begin, its semaphores, and its number.
    start : Out(1), start_index : Out(32)
        An instruction begins: in this cycle its first read could go. Not before it is accepted.
    results : Out(DescriptorPort())
    row : Out(1)
        A row of its results is in the unit's queues in `hdl.compute.timing.ROW_LEAD + 1` cycles, once for each of them.
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
                "start": Out(1),
                "start_index": Out(INDEX_BITS),
                "results": Out(DescriptorPort()),
                "row": Out(1),
                "busy": Out(1),
                "stall": Out(1),
                "error": Out(ERROR),
            }
        )


class CompletionInterface(wiring.PureInterface):
    """Members of a `CompletionPort`."""

    results: DescriptorInterface
    row: Signal
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
    results : In(DescriptorPort()), row : In(1)
        See `IssuePort`.
    accepted : In(1), signal : In(32), index : In(32)
        From the unit's control.
    room : Out(1)
        Another instruction may be accepted.
    done : Out(1), done_signal : Out(32), done_index : Out(32)
        The last result of an instruction is as good as written (`hdl.compute.results.EARLY`).
    fault : Out(1), fault_index : Out(32)
        A result beyond a buffer.
    idle : Out(1)
        No instruction is under way.
    """

    def __init__(self):
        super().__init__(
            {
                "results": In(DescriptorPort()),
                "row": In(1),
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

    possible: Signal
    request: Signal
    address: Signal
    words: Signal
    double: Signal
    blocked: Signal


class ReadRequest(wiring.Signature):
    """A read of a buffer that pipelines share; directions of the pipeline.

    Members
    -------
    possible : Out(1)
        There may be a request in this cycle; it does not depend on `blocked` or on what is decided in this cycle.
    request : Out(1), address : Out(24)
        A read, granted in this cycle: it has to be low while `blocked`.
    words : Out(range(block + 1)), double : Out(1)
        Words that it uses, from the first one on, and of A whether they are every second one. Of B, C and K all words
        of a row, of which the address is the first one, or one word.
    blocked : In(1)
        Somebody with priority reads. The first pipeline is never blocked at A, B, C and K.
    """

    def __init__(self, block: int):
        super().__init__(
            {
                "possible": Out(1),
                "request": Out(1),
                "address": Out(WORD_ADDRESS_BITS),
                "words": Out(range(block + 1)),
                "double": Out(1),
                "blocked": In(1),
            }
        )


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


def requests(config: AcceleratorConfig, spaces: Iterable[Space]) -> wiring.Signature:
    """Read requests of a control, a member for each buffer of `spaces`."""
    return wiring.Signature(
        {space_name(space): Out(ReadRequest(config.block)) for space in READ_SPACES if space in spaces}
    )


class OperandsInterface(wiring.PureInterface):
    """Members of `operands`, those of its spaces."""

    a: data.View
    o: data.View
    k: data.View
    b: data.View
    b_word: data.View
    c: data.View


def operands(config: AcceleratorConfig, spaces: Iterable[Space]) -> wiring.Signature:
    """What the buffers of `spaces` put out, a member for each; Out at the buffers.

    a: the window, o: the word, `READ` cycles after the request (`hdl.compute.timing`).
    b, c, k: rows of weights, `OPERANDS` cycles after the request and skewed: byte m of each word comes m cycles later.
    b_word: the word of B, `OPERANDS` cycles after a request of one word.
    """
    block = config.block
    members = {"a": words(config, block), "o": words(config, 1)}
    members |= dict.fromkeys(("k", "b", "c"), tile_layout(block)) | {"b_word": words(config, 1)}
    wanted = {space_name(space) for space in spaces}
    return wiring.Signature({name: Out(shape) for name, shape in members.items() if name[0] in wanted})


def by_space(bundle) -> dict[Space, RequestInterface]:
    """Members of a bundle that `requests` describes, by space."""
    return {
        space: getattr(bundle, space_name(space))
        for space in READ_SPACES
        if space_name(space) in bundle.signature.members
    }


def by_name(bundle) -> dict[str, data.View]:
    """Members of a bundle that `operands` describes, by name."""
    return {name: getattr(bundle, name) for name in bundle.signature.members}


def members_of(bundle) -> list:
    """The members of a bundle, in order."""
    return [getattr(bundle, name) for name in bundle.signature.members]
