"""A multiplier with an adder in front of it and one behind it, the arithmetic of one DSP block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.technology import technology_of
from triovit.hdl.validation import check_integer

SOURCE = Path(__file__).with_name("multiply_add.v")
MODULE = "triovit_multiply_add"  # the module in it
A_BITS, B_BITS, P_BITS = 27, 18, 48  # of a DSP48E2: pre-adder and multiplier, multiplier, adder
CASCADE_SHIFT = 17
ADDENDS = ("none", "c", "cascade")


class MultiplyAdd(wiring.Component):
    """o = (a + d) * b + c, or o = a * b + (the o of a neighbour >> 17): one DSP48E2 and nothing else.

    Plain arithmetic in every technology but that of Xilinx UltraScale+, where it is the primitive if the operands fit
    (`a_bits` up to 27), whose registers and adders then cost nothing.

    Parameters
    ----------
    a_bits, b_bits : int, 2..34 and 2..18
        Bits of the operands, two's complement.
    pre_add : bool
        Whether `d` is added to `a`.
    addend : str
        "none", "c" or "cascade", what the product is added to.
    operand_registers : int, 0..2
        In front of the multiplier; one with `pre_add`, behind its sum.
    result_register : bool
        Whether `o` has a register; else it is the sum of the product's and the addend's registers.

    Members
    -------
    a, d : In(signed(a_bits)), b : In(signed(b_bits)), c : In(signed(48))
    clear_a : In(1)
        (a + d) of this cycle counts as 0; with `pre_add` only.
    clear_c : In(1)
        c of this cycle counts as 0.
    cascade_in : In(signed(48)), cascade_out : Out(signed(48))
        From and to the neighbours, which are `MultiplyAdd`s too: `cascade_out` is `o`.
    o : Out(signed(48))

    Latency: `latency = operand_registers + 1 + result_register` from a, d and b; `addend_latency = 1 +
    result_register` from c, and `result_register` from `cascade_in`. Initiation interval 1. Registers have no reset.

    Numerics: exact while a + d fits `a_bits` bits and the sum 48 bits; both wrap.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours; Xilinx UG579 describes the DSP48E2. The Verilog is in `multiply_add.v`.
    """

    a: Signal
    d: Signal
    b: Signal
    c: Signal
    clear_a: Signal
    clear_c: Signal
    cascade_in: Signal
    cascade_out: Signal
    o: Signal

    VERILOG_FILES = {MODULE: SOURCE}  # for `hdl.emit.verilog`

    def __init__(
        self, a_bits: int, b_bits: int, *, pre_add: bool = False, addend: str = "none", operand_registers: int = 1,
        result_register: bool = True,
    ):  # fmt: skip
        self.a_bits = check_integer("a_bits", a_bits, 2, 34)
        self.b_bits = check_integer("b_bits", b_bits, 2, B_BITS)
        self.operand_registers = check_integer("operand_registers", operand_registers, 0, 2)
        if addend not in ADDENDS:
            raise ValueError(f"addend must be one of {', '.join(ADDENDS)}, not {addend!r}")
        if pre_add and operand_registers != 1:
            raise ValueError(f"operand_registers must be 1 with pre_add, not {operand_registers}")
        self.pre_add, self.addend, self.result_register = pre_add, addend, result_register
        self.latency = operand_registers + 1 + result_register
        self.addend_latency = 1 + result_register
        super().__init__(
            {
                "a": In(signed(a_bits)),
                "d": In(signed(a_bits)),
                "b": In(signed(b_bits)),
                "c": In(signed(P_BITS)),
                "clear_a": In(1),
                "clear_c": In(1),
                "cascade_in": In(signed(P_BITS)),
                "cascade_out": Out(signed(P_BITS)),
                "o": Out(signed(P_BITS)),
            }
        )

    def model(self, a, b, d=0, c=0, cascade_in=0):
        """o of operands that meet, int64; clear_a and clear_c low."""
        a, b, d, c, cascade_in = (np.asarray(value, dtype=np.int64) for value in (a, b, d, c, cascade_in))
        added = {"none": np.int64(0), "c": c, "cascade": cascade_in >> CASCADE_SHIFT}[self.addend]
        return (a + d if self.pre_add else a) * b + added

    def elaborate(self, platform):
        technology = technology_of(platform)
        primitive = technology.dsp48e2 and self.a_bits <= A_BITS
        return self._instance() if primitive and not technology.simulated else self._arithmetic()

    def _instance(self) -> Module:
        m = Module()
        a = Signal(signed(A_BITS))
        d = Signal(signed(A_BITS))
        b = Signal(signed(B_BITS))
        m.d.comb += [a.eq(self.a), d.eq(self.d), b.eq(self.b)]
        m.submodules.multiplier = Instance(
            MODULE,
            p_OPERANDS=self.operand_registers,
            p_PRE_ADD=int(self.pre_add),
            p_ADDEND=ADDENDS.index(self.addend),
            p_RESULT=int(self.result_register),
            i_clk=ClockSignal(),
            i_a=a,
            i_d=d,
            i_b=b,
            i_c=self.c,
            i_clear_a=self.clear_a,
            i_clear_c=self.clear_c,
            i_cascade_in=self.cascade_in,
            o_cascade_out=self.cascade_out,
            o_p=self.o,
        )
        return m

    def _arithmetic(self) -> Module:
        """The same registers as plain arithmetic: in general, and the primitive's twin in simulation."""
        m = Module()
        a = Signal(signed(self.a_bits))
        b = Signal(signed(self.b_bits))
        m.d.comb += [a.eq(self.a), b.eq(self.b)]
        if self.pre_add:
            m.d.comb += a.eq(self.a + self.d)
            with m.If(self.clear_a):
                m.d.comb += a.eq(0)
        for stage in range(self.operand_registers):
            held_a = Signal(signed(self.a_bits), name=f"a_{stage + 1}", reset_less=True)
            held_b = Signal(signed(self.b_bits), name=f"b_{stage + 1}", reset_less=True)
            m.d.sync += [held_a.eq(a), held_b.eq(b)]
            a, b = held_a, held_b
        product = Signal(signed(self.a_bits + self.b_bits), reset_less=True)
        total = Signal(signed(P_BITS))
        m.d.sync += product.eq(a * b)
        addend = Const(0, signed(P_BITS))
        if self.addend == "c":
            addend = Signal(signed(P_BITS), reset_less=True)
            m.d.sync += addend.eq(self.c)
            with m.If(self.clear_c):
                m.d.sync += addend.eq(0)
        elif self.addend == "cascade":
            addend = self.cascade_in >> CASCADE_SHIFT
        m.d.comb += [total.eq(product + addend), self.o.eq(total), self.cascade_out.eq(self.o)]
        if self.result_register:
            result = Signal(signed(P_BITS), reset_less=True)
            m.d.sync += result.eq(total)
            m.d.comb += self.o.eq(result)
        return m
