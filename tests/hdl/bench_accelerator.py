"""cocotb: the accelerator between an AXI4-Lite master and an AXI RAM of cocotbext-axi, as a host sees it."""

from __future__ import annotations

import logging
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from tests.networks import NetworkBuilder, random_image
from tests.sim.configurations import TINY
from tests.sim.random_programs import random_program
from triovit.compiler.compile import compile_network
from triovit.golden.integer.execute import execute
from triovit.hdl.isa.names import ErrorCode, Opcode
from triovit.hdl.isa.registers import IDENTIFIER, REGISTERS, field_mask, register_map

BASE, SIZE = 0x40000, 1 << 19  # memory base of the accelerator, bytes of the RAM
ENABLE, START, RESET = (field_mask("CONTROL", name) for name in ("interrupt_enable", "start", "soft_reset"))
BUSY, FAILED = field_mask("STATUS", "busy"), field_mask("STATUS", "error", "interrupt")
BURSTS = field_mask("STATUS", "bursts")  # come and go while a program runs
DONE = field_mask("STATUS", "done", "interrupt")  # which is also what is written to clear them


class Host:
    """Clock, reset, registers and memory."""

    def __init__(self, dut, seed=None):
        self.dut = dut
        for name in ("cocotb.triovit.m_axi", "cocotb.triovit.s_axil"):
            logging.getLogger(name).setLevel(logging.WARNING)
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=SIZE)
        if seed is not None:
            self._stall(random.Random(seed))

    def _stall(self, generator):
        def pauses():
            while True:
                yield generator.random() < 0.4

        lite, ram = self.lite, self.ram
        for channel in (
            lite.write_if.aw_channel, lite.write_if.w_channel, lite.write_if.b_channel, lite.read_if.ar_channel,
            lite.read_if.r_channel, ram.write_if.aw_channel, ram.write_if.w_channel, ram.write_if.b_channel,
            ram.read_if.ar_channel, ram.read_if.r_channel,
        ):  # fmt: skip
            channel.set_pause_generator(pauses())

    async def reset(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 5)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 5)

    async def read(self, name) -> int:
        return int.from_bytes((await self.lite.read(REGISTERS[name], 4)).data, "little")

    async def write(self, name, value):
        assert (await self.lite.write(REGISTERS[name], value.to_bytes(4, "little"))).resp == AxiResp.OKAY, name

    async def start(self, memory: np.ndarray, program_bytes: int, core_stride: int):
        self.ram.write(BASE, memory.tobytes())
        values = {"MEMORY_BASE_LO": BASE, "MEMORY_SIZE": memory.size, "PROGRAM_BYTES": program_bytes}
        for name, value in (values | {"CORE_STRIDE": core_stride}).items():
            await self.write(name, value)
        await self.write("CONTROL", ENABLE | START)

    async def finish(self) -> tuple[int, ErrorCode, int]:
        """STATUS, ERROR, ERROR_INDEX after the interrupt, which is then taken back."""
        if not self.dut.interrupt.value:
            await with_timeout(RisingEdge(self.dut.interrupt), 2, "ms")
        status, error, index = [await self.read(name) for name in ("STATUS", "ERROR", "ERROR_INDEX")]
        await self.write("STATUS", DONE)
        assert await self.read("STATUS") & DONE == 0 and self.dut.interrupt.value == 0
        return status, ErrorCode(error), index

    def memory(self, size: int) -> np.ndarray:
        return np.frombuffer(self.ram.read(BASE, size), np.uint8)


@cocotb.test()
async def registers(dut):
    host = Host(dut, seed=1)
    await host.reset()
    assert dut.interrupt.value == 0
    for register in register_map(TINY):
        if not register.writable or register.name.startswith("MEMORY"):
            assert await host.read(register.name) == register.reset, register.name
    assert await host.read("ID") == IDENTIFIER
    assert await host.read("HASH_LO") | await host.read("HASH_HI") << 32 == TINY.hash
    for offset in (0x018, 0x01C, REGISTERS["CORRECTED"], 0x078, 0x800, 0xFFC):
        assert offset not in {register.offset for register in register_map(TINY)}
        assert (await host.lite.read(offset, 4)).resp == AxiResp.SLVERR
        assert (await host.lite.write(offset, bytes(4))).resp == AxiResp.SLVERR
    for name in ("ID", "VERSION", "HASH_HI", "ERROR", "CYCLES_LO", "BEATS_READ"):
        assert (await host.lite.write(REGISTERS[name], bytes(4))).resp == AxiResp.SLVERR, name
    await host.write("WATCHDOG", 0x12345678)
    assert await host.read("WATCHDOG") == 0x12345678


@cocotb.test()
async def random_programs(dut):
    """With pauses on every channel; the joint convolutions of the R-MAC and the MAT are among them."""
    host = Host(dut, seed=2)
    await host.reset()
    seen = set()
    for seed in (19, 11):
        program = random_program(TINY, seed, segments=1)
        seen |= {(i.opcode, i.opcode == Opcode.RMAC_CONV and i.joint) for i in program.instructions}
        await host.start(program.memory, program.program_bytes, program.core_stride)
        assert (await host.lite.write(REGISTERS["MEMORY_SIZE"], bytes(4))).resp == AxiResp.SLVERR  # busy
        assert await host.read("STATUS") & ~BURSTS == BUSY
        status, error, _ = await host.finish()
        assert (status, error) == (DONE, ErrorCode.NONE)
        assert np.array_equal(host.memory(program.memory.size), program.expected())
        assert await host.read("CYCLES_LO") > 300 and await host.read("RMAC_BUSY") > 0
    assert {(Opcode.RMAC_CONV, 1), (Opcode.MAT_JOIN, False), (Opcode.STORE, False)} <= seen


@cocotb.test()
async def compiled_network(dut):
    host = Host(dut)
    await host.reset()
    builder = NetworkBuilder("two layers", (3, 9, 9), 5)
    builder.conv("first", 12, 3, stride=2, activation="hardswish")
    builder.conv("second", 9, 1)
    network = builder.build()
    program = compile_network(network, TINY)
    image = random_image(network, 2)
    memory = program.image(fill=0xA5)
    program.write_input(memory, image)
    await host.start(memory, len(program.program_bytes()), program.core_stride)
    assert (await host.finish())[:2] == (DONE, ErrorCode.NONE)
    got = program.read_tensor(host.memory(memory.size), network.output)
    assert np.array_equal(got, execute(network, image)[network.output])


@cocotb.test()
async def errors(dut):
    """Wrong hash, an illegal opcode in the middle, no interrupt without its enable bit, soft reset, a good program."""
    host = Host(dut, seed=3)
    await host.reset()
    program = random_program(TINY, 19, segments=1)
    for position, index, code in ((15, 0, ErrorCode.WRONG_HASH), (64 * 7, 7, ErrorCode.ILLEGAL_OPCODE)):
        broken = program.memory.copy()
        broken[position] ^= 0x80
        await host.start(broken, program.program_bytes, program.core_stride)
        status, *error = await host.finish()
        assert status & ~(BUSY | BURSTS) == FAILED and error == [code, index]
        await host.write("CONTROL", ENABLE | START)  # is ignored after an error
        await ClockCycles(dut.clk, 50)
        assert dut.interrupt.value == 0
        await host.write("CONTROL", ENABLE | RESET)
        await ClockCycles(dut.clk, 400)
        assert (await host.read("STATUS"), await host.read("ERROR")) == (0, 0)
        await host.start(program.memory, program.program_bytes, program.core_stride)
        await host.write("CONTROL", 0)  # interrupts off
        while await host.read("STATUS") & BUSY:
            assert dut.interrupt.value == 0
        assert await host.read("STATUS") == DONE and dut.interrupt.value == 0
        await host.write("CONTROL", ENABLE)
        await ClockCycles(dut.clk, 2)  # commands go through a register
        assert dut.interrupt.value == 1
        assert (await host.finish())[1] == ErrorCode.NONE
        assert np.array_equal(host.memory(program.memory.size), program.expected())
