import shutil
import subprocess

import pytest

from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.registers import REGISTERS, c_header, field_mask, markdown_table, register_map


@pytest.mark.parametrize("preset", PRESETS)
def test_map(preset):
    """Offsets are words, in order and unique; fields do not overlap and their reset values fit."""
    registers = register_map(PRESETS[preset])
    offsets = [r.offset for r in registers]
    assert offsets == sorted(set(offsets)) and all(offset % 4 == 0 and offset < 4096 for offset in offsets)
    assert {r.name: r.offset for r in registers} == REGISTERS
    for register in registers:
        used = 0
        for field in register.fields:
            assert field.width >= 1 and field.low + field.width <= 32
            assert not used & field.mask and 0 <= field.reset < 1 << field.width
            assert field.access in ("ro", "rw", "w1", "w1c")
            used |= field.mask


def test_offsets_are_stable():
    """Drivers are compiled against them."""
    fixed = {
        "ID": 0x00,
        "CONTROL": 0x20,
        "STATUS": 0x24,
        "ERROR": 0x28,
        "PROGRAM_OFFSET": 0x30,
        "WATCHDOG": 0x48,
        "CYCLES_LO": 0x50,
        "BEATS_WRITTEN": 0x74,
    }
    assert {name: REGISTERS[name] for name in fixed} == fixed


def test_fields_are_stable():
    masks = {r.name: {f.name: f.mask for f in r.fields} for r in register_map(PRESETS["trio-core"])}
    assert masks["CONTROL"] == {"start": 1, "soft_reset": 2, "interrupt_enable": 4}
    assert masks["STATUS"] == {"busy": 1, "done": 2, "error": 4, "interrupt": 8}
    values = {r.name: r.reset for r in register_map(PRESETS["trio-zcu102"])}
    assert values["CONFIG_ARRAY"] == 0x04_40_08_10
    assert values["CONFIG_BUFFERS"] == 0x10_10_10_11
    assert values["CONFIG_MORE"] == 0x06_4_4_0A_0D
    assert values["VERSION"] == 0x0001_0001


def test_field_masks():
    assert field_mask("CONTROL", "start", "interrupt_enable") == 5
    assert field_mask("MEMORY_BASE_LO", "value") == 0xFFFFF000
    with pytest.raises(KeyError, match="no register COMMAND; there are ID, VERSION"):
        field_mask("COMMAND", "start")
    with pytest.raises(KeyError, match="register CONTROL has no field run; it has start, soft_reset"):
        field_mask("CONTROL", "start", "run")


def test_markdown():
    config = PRESETS["trio-core"]
    lines = markdown_table(config).splitlines()
    assert len(lines) == 2 + sum(len(r.fields) for r in register_map(config))
    assert all(line.count("|") == 8 for line in lines)
    assert any("CONTROL" in line and "interrupt_enable" in line for line in lines)


def test_c_header(tmp_path):
    """The header compiles, and its values are those of the map."""
    config = PRESETS["trio-core"]
    header = c_header(config)
    (tmp_path / "registers.h").write_text(header)
    checks = [f'_Static_assert(TRIOVIT_{name} == {offset}, "{name}");' for name, offset in REGISTERS.items()]
    checks += [
        '_Static_assert(TRIOVIT_STATUS_INTERRUPT_MASK == 8 && TRIOVIT_STATUS_INTERRUPT_SHIFT == 3, "");',
        f'_Static_assert(TRIOVIT_HASH_LO_VALUE == {config.hash & 0xFFFFFFFF}u, "");',
    ]
    source = tmp_path / "check.c"
    source.write_text('#include "registers.h"\n#include "registers.h"\n' + "\n".join(checks) + "\n")
    subprocess.run(
        [shutil.which("gcc") or "cc", "-std=c11", "-Wall", "-Werror", "-c", source, "-o", tmp_path / "check.o"],
        check=True,
    )
