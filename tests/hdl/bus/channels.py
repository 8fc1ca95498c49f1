"""The five channels of an AXI4-Lite slave port in Amaranth's simulator, each with random pauses of its own."""

from __future__ import annotations

import random

CHANNELS = {"aw": ("awaddr",), "w": ("wdata", "wstrb"), "b": ("bresp",), "ar": ("araddr",), "r": ("rdata", "rresp")}


class LiteChannels:
    """Channels that know nothing of each other: requests go out as fast as they can, in any order of the channels.

    requests: payloads of `aw`, `w` and `ar`, in order. shares: of the cycles in which a channel pauses, by channel.
    `log`: by channel, (cycle, payload) of each transfer. `run` ends when every request is answered. It raises
    AssertionError when a response changes while it waits, or does not come within 4000 cycles.
    """

    def __init__(self, axil, requests: dict[str, list[tuple]], shares: dict[str, float], seed: int):
        self.axil, self.requests, self.shares, self.random = axil, requests, shares, random.Random(seed)
        self.log = {channel: [] for channel in CHANNELS}

    def payloads(self, channel: str) -> list[tuple]:
        return [payload for _, payload in self.log[channel]]

    def cycles(self, channel: str) -> list[int]:
        return [cycle for cycle, _ in self.log[channel]]

    def _port(self, channel, name):
        return getattr(self.axil, channel + name)

    def _drive(self, ctx, waiting, offered):
        """VALID of requests, which stays, and READY of responses."""
        for channel, names in CHANNELS.items():
            go = self.random.random() >= self.shares[channel]
            if channel not in waiting:
                ctx.set(self._port(channel, "ready"), go)
                continue
            offered[channel] = bool(waiting[channel]) and (offered[channel] or go)
            ctx.set(self._port(channel, "valid"), offered[channel])
            payload = waiting[channel][0] if offered[channel] else (0,) * len(names)
            for name, value in zip(names, payload, strict=True):
                ctx.set(getattr(self.axil, name), value)

    async def run(self, ctx):
        waiting = {channel: list(requests) for channel, requests in self.requests.items()}
        offered, shown = dict.fromkeys(waiting, False), {}
        for cycle in range(4000):
            self._drive(ctx, waiting, offered)
            for channel, names in CHANNELS.items():
                valid, ready = (ctx.get(self._port(channel, name)) for name in ("valid", "ready"))
                payload = tuple(ctx.get(getattr(self.axil, name)) for name in names)
                if channel not in waiting and channel in shown:
                    assert valid and payload == shown.pop(channel), f"{channel} changed while it waited"
                if valid and ready:
                    self.log[channel].append((cycle, payload))
                    if channel in waiting:
                        waiting[channel].pop(0)
                        offered[channel] = False
                elif valid:
                    shown[channel] = payload
            if len(self.log["b"]) == len(self.requests["aw"]) and len(self.log["r"]) == len(self.requests["ar"]):
                return
            await ctx.tick()
        raise AssertionError(f"answers are missing: {self.log}")
