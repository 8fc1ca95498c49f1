"""Programs as files, listings and estimates."""

from __future__ import annotations

import numpy as np
import pytest

from tests.execution import differences, run_program
from tests.networks import random_image, small_network
from triovit.compiler import CompiledProgram, CompileError, compile_network
from triovit.compiler.disassemble import disassemble
from triovit.compiler.estimate import estimate
from triovit.compiler.schedule.synchronize import SEMAPHORE_NAMES
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.instructions import PROGRAM_MAGIC, Instruction
from triovit.hdl.isa.names import Opcode

CONFIG = PRESETS["trio-tiny"]
NETWORK = small_network(8, size=20)


@pytest.fixture(scope="module")
def program() -> CompiledProgram:
    return compile_network(NETWORK, CONFIG, trace=True)


def test_files_keep_everything(program, tmp_path):
    path = tmp_path / "program.safetensors"
    program.save(path)
    loaded = CompiledProgram.load(path)
    assert list(tmp_path.iterdir()) == [path]
    assert loaded.instructions == program.instructions and loaded.tensors == program.tensors
    assert np.array_equal(loaded.image(7), program.image(7))
    images = [random_image(NETWORK, 3)]
    memory, _ = run_program(loaded, images)
    assert differences(loaded, NETWORK, memory, images) == {}


def test_bad_files_are_refused(program, tmp_path):
    path = tmp_path / "program.safetensors"
    with pytest.raises(CompileError, match="no such file"):
        CompiledProgram.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(CompileError, match="not a whole safetensors file"):
        CompiledProgram.load(path)
    program.save(path)
    text = path.read_bytes()
    path.write_bytes(text.replace(f"{CONFIG.hash:016x}".encode(), b"0123456789abcdef"))
    with pytest.raises(CompileError, match="was compiled for hash 0123456789abcdef"):
        CompiledProgram.load(path)
    path.write_bytes(text.replace(b"triovit-program", b"triovit-progrem"))
    with pytest.raises(CompileError, match="is not a compiled program"):
        CompiledProgram.load(path)


def test_image(program):
    """The program at 0, the constants behind it, then the feature maps; all on pages; fill elsewhere."""
    image = program.image(fill=0x33)
    first = Instruction.decode(image[:64].tobytes())
    assert (
        first.magic == PROGRAM_MAGIC and first.hash == CONFIG.hash and first.instructions == len(program.instructions)
    )
    assert program.instructions[-1].opcode == Opcode.END
    assert image.size == program.memory_bytes == program.maps_offset + program.core_stride
    assert program.constants_offset % 4096 == program.maps_offset % 4096 == program.core_stride % 4096 == 0
    stem = program.tensors["input"]
    assert image[program.maps_offset + stem.address()] == 0x33


def test_inputs_are_checked(program):
    memory = program.image()
    with pytest.raises(ValueError, match="image must be int8"):
        program.write_input(memory, np.zeros((3, 20, 21), dtype=np.int8))
    with pytest.raises(ValueError, match=r"core must be 0\.\.0, not 1"):
        program.write_input(memory, random_image(NETWORK, 1), core=1)


def test_listing(program):
    lines = list(disassemble(program))
    assert len(lines) == len(program.instructions)
    assert all(line.split()[0] == str(index) for index, line in enumerate(lines))
    text = "\n".join(lines)
    for word in (
        "stem",
        "RMAC_LAYER_NORM",
        "mode=log2",
        "destination=O|K",
        "buffer=P",
        "wait(LOAD_RMAC)",
        "signal(MAT_STORE)",
    ):
        assert word in text, word


def test_semaphores_have_one_giver_and_one_taker(program):
    """What the machine's semaphore unit asks for, and what the names say."""
    for instruction in program.instructions:
        for semaphore, name in SEMAPHORE_NAMES.items():
            giver, taker = name.split("_")
            if instruction.signal >> semaphore & 1:
                assert instruction.unit.name == giver
            if instruction.wait >> semaphore & 1:
                assert instruction.unit.name == taker


def test_estimate(program):
    result = estimate(program)
    assert result.layers[1].name == "stem"
    # Every layer's steps from its shape: the stem has 9 steps per pixel for two blocks of outputs.
    assert result.layers[1].compute == 9 * 10 * 10
    names = [e.name for e in result.layers]
    norm = program.tensors["head.norm"]
    assert result.layers[names.index("ds.depthwise")].compute == 2 * 10 * 3 * 9
    assert result.layers[names.index("head.norm")].compute >= 2 * norm.blocks
    assert sum(e.cycles for e in result.layers) == pytest.approx(result.cycles, abs=64)
    assert result.cycles >= max(
        sum(e.compute for e in result.layers), sum(e.bytes for e in result.layers) // CONFIG.data_bytes
    )
    assert sum(e.instructions for e in result.layers) == len(program.instructions)
    assert "head.logits" in result.table() and f"{result.cycles:,}" in result.table()
