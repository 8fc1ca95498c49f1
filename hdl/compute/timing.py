"""Cycles between the stages of the data path: everything behind the issue of a step moves at these distances.

S0  a step is issued: its reads are granted              S1  addresses, common to all cores
S2  banks and rows at a core's RAMs                      S3, S4  the RAMs, latency 2
S4  words behind the rotator                             S5  operands before the engines

T0  a row of psums is chosen                             T1  its place is computed
T2  its reads are granted, as those of a step in S0      T2 + 5  row, records and operands enter post-processing
"""

from triovit.hdl.memory.bank_array import BankArray

START = 3
"""From an instruction's transfer to a pipeline to the grant of its first read, at least: results of the instructions
that it waited for count on that (`hdl.compute.results.EARLY`)."""
PINS = 2
"""From a read's grant to the pins of the RAMs: a register of addresses, and one in each core."""
READ = PINS + BankArray.latency
"""From a read's grant to the words of A and O behind their rotator or multiplexer, and to the banks of B, C and P."""
OPERANDS = READ + 1
"""From a read's grant to operands before the engines, and to the words of B, C, K and P in each core."""
GRANT = 2
"""From the choice of a row to the grant of its reads."""
TAKEN = GRANT + OPERANDS
"""From the choice of a row to the row before post-processing; the row leaves its queue a cycle earlier."""
ROW_LEAD = TAKEN - 1
"""Cycles that a row may be announced before an engine shows it: it is chosen in the next cycle at the earliest."""
