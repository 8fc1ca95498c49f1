"""What the benches of accumulating engines share: groups of beats, and a reference of the handshake cycle by cycle."""

from __future__ import annotations

import random

from cocotb.triggers import ReadOnly, RisingEdge

from triovit.sim.bench import CycleCounter, StreamSink, StreamSource, pack, random_value, stall_patterns, start, unpack


def schedule(latency: int, emits, pauses, source_stall, sink_stall) -> tuple[list[int], list[int]]:
    """Cycles in which an engine that freezes as a whole takes its beats and gives its results.

    emits[k]: beat k gives a result, `latency` enabled cycles later. pauses[k]: enabled cycles for which the engine
    takes nothing after beat k. The stalls are those of `StreamSource` and `StreamSink`.
    """
    accepted, given, offered, pause = [], [], False, 0
    stages = [False] * latency
    cycle = 0
    while len(accepted) < len(emits) or any(stages):
        if not offered:
            offered = len(accepted) < len(emits) and not source_stall()
        ready = not sink_stall()
        if ready or not stages[-1]:
            if stages[-1]:
                given.append(cycle)
            entering = False
            if pause:
                pause -= 1
            elif offered:
                entering, pause = emits[len(accepted)], pauses[len(accepted)]
                accepted.append(cycle)
                offered = False
            stages = [entering, *stages[:-1]]
        cycle += 1
    return accepted, given


def group_flags(seed: int, beats: int) -> list[tuple[bool, bool]]:
    """(first, last) of `beats` beats in groups: single beats in a row, pairs, and longer groups mixed."""
    coin, flags = random.Random(seed), []
    while len(flags) < beats:
        length = coin.choice((1, 1, 1, 2, 3, coin.randint(1, 12)))
        flags += [(k == 0, k == length - 1) for k in range(length)]
    return flags


async def interrupt(dut, engine, seed: str):
    """Fill the engine with random beats, then reset it for one cycle: nothing of them may be left."""
    coin = random.Random(seed)
    last = coin.choice((0, 0.1, 0.9))
    dut.i_valid.value = 1
    for _ in range(coin.randint(1, engine.latency + 3)):
        beat = random_value(engine.i.payload.shape(), coin) | {"last": coin.random() < last}
        dut.i_payload.value = pack(engine.i.payload.shape(), beat)
        await RisingEdge(dut.clk)
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    dut.i_valid.value = 0


async def check_engine(dut, engine, items, expected, pauses, source: str, sink: str):
    """Send `items` (values of `engine.i.payload`), compare all results with `expected` and all cycles with `schedule`.

    expected: one entry an item, None where no result appears.
    """
    await start(dut)
    await interrupt(dut, engine, f"{source} {sink}")
    i = StreamSource(dut, "i", dut.clk, stall_patterns(1)[source])
    o = StreamSink(dut, "o", dut.clk, stall_patterns(2)[sink])
    i.send(pack(engine.i.payload.shape(), item) for item in items)
    await ReadOnly()
    start_cycle = CycleCounter.of(dut.clk).value
    await RisingEdge(dut.clk)
    emits = [value is not None for value in expected]
    wanted = [value for value in expected if value is not None]
    accepted, given = schedule(engine.latency, emits, pauses, stall_patterns(1)[source], stall_patterns(2)[sink])
    words = await o.collect(len(wanted), timeout=given[-1] + 100)  # ends soon when the engine hangs
    await i.drain(timeout=100)
    for _ in range(2 * engine.latency + 100):  # nothing may follow
        await RisingEdge(dut.clk)
    o.check()
    got = [unpack(engine.o.payload.shape(), word)["acc"] for word in words]
    for k, (value, right) in enumerate(zip(got, wanted, strict=True)):
        assert value == list(right), f"result {k}: {value}, expected {list(right)}"
    assert i.cycles == [start_cycle + cycle for cycle in accepted]
    assert o.cycles == [start_cycle + cycle for cycle in given]
