"""Run a network on the RTL and in the integer model, and compare every tensor.

One image: all intermediate tensors and the logits, with cycles and utilization a layer. On a difference the first
layer, the index and both values are named, and the exit status is 1. With --data: the logits of many images, and
accuracies.

  triovit compare                                        bundled network, sample photo
  triovit compare b1-r224                                EfficientViT-B1 at 224 x 224, seeded weights
  triovit compare bundled --data cifar10_jpeg.npz --images 100
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from compiler.compile import compile_network
from flow.output import console, say, steps, table, write_json
from flow.run import accuracy, add_image_options, find_sources, float_logits, golden_logits
from flow.simulate import add_simulation_options, build, simulate
from flow.sources import BUNDLED, NETWORK_HELP, find_network
from golden.integer.execute import execute as execute_network
from golden.integer.macs import node_macs, operation
from golden.network.bundled import load_bundled
from hdl.config import load_config

SUMMARY = "compare the RTL with the integer model, tensor by tensor"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", nargs="?", default=BUNDLED, metavar="NETWORK", help=NETWORK_HELP)
    add_image_options(parser)
    add_simulation_options(parser)


def execute(options) -> int:
    config = load_config(options.config)
    network = find_network(options.network, options.seed)
    sources, classes = find_sources(options, network.input_shape[1])
    # One image: attention's intermediates are stored as well, which costs a little traffic.
    program = compile_network(network, config, trace=options.data is None)
    machine = build(program, options)
    return (
        _compare_logits(options, network, machine, sources)
        if options.data
        else _compare_tensors(options, network, machine, sources[0], classes)
    )


def first_difference(name: str, expected: np.ndarray, found: np.ndarray) -> dict | None:
    """None if equal, else how many elements differ and where the first one does."""
    if expected.shape != found.shape:
        return {"tensor": name, "shapes": [list(expected.shape), list(found.shape)]}
    different = np.argwhere(expected != found)
    if not len(different):
        return None
    index = tuple(int(k) for k in different[0])
    return {
        "tensor": name,
        "elements": len(different),
        "of": int(expected.size),
        "index": list(index),
        "expected": int(expected[index]),
        "found": int(found[index]),
    }


def _compare_tensors(options, network, machine, source, classes) -> int:
    with steps("integer model") as update:
        names = [node.name for node in network.nodes]
        expected = execute_network(
            network, source.input, keep=True, progress=lambda name: update(name, names.index(name), len(names))
        )
    started = time.time()
    run = simulate(machine, [source])[0]
    seconds = time.time() - started
    config, macs = machine.program.config, node_macs(network)
    compared = [name for name in expected if name in machine.program.tensors]
    differences = [d for name in compared if (d := first_difference(name, expected[name], machine.tensor(run, name)))]
    bad = {d["tensor"] for d in differences}
    rows, layers = [], []
    for node in network.nodes:
        cycles = run.layer_cycles.get(node.name, 0)
        shape = "x".join(map(str, expected[node.name].shape))
        used = 100 * macs[node.name] / (cycles * config.multipliers / config.cores) if cycles else 0.0
        match = not any(name == node.name or (name.startswith(f"{node.name}.") and name not in macs) for name in bad)
        rows.append(
            [node.name, operation(node), shape, macs[node.name], cycles, f"{used:.1f} %", "yes" if match else "NO"]
        )
        layers.append(
            {
                "layer": node.name,
                "operation": operation(node),
                "shape": shape,
                "macs": macs[node.name],
                "cycles": cycles,
                "utilization": used,
                "match": match,
            }
        )
    columns = [
        ("layer", "left"),
        ("operation", "left"),
        ("output", "right"),
        ("MACs", "right"),
        ("cycles", "right"),
        ("utilization", "right"),
        ("match", "left"),
    ]
    table(f"{network.name} on {config.name}, {source.name}", columns, rows)
    total = sum(macs.values())
    logits = machine.tensor(run, network.output).reshape(-1)
    classes = network.classes or classes
    winner = int(logits.argmax())
    utilization = 100 * total / (run.cycles * config.multipliers / config.cores)
    say(f"RTL simulation: {seconds:.1f} s, {run.cycles / max(seconds, 1e-9) / 1e3:,.0f} thousand cycles a second")
    console.print(f"class: {classes[winner] if winner < len(classes) else winner}", markup=False)
    console.print(
        f"{run.cycles:,} cycles, {total:,} MACs, {utilization:.1f} % of the multipliers of a core; "
        f"{run.counters['BEATS_READ'] * config.data_bytes:,} bytes read, "
        f"{run.counters['BEATS_WRITTEN'] * config.data_bytes:,} written",
        soft_wrap=True,
    )
    for difference in differences[:1]:
        console.print(f"first difference: {difference}", markup=False, soft_wrap=True)
    console.print(f"{len(differences)} of {len(compared)} tensors differ")
    write_json(
        options.json,
        {
            "network": network.name,
            "config": config.name,
            "image": source.name,
            "class": winner,
            "cycles": run.cycles,
            "macs": total,
            "utilization": utilization,
            "seconds": seconds,
            "counters": run.counters,
            "tensors": len(compared),
            "differences": differences,
            "layers": layers,
        },
    )
    return 1 if differences else 0


def _compare_logits(options, network, machine, sources) -> int:
    started = time.time()
    runs = simulate(machine, sources)
    seconds = time.time() - started
    cores = machine.program.config.cores
    found = np.stack(
        [machine.tensor(runs[k // cores], network.output, k % cores).reshape(-1) for k in range(len(sources))]
    )
    expected = golden_logits(network, sources)
    different = [source.name for source, a, b in zip(sources, expected, found, strict=True) if (a != b).any()]
    report = {
        "images": len(sources),
        "different": different,
        "rtl_accuracy": accuracy(found, sources),
        "golden_accuracy": accuracy(expected, sources),
        "seconds": seconds,
        "cycles": [run.cycles for run in runs],
    }
    console.print(f"logits equal on {len(sources) - len(different)} of {len(sources)} images")
    console.print(f"top-1: RTL {report['rtl_accuracy']:.2f} %, integer model {report['golden_accuracy']:.2f} %", end="")
    if options.network == BUNDLED:
        report["float_accuracy"] = accuracy(float_logits(load_bundled().model, sources), sources)
        console.print(f", float {report['float_accuracy']:.2f} %", end="")
    console.print(f"\n{np.mean(report['cycles']):,.0f} cycles an image on average; {seconds:.1f} s of simulation")
    if different:
        index = next(k for k, source in enumerate(sources) if source.name == different[0])
        console.print(
            f"first difference: {different[0]}: {first_difference(network.output, expected[index], found[index])}",
            markup=False,
        )
    write_json(options.json, report)
    return 1 if different else 0
