"""A layer of the network that ships, from float weights to cycles; the text is docs/layer-step-by-step.md.

Needs the extra `quantize` (the float weights are PyTorch's):

    python examples/layer_step_by_step.py [LAYER...]

LAYER is a convolution with hardswish, by default a pointwise and a depthwise one. Everything printed is of channel 0
and of one pixel; each step is computed here, and checked against the integer network and the RTL.
"""

import sys
from collections import Counter

import numpy as np
import torch

from triovit.compiler.compile import compile_network
from triovit.compiler.disassemble import disassemble
from triovit.golden.assets import INTEGER_NETWORK, PHOTO
from triovit.golden.data.images import load_image
from triovit.golden.integer import arithmetic
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.nodes import Convolution
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.normalize import normalize
from triovit.golden.quantization.encoding import from_metadata
from triovit.hdl.config.accelerator import load_config
from triovit.sim.rtl.machine import RtlMachine

BLOCK = "backbone.stages.0.op_list.1.main."
LAYERS = [BLOCK + "inverted_conv", BLOCK + "depth_conv"]
CHANNEL, ROW, COLUMN = 0, 1, 6


def numbers(layer, node, encodings, tensors, real) -> None:
    """Weights, requantization and one pixel."""
    source, target, post = encodings[node.input], encodings[node.name], node.post
    inputs = [CHANNEL] if node.depthwise else slice(None)  # channels that output channel 0 reads
    weights = (layer.folded.weight[CHANNEL] * source.scale[inputs, None, None]).ravel()
    step = np.abs(weights).max() / 127
    integers = np.floor(weights / step + 0.5).astype(np.int64)
    assert np.array_equal(integers, node.weight[CHANNEL].ravel())
    print(f"float weights      {' '.join(f'{w:.4f}' for w in layer.folded.weight[CHANNEL].ravel()[:6])} ...")
    print(f"input              scale {source.scale[CHANNEL]:.6f}, zero point {source.zero_point[CHANNEL]}")
    print(f"accumulator step   {step:.4g}")
    print(f"integer weights    {' '.join(map(str, integers[:6]))} ...")

    bits, bias, zero = post.fraction_bits, int(post.bias[CHANNEL]), int(target.zero_point[CHANNEL])
    (m1, n1), (m2, n2) = (tuple(int(a[CHANNEL]) for a in pair) for pair in ((post.m1, post.n1), (post.m2, post.n2)))
    ratio, factor = step * 2**bits, 1 / (6 * 4**bits * target.scale[CHANNEL])
    print(f"to fixed point     step * 2**{bits} = {ratio:.6f}, M / 2**n = {m1} / 2**{n1} = {m1 / 2**n1:.6f}")
    print(
        f"behind hardswish   1 / (6 * 4**{bits} * scale) = {factor:.4g}, M / 2**n = {m2} / 2**{n2} = {m2 / 2**n2:.4g}"
    )

    total = int(node.convolve(tensors[node.input])[CHANNEL, ROW, COLUMN])
    x = int(arithmetic.requantize(total + bias, m1, n1, 0, 16))
    product = int(arithmetic.hardswish_product(x, bits))
    y = int(arithmetic.hardswish_requantize(total + bias, m1, n1, bits, m2, n2, zero))
    assert y == tensors[node.name][CHANNEL, ROW, COLUMN]
    print(f"pixel ({ROW}, {COLUMN})       sum {total} + bias {bias} = {total + bias}")
    print(f"fixed point        x = {x}, that is {x / 2**bits:.4f}")
    print(f"hardswish          x * clamp(x + 3 * 2**{bits}, 0, 6 * 2**{bits}) = {product}")
    scale = target.scale[CHANNEL]
    print(f"output             {y}: ({y} - {zero}) * {scale:.6f} = {(y - zero) * scale:.3f}, in floats {real:.3f}")


def hardware(node, program, run, tensors) -> None:
    """Memory, instructions and cycles."""
    for what, name in (("reads", node.input), ("writes", node.name)):
        layout, word = program.tensors[name], tensors[name][:8, ROW, COLUMN]
        address = program.maps_offset + layout.address(0, ROW, COLUMN)
        print(f"{what:18} {layout.planes} planes of {layout.plane_bytes} bytes, border {layout.border}")
        print(f"  word of pixel ({ROW}, {COLUMN}), plane 0: {' '.join(map(str, word))}, at 0x{address:x}")
    first: dict[tuple, str] = {}  # the first instruction of each kind; LOADs by their buffer
    count: Counter[str] = Counter()
    for instruction, line in zip(program.instructions, disassemble(program), strict=True):
        if program.layers[instruction.tag] == node.name:
            count[instruction.opcode.name] += 1
            kind = (instruction.opcode, instruction.fields.get("buffer"))
            first.setdefault(kind, " ".join(line.split()[3:]))
    print(
        "instructions      ", ", ".join(f"{number} {name}" for name, number in count.items()) + "; the first of each:"
    )
    for line in first.values():
        print(" ", line)
    print(f"{'cycles':18} {run.layer_cycles[node.name]:,}")


def main() -> int:
    bundled, network, config = load_bundled(), load_network(INTEGER_NETWORK), load_config("trio-core")
    pixels = load_image(PHOTO, bundled.resolution)
    image, program = pixels_to_input(pixels), compile_network(network, config)
    tensors = execute(network, image, keep=True)
    machine = RtlMachine(program)
    run = machine.run([image])[0]
    layers, encodings, seen = {layer.name: layer for layer in layers_of(bundled.model)}, from_metadata(network), {}
    for name in sys.argv[1:] or LAYERS:
        module = bundled.model.get_submodule(layers[name].output)
        module.register_forward_hook(
            lambda *values, name=name: seen.update({name: float(values[-1][0, CHANNEL, ROW, COLUMN])})
        )
    with torch.inference_mode():
        bundled.model(normalize(torch.from_numpy(pixels[np.newaxis]), bundled.mean, bundled.std))
    for name in sys.argv[1:] or LAYERS:
        node = network.node(name)
        if not isinstance(node, Convolution) or node.post.activation != "hardswish":
            sys.exit(f"{name} is no convolution with hardswish")
        assert np.array_equal(machine.tensor(run, name), tensors[name])
        print(f"== {name}: {node.label}, {tensors[node.input].shape} -> {tensors[name].shape}")
        numbers(layers[name], node, encodings, tensors, seen[name])
        hardware(node, program, run, tensors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
