"""Result control: the arbiter, latencies, addresses, signals, faults. Data goes through it in whole programs."""

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import TINY
from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.compute.results import INSTRUCTIONS_IN_FLIGHT, RESULTS_IN_FLIGHT, ResultControl
from triovit.hdl.config.engines import engines_of
from triovit.hdl.isa.names import PostMode

LATENCY = 1 + PostProcessing.latency  # from a row that is taken to its write
RESULT = {"destination": 1, "out": 100, "parameters": 3, "final": 1}


ENGINES = [engine for engine in engines_of(TINY) if engine.computes]
ROWS = ("rmac", "row_sum", "layer_norm", "mat")  # the engines of RMAC, then that of MAT


def outputs(dut) -> dict:
    """The outputs that are looked at, by a name each."""
    seen = {"p_en": dut.p_en, "p_address": dut.p_address, "o_en": dut.o_en, "o_address": dut.o_address}
    for x, port in zip(("rmac", "mat"), dut.units, strict=True):
        seen |= {f"{x}_space": port.results.space, f"{x}_room": port.room, f"{x}_idle": port.idle}
        seen |= {f"{x}_done": port.done, f"{x}_done_signal": port.done_signal, f"{x}_done_index": port.done_index}
        seen |= {f"{x}_fault": port.fault, f"{x}_fault_index": port.fault_index}
    return seen


def inputs(dut) -> dict:
    """The inputs, by a name each."""
    result = {f"{name}_valid": row.valid for name, row in zip(ROWS, dut.rows, strict=True)}
    result["rmac_last"] = dut.rows[0].last
    for x, port in zip(("rmac", "mat"), dut.units, strict=True):
        result |= {f"{x}_push": port.results.push, f"{x}_result": port.results.result}
        result |= {f"{x}_accepted": port.accepted, f"{x}_signal": port.signal, f"{x}_index": port.index}
    return result


def run(scenario):
    """scenario(drive): drive(name=value, ...) sets inputs, passes a clock edge and returns the outputs before it.

    rmac_accepted, mat_accepted, rmac_push, mat_push, and all rows go back to zero by themselves.
    """
    dut = ResultControl(TINY, ENGINES)
    to, out = inputs(dut), outputs(dut)

    async def bench(ctx):
        for row in dut.rows[1:]:
            ctx.set(row.last, 1)

        async def drive(**values):
            for name, port in to.items():
                if name.endswith(("_accepted", "_push", "_valid")):
                    ctx.set(port, 0)
            for name, value in values.items():
                ctx.set(to[name], value)
            seen = {name: ctx.get(port) for name, port in out.items()}
            control = {name: ctx.get(dut.control[name]) for name in dut.control.shape().members}
            ready = control.pop("ready")
            seen |= control | {f"{name}_ready": ready >> k & 1 for k, name in enumerate(ROWS)}
            await ctx.tick()
            return seen

        await scenario(drive)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


async def begin(drive, side, index, *results, signal=0):
    """An instruction and its descriptors."""
    await drive(**{f"{side}_accepted": 1, f"{side}_index": index, f"{side}_signal": signal})
    for result in results:
        await drive(**{f"{side}_push": 1, f"{side}_result": RESULT | result})
    await drive()
    await drive()


@pytest.mark.parametrize(
    "side,number,row", [("rmac", 0, "rmac"), ("rmac", 1, "row_sum"), ("rmac", 2, "layer_norm"), ("mat", 0, "mat")]
)
def test_a_row_is_written_after_the_pipeline(side, number, row):
    async def scenario(drive):
        result = {
            "row": number, "destination": 0b1011, "attention": 40, "pixel": 9, "residual": 1, "mode": PostMode.LINEAR,
            "log2_offset": -7, "fraction_bits": 5,
        }  # fmt: skip
        await begin(drive, side, 77, result, signal=0x80000001)
        others = {f"{name}_valid": 1 for name in ("rmac", "row_sum", "layer_norm") if name != row and side == "rmac"}
        assert not (await drive(**others))["take"]  # rows of other kinds are not this result's
        seen = [await drive(**{f"{row}_valid": 1, "rmac_last": 1})]
        seen += [await drive() for _ in range(LATENCY + 2)]
        assert [s["take"] for s in seen] == [1] + [0] * (LATENCY + 2)
        first = seen[0]
        assert first["source"] == ROWS.index(row) and first[f"{row}_ready"]
        assert first["p_en"] and first["o_en"] and first["code_en"]
        assert (first["p_address"], first["o_address"], first["code_address"]) == (48, 100, 9)
        second = seen[1]
        assert (second["use_residual"], second["log2_offset"], second["fraction_bits"]) == (1, -7, 5)
        assert [s["write"] for s in seen] == [0] * LATENCY + [0b1011, 0, 0]
        assert (seen[LATENCY]["out"], seen[LATENCY]["attention"], seen[LATENCY]["pixel"]) == (100, 40, 9)
        assert [s[f"{side}_done"] for s in seen] == [0] * LATENCY + [1, 0, 0]
        assert (seen[LATENCY][f"{side}_done_index"], seen[LATENCY][f"{side}_done_signal"]) == (77, 0x80000001)
        other = "mat" if side == "rmac" else "rmac"
        assert not any(s[f"{other}_done"] or s[f"{side}_fault"] for s in seen)
        assert not seen[LATENCY][f"{side}_idle"] and seen[-1][f"{side}_idle"]

    run(scenario)


def test_rows_of_one_result_and_r_mac_first():
    async def scenario(drive):
        await begin(drive, "rmac", 1, {"destination": 4, "attention": 8})
        await begin(drive, "mat", 2, {"out": 500})
        seen = [await drive(rmac_valid=1, mat_valid=1, rmac_last=last) for last in (0, 0, 1)]
        assert all(s["rmac_ready"] and not s["mat_ready"] for s in seen)
        assert [s["o_address"] for s in seen] == [100, 101, 102]
        seen = await drive(rmac_valid=1, mat_valid=1, rmac_last=1)  # no descriptor is left for another row
        assert seen["mat_ready"] and not seen["rmac_ready"] and seen["source"] == ROWS.index("mat")
        seen = [await drive() for _ in range(LATENCY + 1)]
        writes = [(s["out"], s["attention"], s["write"], s["rmac_done"], s["mat_done"]) for s in seen if s["write"]]
        assert [w[1:] for w in writes] == [(8, 4, 0, 0), (9, 4, 0, 0), (10, 4, 1, 0), (0, 1, 0, 1)]
        assert writes[-1][0] == 500

    run(scenario)


@pytest.mark.parametrize("side", ("rmac", "mat"))
def test_wide_rows_take_two_cycles(side):
    async def scenario(drive):
        await begin(drive, side, 1, {"mode": PostMode.WIDE, "high": 33})
        other = "mat" if side == "rmac" else "rmac"
        await begin(drive, other, 2, {"out": 200})
        rows = {f"{side}_valid": 1, "rmac_last": 1}
        seen = [await drive(**rows)]
        seen += [await drive(**rows, **{f"{other}_valid": 1})]  # nobody comes in between
        assert [s["take"] for s in seen] == [1, 1]
        assert [s[f"{side}_ready"] for s in seen] == [0, 1] and not any(s[f"{other}_ready"] for s in seen)
        assert [s["o_address"] for s in seen] == [100, 133]
        after = [await drive(**{f"{other}_valid": 1, "rmac_last": 1})]
        assert [seen[1]["high_byte"], after[0]["high_byte"]] == [0, 1] and after[0][f"{other}_ready"]
        after += [await drive() for _ in range(LATENCY + 1)]
        assert [s["out"] for s in after if s["write"]] == [100, 133, 200]
        assert [(s[f"{side}_done"], s[f"{other}_done"]) for s in after if s["write"]] == [(0, 0), (1, 0), (0, 1)]

    run(scenario)


def test_room():
    async def scenario(drive):
        for side in ("rmac", "mat"):
            count = 0
            while (await drive())[f"{side}_space"]:
                await drive(**{f"{side}_push": 1, f"{side}_result": RESULT})
                count += 1
            assert RESULTS_IN_FLIGHT <= count <= RESULTS_IN_FLIGHT + 1
            count = 0
            while (await drive())[f"{side}_room"]:
                await drive(**{f"{side}_accepted": 1, f"{side}_index": count})
                count += 1
            assert count == INSTRUCTIONS_IN_FLIGHT - 1  # and one may be on its way

    run(scenario)


FAULTS = [  # what is in order, and what is not
    ({"destination": 1, "out": TINY.output_words - 1}, {"destination": 1, "out": TINY.output_words}),
    ({"destination": 2, "out": TINY.feature_words - 1}, {"destination": 2, "out": TINY.feature_words}),
    ({"destination": 4, "attention": TINY.attention_words - 1}, {"destination": 4, "attention": TINY.attention_words}),
    ({"destination": 8, "pixel": TINY.divisors - 1}, {"destination": 8, "pixel": TINY.divisors}),
    ({"parameters": TINY.parameter_blocks - 1}, {"parameters": TINY.parameter_blocks}),
    ({"mode": PostMode.DIVIDE, "pixel": TINY.divisors - 1}, {"mode": PostMode.DIVIDE, "pixel": TINY.divisors}),
    ({"destination": 2, "attention": TINY.attention_words, "pixel": TINY.divisors}, {"destination": 3, "out": 1 << 23}),
    # What the highest bit alone tells: nothing wraps on its way.
    ({"destination": 4}, {"destination": 4, "attention": 1 << 12}),
    ({"destination": 8}, {"destination": 8, "pixel": 1 << 23}),
    ({"parameters": 0}, {"parameters": 1 << 12}),
]


@pytest.mark.parametrize("side", ("rmac", "mat"))
@pytest.mark.parametrize("good,bad", FAULTS)
def test_a_fault_is_that_of_its_own_instruction(side, good, bad):
    """Both instructions are in the pipeline at once."""

    async def scenario(drive):
        await begin(drive, side, 5, good)
        await begin(drive, side, 6, bad)
        seen = [await drive(**{f"{side}_valid": 1, "rmac_last": 1}) for _ in range(2)]
        seen += [await drive() for _ in range(LATENCY + 1)]
        assert [s["take"] for s in seen[:3]] == [1, 1, 0]
        other = "mat" if side == "rmac" else "rmac"
        assert [s[f"{side}_fault"] for s in seen] == [0] * (LATENCY + 1) + [1, 0]
        assert not any(s[f"{other}_fault"] for s in seen)
        assert (seen[LATENCY]["write"], seen[LATENCY + 1]["write"]) == (good.get("destination", 1), 0)
        assert seen[LATENCY + 1][f"{side}_fault_index"] == 6

    run(scenario)
