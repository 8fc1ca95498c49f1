"""Operand control: ports, priorities, waiting, faults. What it does to data is tested with whole programs."""

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import TINY
from triovit.hdl.compute.operands import OperandControl
from triovit.hdl.compute.steps import StepKind
from triovit.hdl.rmac.stalling import RMACMode

STEP = {"kind": StepKind.CONV, "count": 1, "first": 1, "last": 1}


def outputs(dut) -> dict:
    """The outputs that are looked at, by a name each."""
    seen = {"rmac": dut.rmac.steps.ready, "mat": dut.mat.steps.ready, "idle": dut.idle}
    for name, side in (("rmac", dut.rmac), ("mat", dut.mat)):
        seen |= {f"{name}_stall": side.stall, f"{name}_fault": side.fault, f"{name}_push": side.results.push}
    for name, port in (("a", dut.a), ("o", dut.o), ("k", dut.k), ("b", dut.b), ("c", dut.c)):
        seen |= {f"{name}_en": port.request, f"{name}_address": port.address}
    return seen | {"a_double": dut.a.double, "a_hold": dut.a.hold}


def inputs(dut) -> dict:
    """The inputs besides steps, by a name each."""
    ready = {f"{name}_ready": dut.ready[name] for name in ("rmac", "row_sum", "layer_norm", "mat")}
    space = {"rmac_space": dut.rmac.results.space, "mat_space": dut.mat.results.space}
    return ready | space | {"o_blocked": dut.o.blocked, "a_blocked": dut.a.blocked}


def run(scenario):
    """scenario(drive): drive(rmac=..., mat=..., name=value) sets steps (None: no step) and inputs, passes a clock edge
    and returns the outputs before it."""
    dut = OperandControl(TINY)
    to, out = inputs(dut), outputs(dut)

    async def bench(ctx):
        for name, port in to.items():
            ctx.set(port, not name.endswith("blocked"))

        async def drive(rmac=None, mat=None, **values):
            for stream, step in ((dut.rmac.steps, rmac), (dut.mat.steps, mat)):
                ctx.set(stream.valid, step is not None)
                if step is not None:
                    ctx.set(stream.payload, STEP | step)
            for name, value in values.items():
                ctx.set(to[name], value)
            seen = {name: ctx.get(port) for name, port in out.items()}
            seen |= {name: ctx.get(dut.control[name]) for name in dut.control.shape().members}
            await ctx.tick()
            return seen

        await scenario(drive)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def test_a_step_stands_before_its_engine_two_cycles_later():
    async def scenario(drive):
        kinds = (
            (StepKind.CONV, "rmac", RMACMode.POINTWISE), (StepKind.DEPTHWISE, "rmac", RMACMode.DEPTHWISE),
            (StepKind.ROW_SUM, "row_sum", None), (StepKind.LAYER_NORM, "layer_norm", None),
        )  # fmt: skip
        for kind, name, mode in kinds:
            step = {"kind": kind, "features": 7, "weights": 8, "count": 3, "first": 0, "stride": 1}
            step |= {"channels": 9, "epsilon": 11}
            seen = [await drive(rmac=step), await drive(), await drive(), await drive()]
            assert seen[0]["rmac"] and seen[0]["a_en"] and seen[0]["b_en"]
            assert (seen[0]["a_address"], seen[0]["b_address"], seen[0]["a_double"]) == (7, 8, 1)
            for other in ("rmac", "row_sum", "layer_norm"):
                assert [s[f"{other}_valid"] for s in seen] == [0, 0, other == name, 0]
            assert mode is None or seen[2]["mode"] == mode
            beat = [seen[2][field] for field in ("first", "last", "rows", "count", "channels", "epsilon")]
            assert beat == [0, 1, 3, 3, 9, 11]
            assert [s["idle"] for s in seen] == [1, 0, 0, 1]
        seen = [await drive(mat={"features": 5, "weights": 6, "first": 0}), await drive(), await drive(), await drive()]
        assert (seen[0]["a_address"], seen[0]["c_address"], seen[0]["k_en"], seen[0]["b_en"]) == (5, 6, 0, 0)
        assert [s["mat_valid"] for s in seen] == [0, 0, 1, 0] and (seen[2]["mat_first"], seen[2]["mat_last"]) == (0, 1)
        seen = await drive(mat={"weights": 6, "stationary": 1})
        assert (seen["k_en"], seen["k_address"], seen["c_en"]) == (1, 6, 0)

    run(scenario)


def test_an_outer_product_sends_a_window_token_by_token():
    async def scenario(drive):
        for count in (1, 3, 4):
            key = {"kind": StepKind.OUTER, "key": 1, "count": count}
            await drive(rmac=key)
            assert (await drive(rmac=key | {"key": 0}))["key_capture"]
            assert (await drive())["rmac_load"]
            seen = [await drive() for _ in range(count + 1)]
            assert [s["rmac_valid"] for s in seen] == [1] * count + [0]
            assert [s["first"] for s in seen[:-1]] == [1] + [0] * (count - 1)
            assert [s["last"] for s in seen[:-1]] == [0] * (count - 1) + [1]
            assert all(s["rows"] == TINY.block and s["mode"] == RMACMode.OUTER and s["rmac_shift"] for s in seen[:-1])

    run(scenario)


def test_priorities_at_the_ports():
    async def scenario(drive):
        a, o = {"features": 1, "weights": 3}, {"features": 2, "weights": 4, "source": 1}
        for _ in range(3):  # both want A, or both O: the R-MAC goes first
            for step in (a, o):
                seen = await drive(rmac=step, mat=step | {"features": 9})
                assert (seen["rmac"], seen["mat"], seen["rmac_stall"], seen["mat_stall"]) == (1, 0, 0, 1)
                assert (seen["o_address"] if step is o else seen["a_address"]) == step["features"]
        for first, second in ((a, o), (o, a)):  # one each: both go
            seen = await drive(rmac=first, mat=second)
            assert seen["rmac"] and seen["mat"] and seen["a_en"] and seen["o_en"]
            assert (seen["a_address"], seen["o_address"]) == (1, 2)
        seen = await drive(rmac=o, mat=o, o_blocked=1)  # residual operands before both
        assert not seen["rmac"] and not seen["mat"] and seen["rmac_stall"] and not seen["o_en"]
        seen = await drive(rmac=a, mat=o)
        assert seen["rmac"] and not seen["mat"]
        seen = await drive(mat=o, o_blocked=0)
        assert seen["mat"] and seen["o_en"]

    run(scenario)


def test_what_waits_keeps_its_operands():
    """An engine that is not ready stops its own side, and the other side's reads of A while A's output is needed."""

    async def scenario(drive):
        a = {"features": 1}
        taken = [(await drive(rmac=a, rmac_ready=0))["rmac"] for _ in range(5)]
        assert taken == [1, 1, 0, 0, 0]  # S2 and S1 are full
        assert not (await drive(mat=a))["mat"]
        assert (await drive(mat=a | {"source": 1}))["mat"]
        assert (await drive(rmac=a, mat=a, rmac_ready=1))["rmac"]
        await drive(), await drive(), await drive()
        taken = [(await drive(mat=a, mat_ready=0))["mat"] for _ in range(4)]
        assert taken == [1, 1, 0, 0]
        assert not (await drive(rmac=a))["rmac"]
        seen = await drive(rmac=a | {"source": 1})
        assert seen["rmac"]

    run(scenario)


def test_a_window_that_others_hold_is_left_alone():
    """Further pipelines read A, too: nobody reads while one of them, or the pair, still needs A's output."""

    async def scenario(drive):
        a, o = {"features": 1}, {"features": 2, "source": 1}
        for side in ("rmac", "mat"):
            seen = await drive(**{side: a, "a_blocked": 1})
            assert not seen[side] and seen[f"{side}_stall"] and not seen["a_en"]
            assert (await drive(**{side: o, "a_blocked": 1}))[side]
            await drive(), await drive()
            assert (await drive(**{side: a, "a_blocked": 0, f"{side}_ready": 0}))[side]
            seen = [await drive() for _ in range(2)]  # into S2, where it waits
            assert not any(s["a_hold"] for s in seen)
            assert (await drive(**{side: a}))[side]
            assert (await drive())["a_hold"]
            assert not (await drive(**{f"{side}_ready": 1}))["a_hold"]
            await drive(), await drive()

    run(scenario)


def test_a_word_of_o_is_held():
    async def scenario(drive):
        for side in ("rmac", "mat"):
            step = {"source": 1}
            await drive(**{side: step, f"{side}_ready": 0})
            await drive(**{side: step})
            seen = await drive()
            assert seen[f"{side}_hold"] and not seen[f"{side}_held"] and seen[f"{side}_from_o"]
            seen = await drive(**{f"{side}_ready": 1})
            assert seen[f"{side}_held"] and seen[f"{side}_load"]
            await drive(), await drive(), await drive()

    run(scenario)


def test_a_joint_step_takes_both_sides():
    async def scenario(drive):
        joint = {"joint": 1, "weights": 12, "push": 1, "partner_out": 77, "result": {"out": 70, "parameters": 5}}
        await drive(mat={"last": 0}, mat_ready=0)
        await drive(mat={}), await drive()
        assert not (await drive(rmac=joint))["rmac"]  # the MAT's own steps first
        await drive(mat_ready=1)
        await drive()
        assert not (await drive(rmac=joint, mat_space=0))["rmac"]
        assert not (await drive(rmac=joint, mat_space=1, rmac_space=0))["rmac"]
        seen = await drive(rmac=joint, rmac_space=1)
        assert seen["rmac"] and seen["rmac_push"] and seen["mat_push"] and seen["b_en"] and seen["c_en"]
        assert (seen["b_address"], seen["c_address"]) == (12, 12)
        seen = await drive()
        assert seen["rmac_load"] and seen["mat_load"] and seen["mat_joint"]
        seen = await drive(rmac_ready=0, mat_ready=0)
        assert seen["rmac_valid"] and seen["mat_valid"]
        await drive(rmac=joint)
        seen = await drive(mat={"features": 3, "source": 1})
        assert not seen["mat"] and not seen["rmac_load"]  # until the joint step has left S1
        seen = await drive(rmac_ready=1)
        assert not seen["rmac_load"] and not seen["mat_load"]  # one engine is not enough
        seen = await drive(mat_ready=1)
        assert seen["rmac_load"] and seen["mat_load"]

    run(scenario)


def test_results_need_room():
    async def scenario(drive):
        for side in ("rmac", "mat"):
            push = {"push": 1}
            seen = await drive(**{side: push, f"{side}_space": 0})
            assert not seen[side] and not seen[f"{side}_push"] and seen[f"{side}_stall"]
            assert (await drive(**{side: {}}))[side]  # in the middle of an accumulation there is nothing to keep
            seen = await drive(**{side: push, f"{side}_space": 1})
            assert seen[side] and seen[f"{side}_push"]

    run(scenario)


A, RESULTS, W, K, N = TINY.feature_words, TINY.output_words, TINY.weight_words, TINY.attention_words, TINY.block
LIMITS = [  # side, field, last address that is legal, other fields
    ("rmac", "features", A - 1, {}),
    ("mat", "features", A - 1, {}),
    ("rmac", "features", RESULTS - 1, {"source": 1}),
    ("mat", "features", RESULTS - 1, {"source": 1}),
    ("rmac", "features", A - 3, {"kind": StepKind.DEPTHWISE, "count": 3}),
    ("rmac", "features", A - 5, {"kind": StepKind.DEPTHWISE, "count": 3, "stride": 1}),
    ("rmac", "features", A - 4, {"kind": StepKind.OUTER, "count": 4, "weights": W}),
    ("rmac", "features", A - 2, {"kind": StepKind.ROW_SUM, "count": 2, "weights": W}),
    ("rmac", "features", A - 1, {"kind": StepKind.LAYER_NORM, "count": 4}),
    ("rmac", "features", A - 1, {"count": 3}),
    ("rmac", "weights", W - N, {}),
    ("mat", "weights", W - N, {}),
    ("mat", "weights", K - N, {"stationary": 1}),
    ("rmac", "weights", W - 1, {"kind": StepKind.DEPTHWISE}),
    ("rmac", "weights", W - 1, {"kind": StepKind.LAYER_NORM}),
]


@pytest.mark.parametrize("side,field,last,fields", LIMITS)
def test_addresses(side, field, last, fields):
    async def scenario(drive):
        for address, fault in ((last, 0), (last + 1, 1), ((1 << 24) - 1, 1), (0, 0)):
            seen = await drive(**{side: fields | {field: address}})
            assert seen[side] and seen[f"{side}_fault"] == fault, address
            for _ in range(TINY.block + 2):  # an outer product's tokens leave one by one
                assert (await drive())[f"{side}_fault"] == 0

    run(scenario)
