import re
import shutil
import subprocess

import pytest

from tests.sim.configurations import CHECKED
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.engines import ENGINES, counters
from triovit.hdl.isa.names import ErrorCode
from triovit.hdl.isa.registers import REGISTERS, c_header, field_mask, markdown_table, register_map


@pytest.mark.parametrize("preset", PRESETS)
def test_map(preset):
    """Offsets are words, in order and unique; fields do not overlap and their reset values fit."""
    registers = register_map(PRESETS[preset])
    offsets = [r.offset for r in registers]
    assert offsets == sorted(set(offsets)) and all(offset % 4 == 0 and offset < 4096 for offset in offsets)
    assert {r.name: r.offset for r in registers} | {"CORRECTED": 0xFC} == REGISTERS
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
        "FEATURE_BYTES": 0x100,
    }
    assert {name: REGISTERS[name] for name in fixed} == fixed


def test_fields_are_stable():
    masks = {r.name: {f.name: f.mask for f in r.fields} for r in register_map(PRESETS["trio-core"])}
    assert masks["CONTROL"] == {"start": 1, "soft_reset": 2, "interrupt_enable": 4}
    assert masks["STATUS"] == {"busy": 1, "done": 2, "error": 4, "interrupt": 8, "bursts": 16}
    values = {r.name: r.reset for r in register_map(PRESETS["trio-zcu102"])}
    assert values["CONFIG_ARRAY"] == 0x04_10_08_10
    assert values["CONFIG_BURSTS"] == 0x2_06_4_4
    sizes = ("FEATURE_BYTES", "OUTPUT_BYTES", "WEIGHT_BYTES", "PARAMETER_BYTES", "ATTENTION_BYTES", "DIVISORS")
    assert [values[name] for name in sizes] == [1 << 17, 1 << 15, 1 << 16, 1 << 16, 1 << 11, 1 << 10]
    assert values["VERSION"] == 0x0003_0002


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


DRIVER = """
#include <stdio.h>
#include "registers.h"
#include "registers.h"

#define ERROR_LINE(name, code, meaning, remedy) printf("%u %s|%s|%s\\n", code, #name, meaning, remedy);
#define COUNTER_LINE(name, offset, meaning) printf("%u %s|%s\\n", offset, #name, meaning);

int main(void)
{
    TRIOVIT_ERROR_CODES(ERROR_LINE)
    TRIOVIT_COUNTERS(COUNTER_LINE)
VALUES
    return 0;
}
"""


CONFIGS = {**PRESETS, "checked": CHECKED}


@pytest.fixture(scope="module", params=CONFIGS)
def printed(request, tmp_path_factory):
    """(configuration, lines) that a driver prints: the header compiles without a warning in the oldest C in use."""
    config, folder = CONFIGS[request.param], tmp_path_factory.mktemp("driver")
    header = c_header(config)
    (folder / "registers.h").write_text(header)
    names = re.findall(r"^#define (TRIOVIT_\w+) ", header, re.MULTILINE)
    assert len(names) == len(set(names))
    values = "\n".join(f'    printf("%u %s\\n", {name}, "{name}");' for name in names if not name.endswith("_H"))
    (folder / "driver.c").write_text(DRIVER.replace("VALUES", values))
    strict = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")
    program = folder / "driver"
    subprocess.run([shutil.which("gcc") or "cc", *strict, folder / "driver.c", "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    return config, done.stdout.splitlines()


def test_c_header_has_the_map(printed):
    config, lines = printed
    for register in register_map(config):
        name = f"TRIOVIT_{register.name}"
        assert f"{register.offset} {name}" in lines
        for field in register.fields:
            if field.name != "value":
                assert f"{field.mask} {name}_{field.name.upper()}_MASK" in lines
                assert f"{field.low} {name}_{field.name.upper()}_SHIFT" in lines
    assert f"{config.hash & 0xFFFFFFFF} TRIOVIT_HASH_LO_VALUE" in lines
    assert f"{config.hash >> 32} TRIOVIT_HASH_HI_VALUE" in lines


def test_c_header_has_codes_and_counters(printed):
    config, lines = printed
    codes = [code for code in ErrorCode if config.integrity or code < ErrorCode.MEMORY_UNCORRECTABLE]
    for code in ErrorCode:
        assert (f"{code.value} TRIOVIT_ERROR_CODE_{code.name}" in lines) == (code in codes)
    assert lines[: len(codes)] == [f"{c.value} {c.name}|{c.meaning}|{c.remedy}" for c in codes]
    events = counters(ENGINES[config.family])
    shown = [f"{REGISTERS[c.name]} {c.name}|{c.text}" for c in events]
    assert lines[len(codes) : len(codes) + len(events)] == shown


def test_registers_of_integrity():
    """Those that a machine without it has are where they were; CORRECTED and the fields of ERROR are added."""
    with_it, without = ({r.name: r for r in register_map(config)} for config in (CHECKED, PRESETS["trio-tiny"]))
    assert with_it.keys() - without.keys() == {"CORRECTED"} and without.keys() <= with_it.keys()
    assert {name: with_it[name].offset for name in without} == {name: without[name].offset for name in without}
    assert with_it["CORRECTED"].offset == REGISTERS["CORRECTED"] == 0xFC
    assert {f.name: f.mask for f in with_it["ERROR"].fields} == {"code": 0xFF, "place": 0xFF00}
    assert [f.name for f in without["ERROR"].fields] == ["value"]
    assert "5 K, 6 DIVISOR; of QUEUE_PARITY the unit: 0 FETCH, 1 LOAD" in with_it["ERROR"].fields[1].text
