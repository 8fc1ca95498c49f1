"""Issue control against a reference, in every cycle: who goes, what is read, what is pushed, faults.

The reference knows the time of every step so far and looks at distances; the hardware has timers.
"""

import itertools
import random
from collections import Counter

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import TINY, WIDE, WIDEST
from triovit.hdl.compute.address_check import AddressCheck
from triovit.hdl.compute.engine_timing import EngineTiming
from triovit.hdl.compute.issue import IssueControl
from triovit.hdl.compute.steps import StepKind

CONV, DEPTHWISE, OUTER, ROW_SUM, LAYER_NORM = StepKind
ALONE = (DEPTHWISE, OUTER, ROW_SUM)
PORTS = ("a", "o", "k", "b", "c")
JOIN = {"kind": CONV, "joint": 1, "begins": 1, "source": 0, "push": 0, "result": {}}  # a MAT_JOIN


def steps_of_the_rmac(config, rng):
    """Steps as a sequencer gives them, instruction after instruction."""
    block = config.block
    for index in itertools.count():
        kind = rng.choice(list(StepKind))
        instruction = {
            "index": index, "kind": kind, "relu": rng.randint(0, 1), "channels": rng.randrange(4096),
            "epsilon": rng.getrandbits(32),
            "joint": int(kind == CONV and rng.random() < 0.4), "source": int(kind == CONV and rng.random() < 0.4),
            "stride": rng.randint(0, 1) if kind in (CONV, DEPTHWISE) else 0,
        }  # fmt: skip
        length = rng.choice((1, 2, 3, 9) if kind == OUTER else (1, 2, 3, 40) if kind == ROW_SUM else (1, 1, 2, 4))
        accumulations = rng.randint(1, 3)
        for accumulation in range(accumulations):
            full = rng.random() < 0.7
            rows = rng.randint(1, block // 2 if instruction["stride"] else block)
            for n in range(length):
                far = rng.random() < 0.03
                final = n == length - 1 and accumulation == accumulations - 1
                begins = n == accumulation == 0
                step = instruction | {
                    "begins": int(begins), "first": int(n == 0 and kind != LAYER_NORM), "last": int(n == length - 1),
                    "push": int(n == length - 1), "count": rows,
                    "features": (config.output_words if instruction["source"] else config.feature_words)
                    - rng.randint(0, 2 * block) if far else rng.randrange(1024),
                    "weights": config.weight_words - rng.randint(0, 2 * block) if far else rng.randrange(1024),
                    "partner_out": rng.randrange(1 << 20),
                    "result": {"out": rng.randrange(1 << 20), "parameters": rng.randrange(1 << 10), "rows": rows,
                               "final": int(final)},
                }  # fmt: skip
                if kind in (OUTER, ROW_SUM):
                    step["count"] = block if full else rng.randint(1, block)
                if kind == LAYER_NORM:
                    step["push"] = accumulation % 2  # first pass, second pass
                if kind == OUTER:
                    yield step | {"key": 1, "push": 0}
                yield step | {"key": 0, "begins": int(begins and kind != OUTER)}


def steps_of_the_mat(config, rng):
    for index in itertools.count():
        if rng.random() < 0.3:
            yield JOIN | {"index": index}
            continue
        instruction = {"index": index, "kind": CONV, "relu": rng.randint(0, 1), "source": rng.randint(0, 1), "joint": 0}
        instruction |= {"stationary": rng.randint(0, 1), "stride": rng.randint(0, 1), "count": rng.randint(1, 4)}
        for n in range(rng.randint(1, 20)):
            last, far = rng.random() < 0.4, rng.random() < 0.03
            words = config.attention_words if instruction["stationary"] else config.weight_words
            yield instruction | {
                "begins": int(n == 0), "first": rng.randint(0, 1), "last": int(last), "push": int(last),
                "features": (config.output_words if instruction["source"] else config.feature_words)
                - rng.randint(0, 2) if far else rng.randrange(1024),
                "weights": words - rng.randint(0, 2 * config.block) if far else rng.randrange(200),
                "result": {"out": rng.randrange(1 << 20), "parameters": rng.randrange(1 << 10)},
            }  # fmt: skip


class Reference:
    """What the R-MAC unit's steps have to wait for, from the times of those before."""

    def __init__(self, config):
        self.block, self.timing = config.block, EngineTiming(config)
        self.steps = []  # (time, step, captures), without keys
        self.since_capture = Counter()
        self.resumed = self.restart = False

    def captures(self, step) -> bool:
        most = {OUTER: self.timing.windows, ROW_SUM: self.timing.beats}.get(step["kind"])
        return bool(step["last"] or self.since_capture[step["kind"]] + 1 == most)

    def _after(self, chosen, distance) -> int:
        """The time that a distance to the latest of the chosen steps allows."""
        for time, step, captured in reversed(self.steps):
            if chosen(step, captured):
                return time + distance(step)
        return 0

    def free_from(self, step) -> int:
        timing, kind = self.timing, step["kind"]

        def tokens(s) -> int:
            return self.block - 1 if s["kind"] == OUTER else 0

        if kind == CONV:
            free = self._after(
                lambda s, _: s["kind"] != CONV,
                lambda s: timing.norm_to_conv if s["kind"] == LAYER_NORM else timing.alone_to_conv + tokens(s),
            )
        elif kind == LAYER_NORM:
            free = self._after(lambda s, _: True, lambda s: self._to_norm(s) + tokens(s))
        else:
            free = self._after(
                lambda s, _: s["kind"] not in ALONE,
                lambda s: timing.norm_to_alone if s["kind"] == LAYER_NORM else timing.conv_to_alone,
            )
            if self.captures(step) and not step["key"]:
                free = max(
                    free,
                    self._after(lambda s, captured: captured and s["kind"] in ALONE, lambda s: self._to_capture(s)),
                )
        return max(free, self._after(lambda s, _: s["kind"] == OUTER, lambda s: s["count"] - step["key"]))

    def _to_norm(self, s) -> int:
        if s["kind"] == LAYER_NORM:
            return self.timing.solve if s["last"] and not s["push"] else self.timing.interval
        return self.timing.conv_to_norm if s["kind"] == CONV else self.timing.alone_to_norm

    def _to_capture(self, s) -> int:
        if s["kind"] == OUTER:
            return self.timing.outer_to_capture
        return self.timing.row_sum_to_capture if s["kind"] == ROW_SUM else s["count"]

    def record(self, step) -> dict:
        """What goes to the beats, but for `valid`."""
        names = ("key", "kind", "source", "relu", "count", "channels", "epsilon")
        return {name: step[name] for name in names} | {
            "first": int(step["first"] or self.restart), "capture": int(self.captures(step)),
            "resumed": int(self.resumed), "final": step["push"], "double": step["stride"],
        }  # fmt: skip

    def issue(self, now: int, step):
        if step["key"]:
            return
        captures, kind = self.captures(step), step["kind"]
        self.steps.append((now, step, captures))
        self.since_capture[kind] = 0 if captures else self.since_capture[kind] + 1
        if kind in ALONE:
            self.restart = captures and not step["last"]
            if captures:
                self.resumed = not step["last"]


def faulty(config, step, unit: str) -> bool:
    conv, norm = step["kind"] == CONV, step["kind"] == LAYER_NORM
    pixels = 1 if conv or norm else step["count"]
    final = step["features"] + (pixels - 1) * (2 if step["stride"] else 1)
    beyond = final >= (config.output_words if step["source"] else config.feature_words)
    if step["kind"] in (OUTER, ROW_SUM):
        return beyond
    words = config.attention_words if unit == "mat" and step["stationary"] else config.weight_words
    return beyond or step["weights"] + (config.block if conv else 1) > words


@pytest.mark.parametrize("config", (TINY, WIDE, WIDEST), ids=lambda config: config.name)
def test_every_cycle(config):
    rng = random.Random(config.block)
    dut, reference, block = IssueControl(config), Reference(config), config.block
    sides = {"rmac": dut.rmac, "mat": dut.mat}
    ports = {name: getattr(dut, name) for name in PORTS}
    seen, faults = Counter(), {name: [None] * AddressCheck.latency for name in sides}

    def expected_reads(r, m) -> dict:
        """Port -> (address, words, every second one); r, m: steps that go."""
        reads = {}
        for name, source in (("a", 0), ("o", 1)):
            if r and r["source"] == source:
                window = r["kind"] not in (CONV, LAYER_NORM)
                reads[name] = (r["features"], r["count"] if window else 1, int(r["stride"] and r["kind"] != CONV))
            elif m and m["source"] == source:
                reads[name] = (m["features"], 1, 0)
        if r and r["kind"] not in (OUTER, ROW_SUM):
            reads["b"] = (r["weights"], block if r["kind"] == CONV else 1, 0)
        if r and r["joint"]:
            reads["c"] = (r["weights"], block, 0)
        elif m:
            reads["k" if m["stationary"] else "c"] = (m["weights"], block, 0)
        return reads

    async def bench(ctx):
        streams = {"rmac": steps_of_the_rmac(config, rng), "mat": steps_of_the_mat(config, rng)}
        steps: dict = dict.fromkeys(sides)
        for now in range(max(3000, 600 * block)):
            eager = now // 500 % 2 or rng.random() < 0.5
            new = set()
            for name, side in sides.items():
                if steps[name] is None and eager:
                    steps[name] = next(streams[name])
                    new.add(name)
                ctx.set(side.steps.valid, steps[name] is not None)
                if steps[name]:
                    ctx.set(side.steps.payload, steps[name])
            space = {name: rng.random() < 0.8 for name in sides}
            blocked = {name: rng.random() < 0.2 for name in ("a", "o")}
            for name, side in sides.items():
                ctx.set(side.results.space, space[name])
            for name, value in blocked.items():
                ctx.set(ports[name].blocked, value)

            r, m = steps["rmac"], steps["mat"]
            stands = bool(m and m["joint"])  # at a MAT_JOIN
            apart = bool(r and r["joint"] and not stands)
            free = bool(r) and now >= reference.free_from(r)
            goes = (
                free
                and not apart
                and not blocked["o" if r["source"] else "a"]
                and (space["rmac"] or not r["push"])
                and (space["mat"] or not r["push"] or not r["joint"])
            )
            join_goes = stands and goes and r["joint"] and r["result"]["final"]
            mat_goes = (
                m is not None
                and not stands
                and not blocked["o" if m["source"] else "a"]
                and (space["mat"] or not m["push"])
                and not (goes and r["source"] == m["source"])
            )
            for name, step, go, other in (("rmac", r, goes, apart), ("mat", m, mat_goes, stands)):
                side = sides[name]
                leaves = go or (name == "mat" and join_goes)
                assert bool(ctx.get(side.steps.valid) and ctx.get(side.steps.ready)) == bool(leaves), (now, name)
                stalls = step is not None and not go and not other
                assert ctx.get(side.stall) == stalls, (now, name)
                assert ctx.get(side.start) == (name in new and step["begins"]), (now, name)
                fault = faults[name].pop(0)
                assert ctx.get(side.fault) == (fault is not None), (now, name)
                assert fault is None or ctx.get(side.fault_index) == fault, (now, name)
                faults[name].append(step["index"] if go and faulty(config, step, name) else None)
                seen[name, "stall"] += stalls
                seen[name, "fault"] += fault is not None
                seen[name, "other"] += other
            r, m = r if goes else None, m if mat_goes else None
            reads = expected_reads(r, m)
            for name, port in ports.items():
                assert ctx.get(port.request) == (name in reads), (now, name)
                if name in reads:
                    assert (ctx.get(port.address), ctx.get(port.words), ctx.get(port.double)) == reads[name], (
                        now,
                        name,
                    )
                seen[name] += name in reads
            for name, source in (("a", 0), ("o", 1)):
                # A joint step that waits for the other unit keeps no STORE from what that unit may wait for.
                waiting = [s for s in (None if apart else steps["rmac"], None if stands else steps["mat"]) if s]
                assert ctx.get(ports[name].possible) == any(s["source"] == source for s in waiting)
            self_check(ctx, now, r, m)
            if r:
                seen["rmac", r["kind"], "captures"] += reference.captures(r) and not r["last"]
                reference.issue(now, r)
                steps["rmac"] = None
            if m or join_goes:
                steps["mat"] = None
                seen["join"] += not m
            await ctx.tick()

    def self_check(ctx, now, r, m):
        """Descriptors, and the steps for the beats."""
        assert ctx.get(dut.rmac.results.push) == bool(r and r["push"]), now
        assert ctx.get(dut.mat.results.push) == bool((m and m["push"]) or (r and r["joint"] and r["push"])), now
        if r and r["push"]:
            for name, value in r["result"].items():
                assert ctx.get(dut.rmac.results.result[name]) == value, (now, name)
        if ctx.get(dut.mat.results.push):
            joint = not (m and m["push"])
            result = (
                r["result"] | {"out": r["partner_out"], "parameters": r["result"]["parameters"] + 1} if joint else None
            )
            for name, value in (result or m["result"]).items():
                assert ctx.get(dut.mat.results.result[name]) == value, (now, name)
        assert ctx.get(dut.rmac_step.valid) == bool(r)
        if r:
            record = reference.record(r)
            if r["key"] or r["kind"] not in ALONE:
                for name in ("first", "capture", "resumed"):  # for groups alone
                    if r["key"] or name != "capture":
                        record.pop(name)
                if not r["key"]:
                    record["first"] = reference.record(r)["first"]
            for name, value in record.items():
                assert ctx.get(dut.rmac_step[name]) == value, (now, name)
        beats = m or (r if r and r["joint"] else None)
        assert ctx.get(dut.mat_step.valid) == bool(beats)
        if beats:
            for name in ("first", "last", "source", "relu"):
                assert ctx.get(dut.mat_step[name]) == beats[name], (now, name)
            assert ctx.get(dut.mat_step.stationary) == int(bool(m) and m["stationary"])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    classes = [step["kind"] if step["kind"] not in ALONE else DEPTHWISE for _, step, _ in reference.steps]
    kinds = Counter(itertools.pairwise(classes))
    assert all(kinds[x, y] for x in (CONV, DEPTHWISE, LAYER_NORM) for y in (CONV, DEPTHWISE, LAYER_NORM)), kinds
    assert all(seen[x] > 5 for x in (*PORTS, "join", ("rmac", "other"), ("mat", "other")))
    assert all(seen[x] > 5 for x in (("rmac", "stall"), ("mat", "stall"), ("rmac", "fault"), ("mat", "fault")))
    assert seen["rmac", OUTER, "captures"] and seen["rmac", ROW_SUM, "captures"], seen


@pytest.mark.parametrize("block", (4, 8, 16))
def test_no_row_overtakes_another_one(block):
    """The distances, from the latencies of the engines: rows of a later step come after all rows of an earlier one."""
    timing = EngineTiming({4: TINY, 8: WIDE, 16: WIDEST}[block])
    last_row = {
        "conv": timing.conv_rows, "norm": timing.norm_rows,
        "alone": max(timing.alone_rows + block - 1, timing.row_sum_rows),
    }  # fmt: skip
    first_row = {"conv": timing.conv_rows, "norm": timing.norm_rows, "alone": timing.alone_rows}
    for before, after in itertools.permutations(last_row, 2):
        distance = getattr(timing, f"{before}_to_{after}")
        assert distance >= 1 and distance + first_row[after] > last_row[before], (before, after)
    assert timing.conv_to_alone >= block and timing.row_sum_to_capture >= block
    assert timing.beats <= 31 and timing.windows * block <= 31
    assert (
        timing.outer_to_capture >= 2 * block - 1
    )  # the tokens of the one window, and of the other no more than its first
