"""The sequencer's steps against the loop table of docs/architecture.md, with random stalls, cycle by cycle."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from tests.hdl.isa import words
from triovit.golden.integer.arithmetic import MAX_FRACTION_BITS
from triovit.hdl.compute.sequencer import Sequencer
from triovit.hdl.compute.steps import StepKind
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.instructions import Instruction, field_offsets
from triovit.hdl.isa.names import Destination, Opcode, PostMode, Unit
from triovit.hdl.isa.rules import broken_rules

CONFIG = PRESETS["trio-tiny"].validate()
BLOCK = CONFIG.block
O, A, K, DIVISOR = Destination  # noqa: E741


def expected_steps(i: Instruction) -> list[dict]:
    """The steps of an instruction as plain loops."""
    steps, s = [], i.stride + 1
    convolution = i.opcode in (Opcode.RMAC_CONV, Opcode.MAT_CONV)

    def add(features, weights, first, last, result=None, **values):
        steps.append(
            {"features": features, "weights": weights, "first": first, "last": last, "result": result, **values}
        )

    if convolution or i.opcode == Opcode.RMAC_DEPTHWISE:
        pixels, blocks = (1, i.blocks) if convolution else (BLOCK // s, 1)
        inner = [(r, c, b) for r in range(i.kernel_rows) for c in range(i.kernel_cols) for b in range(blocks)]
        width = BLOCK if convolution else 1
        joint = i.joint and i.opcode == Opcode.RMAC_CONV
        for g in range(i.groups):
            for y in range(i.rows):
                for x in range(0, i.cols, pixels):
                    for n, (r, c, b) in enumerate(inner):
                        last = n == len(inner) - 1
                        column = g * 2 if joint else g
                        result = {
                            "out": i.out_base + column * i.out_group + y * i.out_row + x,
                            "parameters": i.parameters + column,
                            "pixel": y * i.cols + x if convolution else None,
                            "rows": 1 if convolution else min(pixels, i.cols - x),
                        }
                        add(
                            i.in_base
                            + g * i.in_group
                            + (y * s + r) * i.in_row
                            + x * s
                            + c
                            + (b * i.in_block if convolution else 0),
                            i.weights + (g * len(inner) + n) * width,
                            n == 0,
                            last,
                            result if last else None,
                            count=None if convolution else min(pixels, i.cols - x),
                            partner_out=result["out"] + i.out_group if joint and last else None,
                        )
    elif i.opcode == Opcode.RMAC_OUTER:
        for g in range(i.groups):
            for r in range(i.kernel_rows):
                windows = [(y, x) for y in range(i.rows) for x in range(0, i.cols, BLOCK)]
                for n, (y, x) in enumerate(windows):
                    last = n == len(windows) - 1
                    position = y * i.in_row + x
                    add(i.in_base + r * i.in_block + position, None, n == 0, last, None, key=1)
                    add(
                        i.in_value + g * i.in_group + position,
                        None,
                        n == 0,
                        last,
                        {
                            "out": i.out_base + g * i.out_group + r * i.out_row,
                            "parameters": i.parameters,
                            "rows": BLOCK,
                            "attention": i.attention + (g * i.kernel_rows + r) * BLOCK,
                        }
                        if last
                        else None,
                        key=0,
                        count=min(BLOCK, i.cols - x),
                    )
    elif i.opcode == Opcode.RMAC_ROW_SUM:
        for g in range(i.groups):
            windows = [(y, x) for y in range(i.rows) for x in range(0, i.cols, BLOCK)]
            for n, (y, x) in enumerate(windows):
                last = n == len(windows) - 1
                add(
                    i.in_base + g * i.in_group + y * i.in_row + x,
                    None,
                    n == 0,
                    last,
                    {
                        "out": i.out_base + g * i.out_group,
                        "attention": i.attention + g * BLOCK,
                        "rows": 1,
                        "parameters": i.parameters + (0 if i.destination & Destination.K else g),
                    }
                    if last
                    else None,
                    count=min(BLOCK, i.cols - x),
                )
    elif i.opcode == Opcode.RMAC_LAYER_NORM:
        for half in range(2):
            for b in range(i.blocks):
                add(
                    i.in_base + b * i.in_block,
                    i.weights + b,
                    None,
                    b == i.blocks - 1,
                    {"out": i.out_base + b * i.out_group, "parameters": i.parameters + b, "rows": 1} if half else None,
                )
    for n, step in enumerate(steps):
        step["final"] = n == len(steps) - 1
    return steps


def random_instruction(opcode: Opcode, rng: random.Random) -> Instruction:
    kept = K if opcode in (Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM) else A
    fields = {
        "groups": rng.randint(1, 3),
        "rows": rng.randint(1, 3),
        "cols": rng.randint(1, 11),
        "kernel_rows": rng.randint(1, 3),
        "kernel_cols": rng.randint(1, 3),
        "blocks": rng.randint(1, 3),
        "stride": rng.randint(0, 1),
        "joint": rng.randint(0, 1) if opcode == Opcode.RMAC_CONV else 0,
        "destination": rng.choice((O, kept, O | kept)),
        "mode": rng.choice((0, 1, 3, 4)),
        "parameters": rng.randint(0, 30),
        "epsilon": rng.getrandbits(32),
    }
    for name in (
        "in_base",
        "in_group",
        "in_row",
        "in_block",
        "in_value",
        "weights",
        "out_base",
        "out_group",
        "out_row",
    ):
        fields[name] = rng.randint(0, 500)
    fields["attention"] = BLOCK * rng.randint(0, 25)
    if opcode in (Opcode.RMAC_CONV, Opcode.MAT_CONV):
        fields["weights"] -= fields["weights"] % BLOCK
    return Instruction(opcode, fields)


def encoded(instruction) -> int:
    """Word of an instruction, or of (word, offset, width, value): with a field that `encode` might refuse."""
    if isinstance(instruction, Instruction):
        return int.from_bytes(instruction.encode(), "little")
    word, offset, width, value = instruction
    return word & ~(((1 << width) - 1) << offset) | value << offset


def run(unit: Unit, instructions: list[Instruction], ready, settled=lambda: True):
    """Drive a sequencer; returns the accepted steps as (cycle, dict of the payload), the acceptance cycles, and the
    cycle and index of errors."""
    dut = Sequencer(CONFIG, unit)
    steps, accepted, errors = [], [], []

    async def feed(ctx):
        for number, instruction in enumerate(instructions):
            ctx.set(dut.i.payload, {"word": encoded(instruction), "index": number})
            ctx.set(dut.i.valid, 1)
            taken = False
            while not taken:
                _, _, taken = await ctx.tick().sample(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        cycle, quiet = 0, 0
        while quiet < 60:
            ctx.set(dut.o.ready, ready())
            ctx.set(dut.settled, settled())
            names = ("features", "weights", "first", "last", "count", "key", "push", "partner_out", "joint", "kind")
            names += ("index", "begins")
            values = await ctx.tick().sample(
                dut.o.valid,
                dut.o.ready,
                dut.o.payload,
                dut.accepted,
                dut.index,
                dut.error,
            )
            _, _, valid, taken, payload, accept, index, error = values
            if valid and taken:
                step = {name: getattr(payload, name) for name in names}
                step["result"] = {
                    n: getattr(payload.result, n) for n in ("out", "parameters", "attention", "pixel", "rows", "final")
                }
                steps.append((cycle, step))
            if accept:
                accepted.append((cycle, index))
            if error:
                errors.append((cycle, ctx.get(dut.index)))
            quiet = 0 if valid or accept or error else quiet + 1
            cycle += 1
            assert cycle < 20_000

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed, background=True)
    sim.add_testbench(watch)
    sim.run()
    return steps, accepted, errors


@pytest.mark.parametrize(
    "opcode", [o for o in Opcode if o >> 4 in (3, 4) and o != Opcode.MAT_JOIN], ids=lambda o: o.name
)
@pytest.mark.parametrize("stalls", (0.0, 0.5))
def test_steps(opcode, stalls):
    rng = random.Random(int(opcode))
    instructions = [random_instruction(opcode, rng) for _ in range(12)]
    steps, accepted, errors = run(Unit(opcode >> 4), instructions, lambda: rng.random() >= stalls)
    assert not errors and len(accepted) == len(instructions)
    expected = [(n, step) for n, i in enumerate(instructions) for step in expected_steps(i)]
    assert len(steps) == len(expected)
    begun = set()
    for (_, got), (number, want) in zip(steps, expected, strict=True):
        assert (got["index"], got["begins"]) == (number, number not in begun)
        begun.add(number)
        for name in ("features", "weights", "first", "last", "count", "key", "partner_out"):
            if want.get(name) is not None:
                assert got[name] == int(want[name]), (number, name, want)
        assert got["push"] == (want["result"] is not None)
        for name, value in (want["result"] or {}).items():
            if value is not None:
                assert got["result"][name] == value, (number, name, want)
        if want["result"] is not None:
            assert got["result"]["final"] == want["final"]
        assert got["joint"] == (instructions[number].joint if opcode == Opcode.RMAC_CONV else 0)
        assert (
            got["kind"]
            == {
                0: StepKind.CONV,
                1: StepKind.DEPTHWISE,
                2: StepKind.OUTER,
                3: StepKind.ROW_SUM,
                4: StepKind.LAYER_NORM,
            }[int(opcode) & 15]
        )
    if not stalls:
        # One step per cycle, also from instruction to instruction: an instruction of one step is over before the next
        # one has been looked at.
        position, cycle = 0, Sequencer.latency
        for number, (start, index) in enumerate(accepted):
            assert (start, index) == (cycle, number)
            length = sum(1 for n, _ in expected if n == number)
            assert [when for when, _ in steps[position : position + length]] == [*range(cycle, cycle + length)]
            position += length
            cycle += max(length, 2)


@pytest.mark.parametrize("stalls", (0.0, 0.5))
def test_a_join_is_one_step(stalls):
    """Between the steps of other instructions, and behind another MAT_JOIN; it ends no accumulation."""
    rng = random.Random(5)
    convolution, join = random_instruction(Opcode.MAT_CONV, rng), Instruction(Opcode.MAT_JOIN, {})
    instructions = [join, join, convolution, join, convolution]
    steps, accepted, errors = run(Unit.MAT, instructions, lambda: rng.random() >= stalls)
    assert not errors and [index for _, index in accepted] == [0, 1, 2, 3, 4]
    length = len(expected_steps(convolution))
    assert [step["index"] for _, step in steps] == [0, 1] + [2] * length + [3] + [4] * length
    for _, step in steps:
        is_join = step["index"] in (0, 1, 3)
        assert step["joint"] == is_join and (not is_join or step["begins"])


def test_a_refusal_waits_for_the_steps_before_it():
    rng = random.Random(6)
    good = random_instruction(Opcode.MAT_CONV, rng)
    bad = (int.from_bytes(good.encode(), "little"), *field_offsets(Opcode.MAT_CONV)["groups"], 0)
    countdown = iter([False] * 80)
    steps, accepted, errors = run(Unit.MAT, [good, bad], lambda: True, lambda: next(countdown, True))
    assert steps[-1][0] < 70 and len(accepted) == 1 and errors == [(80, 1)]


@pytest.mark.parametrize(
    "field,value,opcode",
    [
        ("mode", max(PostMode) + 1, Opcode.RMAC_CONV),
        ("destination", 0, Opcode.MAT_CONV),
        ("source", 1, Opcode.RMAC_OUTER),
        ("source", 1, Opcode.RMAC_DEPTHWISE),
        ("fraction_bits", MAX_FRACTION_BITS + 1, Opcode.MAT_CONV),
        ("mode", PostMode.DIVIDE, Opcode.RMAC_OUTER),
        ("destination", O | K, Opcode.RMAC_CONV),
        ("destination", K, Opcode.MAT_CONV),
        ("destination", K, Opcode.RMAC_LAYER_NORM),
        ("destination", O | DIVISOR, Opcode.RMAC_DEPTHWISE),
        ("joint", 1, Opcode.MAT_CONV),
        ("joint", 1, Opcode.RMAC_ROW_SUM),
        ("stationary", 1, Opcode.RMAC_CONV),
        ("stationary", 1, Opcode.RMAC_DEPTHWISE),
        ("weights", BLOCK + 1, Opcode.RMAC_CONV),
        ("weights", BLOCK // 2, Opcode.MAT_CONV),
        *(
            (name, 0, opcode)
            for opcode in (Opcode.RMAC_CONV, Opcode.MAT_CONV)
            for name in ("groups", "rows", "cols", "kernel_rows", "kernel_cols", "blocks")
        ),
    ],
)
def test_illegal_fields(field, value, opcode):
    good = random_instruction(opcode, random.Random(1))
    bad = (int.from_bytes(good.encode(), "little"), *field_offsets(opcode)[field])
    steps, accepted, errors = run(Unit(opcode >> 4), [good, (*bad, value), good], lambda: True)
    assert [index for _, index in errors] == [1] and len(accepted) == 1  # nothing runs after the refused instruction
    assert len(steps) == len(expected_steps(good))


@pytest.mark.parametrize("unit", [Unit.RMAC, Unit.MAT], ids=lambda unit: unit.name)
def test_random_words_are_refused_as_the_rules_say(unit):
    """Words of every opcode, and of none; a legal one is cut short by a reset."""
    rng, reset = random.Random(int(unit)), Signal()
    made = [words.random_instruction(op, rng, BLOCK) for op in Opcode if op >> 4 == unit for _ in range(100)]
    cases = [(words.word_of(i), bool(broken_rules(i, BLOCK))) for i in made]
    legal = next(word for word, refused in cases if not refused)
    cases += [(legal & ~0xFF | unit << 4 | low, True) for low in range(5 if unit == Unit.RMAC else 2, 16)]
    dut = Sequencer(CONFIG, unit)
    verdicts = []

    async def bench(ctx):
        for word, _ in cases:
            ctx.set(dut.settled, 1)
            ctx.set(dut.i.payload.word, word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            error = ctx.get(dut.error)
            await ctx.tick()
            accepted = ctx.get(dut.accepted)
            assert error != accepted
            verdicts.append(bool(error))
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert verdicts == [refused for _, refused in cases]
    assert {True, False} == set(verdicts)


def test_the_divisor_buffer_is_for_codes():
    good = random_instruction(Opcode.MAT_CONV, random.Random(2))
    codes = Instruction(Opcode.MAT_CONV, good.fields | {"mode": PostMode.LOG2, "destination": O | DIVISOR})
    bytes_ = Instruction(Opcode.MAT_CONV, codes.fields | {"mode": PostMode.LINEAR})
    _, accepted, errors = run(Unit.MAT, [codes, bytes_], lambda: True)
    assert [index for _, index in errors] == [1] and len(accepted) == 1
