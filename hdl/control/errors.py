"""How a unit reports an error to the controller."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data

from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import INTEGRITY_ERRORS, ErrorCode

ERROR_CODE_BITS = 4  # of units' errors: those of stored words come from `IntegrityMonitor`
assert max(code for code in ErrorCode if code not in INTEGRITY_ERRORS) < 1 << ERROR_CODE_BITS

# `valid` is high for one cycle; `code` is an `isa.ErrorCode`, `index` the number of the instruction in the program.
ERROR = data.StructLayout({"valid": 1, "code": unsigned(ERROR_CODE_BITS), "index": unsigned(INDEX_BITS)})
