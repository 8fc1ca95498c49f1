"""AXI4-Lite master for Amaranth's simulator, with random gaps on every channel and rule checks."""

from __future__ import annotations

import random


class LiteMaster:
    """Accesses through `port` (an AXI4-Lite slave port of a component). share: of cycles in which a channel pauses."""

    def __init__(self, port, seed: int = 0, share: float = 0.0):
        self.port, self.share = port, share
        self.random = random.Random(seed)

    def _go(self) -> bool:
        return self.random.random() >= self.share

    async def write(self, ctx, address: int, value: int, strobes: int = 0xF) -> int:
        """Returns the response."""
        port = self.port
        address_valid = data_valid = False
        address_done = data_done = False
        ctx.set(port.awaddr, address)
        ctx.set(port.wdata, value)
        ctx.set(port.wstrb, strobes)
        for _ in range(1000):
            address_valid = not address_done and (address_valid or self._go())  # valid stays
            data_valid = not data_done and (data_valid or self._go())
            ready = address_done and data_done and self._go()  # a slave must not wait for it
            ctx.set(port.awvalid, address_valid)
            ctx.set(port.wvalid, data_valid)
            ctx.set(port.bready, ready)
            address_taken = address_valid and ctx.get(port.awready)
            data_taken = data_valid and ctx.get(port.wready)
            answered, response = ctx.get(port.bvalid), ctx.get(port.bresp)
            assert not answered or (address_done and data_done), "a response before its request"
            await ctx.tick()
            address_done, data_done = address_done or address_taken, data_done or data_taken
            if answered and ready:
                ctx.set(port.bready, 0)
                return response
        raise AssertionError("no response to a write")

    async def read(self, ctx, address: int) -> tuple[int, int]:
        """Returns (data, response)."""
        port = self.port
        ctx.set(port.araddr, address)
        valid = done = False
        shown = None
        for _ in range(1000):
            valid = not done and (valid or self._go())
            ready = done and self._go()
            ctx.set(port.arvalid, valid)
            ctx.set(port.rready, ready)
            taken = valid and ctx.get(port.arready)
            answered = ctx.get(port.rvalid)
            result = ctx.get(port.rdata), ctx.get(port.rresp)
            assert not answered or done, "data before its request"
            assert shown is None or (answered and result == shown), "the answer changed while it waited"
            shown = result if answered else None
            await ctx.tick()
            done = done or taken
            if answered and ready:
                ctx.set(port.rready, 0)
                return result
        raise AssertionError("no answer to a read")
