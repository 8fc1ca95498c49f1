"""What bounds the buffers, and that the instruction set does not depend on the configurations it bounds."""

import subprocess
import sys

from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.instructions import FIELD_BITS
from triovit.hdl.isa.limits import REACHES, Reach, reach

IMPORT_ALL = """
import pkgutil, sys
import triovit.hdl.isa as isa
for module in pkgutil.iter_modules(isa.__path__, "triovit.hdl.isa."):
    __import__(module.name)
print(*(name for name in sys.modules if name.startswith("triovit.hdl.") and not name.startswith("triovit.hdl.isa")))
"""


def test_every_buffer_has_fields():
    assert list(REACHES) == list(PRESETS["trio-core"].words)
    assert all(narrow.field in FIELD_BITS for fields in REACHES.values() for narrow in fields)


def test_the_narrowest_field_bounds():
    assert Reach("attention").words == 1 << 12 and Reach("parameters", 16).words == 1 << 16
    assert {buffer: reach(buffer).field for buffer in REACHES} == {
        "A": "local", "O": "local", "B": "local", "C": "local", "P": "parameters", "K": "attention", "divisor": "cols",
    }  # fmt: skip


def test_the_instruction_set_needs_no_configuration():
    loaded = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True).stdout
    assert not loaded.split()
