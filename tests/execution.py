"""Compile, run on the functional simulator, compare with the integer model: what most compiler tests do."""

from __future__ import annotations

import numpy as np

from tests.networks import random_image
from triovit.compiler import CompiledProgram, compile_network
from triovit.golden.integer.execute import execute
from triovit.golden.integer.network import IntegerNetwork
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.machine.functional import FunctionalSimulator, RunResult


def run_program(
    program: CompiledProgram, images: list[np.ndarray], check_overlap: bool = True
) -> tuple[np.ndarray, RunResult]:
    """Memory after a run that started with `images`, one per core, and noise everywhere else."""
    memory = program.image(fill=0xA5)
    for core, image in enumerate(images):
        program.write_input(memory, image, core)
    simulator = FunctionalSimulator(program.config, memory, program.core_stride, check_overlap=check_overlap)
    return memory, simulator.run()


def differences(
    program: CompiledProgram, network: IntegerNetwork, memory: np.ndarray, images: list[np.ndarray]
) -> dict[str, int]:
    """Values that differ from the integer model, by tensor and core; empty when all agree."""
    wrong = {}
    for core, image in enumerate(images):
        for name, expected in execute(network, image, keep=True).items():
            if name in program.tensors:
                actual = program.read_tensor(memory, name, core)
                assert actual.shape == expected.shape and actual.dtype == expected.dtype, name
                if count := int((actual != expected).sum()):
                    wrong[f"{name} (core {core})"] = count
    return wrong


def check_network(
    network: IntegerNetwork, config: AcceleratorConfig, seed: int = 7, **options: bool
) -> CompiledProgram:
    """Every tensor agrees with the integer model, on every core, and the program has no race; returns the program."""
    program = compile_network(network, config, **{"trace": True, **options})
    images = [random_image(network, seed + core) for core in range(config.cores)]
    memory, _ = run_program(program, images)
    assert differences(program, network, memory, images) == {}
    return program
