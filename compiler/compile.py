"""From an integer network and a configuration to a compiled program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeGuard

import numpy as np

from triovit.compiler.errors import CompileError
from triovit.compiler.lower.attention import lower_attention
from triovit.compiler.lower.convolution import lower_convolution
from triovit.compiler.lower.depthwise import lower_depthwise
from triovit.compiler.lower.fused import FusedPair
from triovit.compiler.lower.layer_norm import lower_layer_norm
from triovit.compiler.lower.pool import lower_pool
from triovit.compiler.memory.layout import align, borders, tensor_layouts
from triovit.compiler.memory.program import CompiledProgram
from triovit.compiler.requirements import check_family, check_numbers
from triovit.compiler.schedule.context import Context
from triovit.compiler.schedule.pipeline import Pipeline, plan
from triovit.compiler.schedule.schedule import Draft, Schedule, Step
from triovit.compiler.schedule.synchronize import Synchronizer
from triovit.compiler.schedule.transfer import Region
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Node, Pool
from triovit.hdl.bus.axi4 import PAGE_BYTES
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, PROGRAM_MAGIC, Instruction, InstructionError
from triovit.hdl.isa.names import Opcode
from triovit.machine.partitions import Stripes

# Name of a depthwise layer -> (pipeline, depthwise layer, layer behind it).
Pipelines = dict[str, tuple[Pipeline, Convolution, Convolution]]
PAGE = PAGE_BYTES  # regions of memory begin on pages, and so do partitions


def compile_network(
    network: IntegerNetwork, config: AcceleratorConfig, *, trace: bool = False, fuse: bool = True
) -> CompiledProgram:
    """Compile a network for a configuration.

    trace: tensors that otherwise stay on chip go to memory too, so that every one can be read back. fuse: run a
    depthwise and the pointwise layer behind it as a pipeline where that gains time. Raises CompileError naming
    the layer, what it needs and the limit, or the network's family when the configuration does not run it; NetworkError
    or ConfigurationError for a broken network or configuration.
    """
    network.validate()
    config.validate()
    check_family(network, config)
    check_numbers(network, config)
    tensors = tensor_layouts(network, config, trace)
    context = Context(config, tensors, trace)
    pipelines = _pipelines(network, context) if fuse else {}
    if pipelines and not trace:
        tensors = context.tensors = tensor_layouts(network, config, trace, without=frozenset(pipelines))
    schedule = schedule_network(network, context, pipelines)
    layers = schedule.layers

    count = len(schedule.drafts) + 2
    constants = context.constants()
    constants_offset = align(count * INSTRUCTION_BYTES, PAGE)
    maps_offset = align(constants_offset + -(-constants.size // config.ports), PAGE)
    last = list(tensors.values())[-1]
    core_stride = align(last.offset + last.bytes, PAGE)
    memory_bytes = config.ports * maps_offset + config.cores * core_stride
    if memory_bytes >= 1 << 32:
        raise CompileError(
            f"{network.name}: needs {memory_bytes} bytes of memory, {core_stride} of them for each of {config.cores} "
            "cores; offsets have 32 bits: use fewer cores or a smaller resolution"
        )
    offsets = {Region.CONSTANTS: Stripes(config).start(constants_offset), Region.MAPS: maps_offset}
    for draft in schedule.drafts:
        if draft.region is not None:
            draft.edit(memory=draft.instruction.memory + offsets[draft.region])
    Synchronizer(config, (maps_offset + core_stride) // config.block).run(schedule.drafts)
    # What the integers mean is for reports about the network; a program only says which network it is.
    facts = {name: value for name, value in network.metadata.items() if name != "encodings"}
    return CompiledProgram(
        name=network.name,
        config=config,
        instructions=_encode(schedule.drafts, layers, config),
        layers=tuple(layers),
        constants=constants,
        constants_offset=constants_offset,
        maps_offset=maps_offset,
        core_stride=core_stride,
        tensors=tensors,
        borders=_borders(network),
        output=network.output,
        classes=tuple(network.classes),
        trace=trace,
        metadata={"config_hash": f"{config.hash:016x}", "network": facts, "macs": network.macs()},
    )


def schedule_network(network: IntegerNetwork, context: Context, pipelines: Pipelines) -> Schedule:
    """All steps with their places and instructions, semaphores excepted; `str` of it tells what each step does.

    pipelines: see `_pipelines`.
    """
    steps: list[Step] = []
    nodes = enumerate(network.nodes, 1)
    for number, node in nodes:
        if node.name in pipelines:
            next(nodes)
            steps += FusedPair(*pipelines[node.name], number, context).steps()
        else:
            steps += _lower(node, number, context)
    schedule = Schedule(context.config, ["program", *(node.name for node in network.nodes)])
    schedule.emit(steps)
    return schedule


def _borders(network: IntegerNetwork) -> dict[str, np.ndarray]:
    return {name: values.astype(np.int8) for name, (_, values) in borders(network).items()}


def _pipelines(network: IntegerNetwork, context: Context) -> Pipelines:
    """Depthwise layers that run as one pipeline with the layer behind them, which alone reads their tensor."""
    readers = Counter(name for node in network.nodes for name in node.inputs)
    result = {}
    for first, second in pairwise(network.nodes):
        if (
            _is_depthwise(first)
            and first.residual is None
            and readers[first.name] == 1
            and isinstance(second, Convolution)
            and not _is_depthwise(second)
            and second.input == first.name
            and (second.kernel, second.stride, second.padding) == (1, 1, 0)
            and second.post.activation != "wide"
            and (pipeline := plan(first, second, context)) is not None
        ):
            result[first.name] = (pipeline, first, second)
    return result


def _is_depthwise(node: Node) -> TypeGuard[Convolution]:
    """A convolution for RMAC_DEPTHWISE: as many outputs as inputs."""
    return (
        isinstance(node, Convolution)
        and node.depthwise
        and node.weight.shape[0] == node.groups
        and node.post.activation != "wide"
    )


def _convolution(node: Convolution, layer: int, context: Context) -> list[Step]:
    """Steps of a convolution of any kind."""
    if _is_depthwise(node):
        return lower_depthwise(node, layer, context, node.input in context.by_channels)
    steps = lower_convolution(node, layer, context)
    # A single tile of rows in many chunks of output blocks.
    height = context.tensors[node.name].shape[1]
    if height > 1 and sum(step.layer == layer for step in steps) > 1 and steps[0].rows == height:
        context.by_channels.add(node.name)
    return steps


# The steps of each kind of node: (node, number of the layer, context) -> steps.
LOWERINGS: dict[type[Node], Callable[[Any, int, Context], list[Step]]] = {
    Convolution: _convolution,
    Attention: lower_attention,
    Pool: lower_pool,
    LayerNorm: lower_layer_norm,
}


def _lower(node: Node, layer: int, context: Context) -> list[Step]:
    if type(node) not in LOWERINGS:
        kinds = ", ".join(kind.__name__ for kind in LOWERINGS)
        raise CompileError(
            f"{node.name}: no lowering for {type(node).__name__}; the compiler has one for {kinds}, "
            "others need a row in compiler.compile.LOWERINGS"
        )
    return LOWERINGS[type(node)](node, layer, context)


def _encode(drafts: list[Draft], layers: list[str], config: AcceleratorConfig) -> tuple[Instruction, ...]:
    start = Instruction(Opcode.PROGRAM, {"magic": PROGRAM_MAGIC, "hash": config.hash, "instructions": len(drafts) + 2})
    program = [
        start,
        *(draft.instruction for draft in drafts),
        Instruction(Opcode.END, {}),
    ]
    for instruction in program:
        try:
            instruction.encode()
        except InstructionError as error:
            raise CompileError(f"{layers[instruction.tag]}: {error}") from None
    return tuple(program)
