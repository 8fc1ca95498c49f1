"""triovit compile and triovit disassemble."""

import dataclasses
import json
import re

from triovit.compiler.memory.program import CompiledProgram
from triovit.golden.integer.names import short_names
from triovit.hdl.config.accelerator import PRESETS


def test_compile_and_disassemble(triovit, small_file, tmp_path):
    target = tmp_path / "small.program.safetensors"
    outcome = triovit("compile", small_file, "--config", "trio-tiny", "-o", target)
    assert outcome.status == 0
    program, report = CompiledProgram.load(target), outcome.report
    assert program.config == PRESETS["trio-tiny"] and not program.trace
    assert report["hash"] == f"{program.config.hash:016x}"
    assert report["instructions"] == len(program.instructions)
    assert report["memory_bytes"] == program.memory_bytes
    assert f"{len(program.instructions):,} instructions" in outcome.out and str(target) in outcome.out
    assert {layer["name"] for layer in report["layers"]} <= set(program.layers)
    assert sum(layer["cycles"] for layer in report["layers"]) <= report["estimated_cycles"] + len(report["layers"])
    assert all(layer["name"] in outcome.out for layer in report["layers"])

    listing = triovit("disassemble", target)
    assert listing.status == 0 and listing.err == ""
    lines = listing.out.splitlines()
    assert len(lines) == len(program.instructions) == len(listing.report["instructions"])
    for line, entry, instruction in zip(lines, listing.report["instructions"], program.instructions, strict=True):
        number, layer, unit, opcode = line.split()[:4]
        assert (int(number), unit, opcode) == tuple(entry[k] for k in ("index", "unit", "opcode"))
        assert layer == short_names(program.layers)[entry["layer"]]
        assert opcode == instruction.opcode.name
    assert lines[0].split()[3] == "PROGRAM" and lines[-1].split()[3] == "END"


def test_without_a_file_only_the_estimate(triovit, small_file, tmp_path):
    outcome = triovit("compile", small_file, "--config", "trio-tiny")
    assert outcome.status == 0 and re.search(r"about [\d,]+ cycles, [\d.]+ % of the multipliers", outcome.out)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_the_estimate_is_for_a_memory(triovit, small_file):
    usual, slow = (
        triovit("compile", small_file, "--config", "trio-tiny", *options)
        for options in ((), ("--bytes-per-cycle", 1, "--read-latency", 100, "--stalls", 0.1))
    )
    assert "estimated for a memory of 8 bytes per cycle, read latency 32, write latency 8\n" in usual.out
    assert "estimated for a memory of 1 bytes per cycle, read latency 100, write latency 8, 10 % stalls\n" in slow.out
    assert slow.report["estimated_cycles"] > 3 * usual.report["estimated_cycles"]
    assert slow.report["memory"]["bytes_per_cycle"] == 1 and slow.report["memory"]["stall_probability"] == 0.1


def test_trace_stores_more(triovit, small_file, tmp_path):
    programs = []
    for more in ((), ("--trace",)):
        target = tmp_path / "p.safetensors"
        assert triovit("compile", small_file, "--config", "trio-tiny", *more, "-o", target).status == 0
        programs.append(CompiledProgram.load(target))
    plain, trace = programs
    assert set(plain.tensors) < set(trace.tensors) and trace.trace


def test_configuration_of_ones_own(triovit, small_file, tmp_path):
    values = dataclasses.asdict(PRESETS["trio-tiny"]) | {"cores": 2}
    del values["name"]
    path = tmp_path / "twins.json"
    path.write_text(json.dumps(values))
    report = triovit("compile", small_file, "--config", path, "-o", tmp_path / "p.safetensors").report
    assert report["config"] == "twins"
    assert CompiledProgram.load(tmp_path / "p.safetensors").config.cores == 2


def test_seeded_network(triovit):
    outcome = triovit("compile", "b0-r32", "--seed", 5)
    assert outcome.status == 0 and outcome.report["network"] == "b0-r32-seed5"
    assert "seeded random weights (seed 5)" in outcome.err
