"""Run a network on the RTL and in the integer model, and compare every tensor.

One image: all intermediate tensors and the logits, with cycles and utilization a layer. On a difference the first
layer, the index and both values are named, and the exit status is 1. With --data: the logits of many images, and
accuracies; with --tensors as well every tensor of every image.

  triovit compare                                        bundled network, sample photo
  triovit compare b1-r224                                EfficientViT-B1 at 224 x 224, seeded weights
  triovit compare bundled --data cifar10_jpeg.npz --images 100
  triovit compare b0.safetensors --data val/ --images 20 --tensors
  triovit compare --timeline run.svg                     which unit works when, as a picture
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np

from triovit.compiler.compile import compile_network
from triovit.flow.arguments import Input, Output, add_image_options, add_seed_option, add_simulation_options
from triovit.flow.broken_images import add_skip_option, left_out, to_json
from triovit.flow.configurations import find_config
from triovit.flow.difference import Difference, find_difference, layer_of
from triovit.flow.errors import UsageError
from triovit.flow.images import accuracy, find_sources, predict
from triovit.flow.layer_table import COLUMNS, layer_rows, utilization
from triovit.flow.network_names import BUNDLED
from triovit.flow.networks import NETWORK_HELP, find_network
from triovit.flow.output import check_replaceable, say, show, table, write_json
from triovit.flow.packages import EXTRA, has, install
from triovit.flow.progress import steps
from triovit.flow.rtl import build, read_logits, simulate
from triovit.flow.timeline import intervals, timeline
from triovit.golden.evaluation.reference import count_outputs
from triovit.golden.files import whole_file
from triovit.golden.integer.execute import execute as execute_network
from triovit.golden.integer.names import short_names
from triovit.golden.network.facts import crop_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Input, nargs="?", default=BUNDLED, metavar="NETWORK", help=NETWORK_HELP)
    add_image_options(parser)
    add_skip_option(parser)
    parser.add_argument(
        "--tensors", action="store_true", help="with --data: compare every tensor of every image, not logits alone"
    )
    parser.add_argument(
        "--timeline", type=Output, metavar="FILE", help="of one image: SVG of the run, which unit works in which cycle"
    )
    add_seed_option(parser)
    add_simulation_options(parser)


def execute(options) -> int:
    if options.tensors and options.data is None:
        raise UsageError("--tensors goes with --data; of one image every tensor is compared anyway")
    if options.timeline and options.data is not None:
        raise UsageError("--timeline is of one image; it does not go with --data")
    check_replaceable("--timeline", options.timeline)
    config = find_config(options.config)
    network = find_network(options.network, options.seed)
    outputs = 0 if options.data is None else count_outputs(network)
    crop = crop_of(network.metadata)
    sources, classes, broken = find_sources(options, network.input_shape[1], crop, network.classes, outputs)
    # One image: what otherwise stays on chip is stored as well, which costs a little traffic.
    with steps(f"compiling {network.name}"):
        program = compile_network(network, config, trace=options.data is None or options.tensors)
    machine = build(program, options)
    if options.data is None:
        return _compare_tensors(options, network, machine, sources[0], classes)
    if options.tensors:
        return _compare_all(options, network, machine, sources, broken)
    return _compare_logits(options, network, machine, sources, broken)


def _compare_tensors(options, network, machine, source, classes) -> int:
    expected = _golden_tensors(network, source)
    started = time.time()
    run = simulate(machine, [source] * machine.program.config.cores)[0]
    seconds = time.time() - started
    program, config = machine.program, machine.program.config
    compared, differences = _differences(network, machine, run, expected, range(config.cores))
    names = short_names(network.shapes())
    rows = layer_rows(network, program, run, {difference.layer for difference in differences})
    table(f"{network.name} on {config.name}, {source.name}", COLUMNS, [row.cells(names) for row in rows])
    total = sum(network.macs().values())
    winner = int(machine.tensor(run, network.output).argmax())
    used = utilization(config, total, run.cycles)
    read, written = (run.counters[name] * config.data_bytes for name in ("BEATS_READ", "BEATS_WRITTEN"))
    say(f"RTL simulation: {seconds:.1f} s, {run.cycles / max(seconds, 1e-9) / 1e3:,.0f} thousand cycles per second")
    show(f"class: {classes[winner] if winner < len(classes) else winner}")
    show(
        f"{run.cycles:,} cycles, {total:,} MACs, {used:.1f} % of the multipliers of a core; "
        f"{read:,} bytes read, {written:,} written"
    )
    if config.integrity:
        show(f"words of on-chip memories were corrected in {run.counters['CORRECTED']:,} cycles")
    if differences:
        show(f"first difference: {differences[0]}")
    show(f"{len(differences)} of {len(compared)} tensors differ")
    report = {
        "network": network.name,
        "config": config.name,
        "image": source.name,
        "class": winner,
        "cycles": run.cycles,
        "macs": total,
        "utilization": used,
        "seconds": seconds,
        "counters": run.counters,
        "tensors": len(compared),
        "differences": [dataclasses.asdict(difference) for difference in differences],
        "layers": [dataclasses.asdict(row) for row in rows],
    }
    write_json(options.json, report)
    if options.timeline:
        title = f"{network.name} on {config.name}: {run.cycles:,} cycles"
        with whole_file(options.timeline) as partial:
            partial.write_text(timeline(title, intervals(network, program, run.events), run.cycles), encoding="utf-8")
    return 1 if differences else 0


def _compare_all(options, network, machine, sources, broken) -> int:
    """Every tensor of every image; a run at a time, so that the memory of one is kept."""
    cores, started = machine.program.config.cores, time.time()
    images, cycles = [], []
    with steps("comparing") as update:
        for first in range(0, len(sources), cores):
            run = simulate(machine, sources[first : first + cores], announce=first == 0)[0]
            cycles.append(run.cycles)
            for core, source in enumerate(sources[first : first + cores]):
                expected = execute_network(network, source.input, keep=True)
                compared, differences = _differences(network, machine, run, expected, [core])
                images.append(
                    {
                        "image": source.name,
                        "tensors": len(compared),
                        "differences": [dataclasses.asdict(difference) for difference in differences],
                    }
                )
                if differences:
                    show(f"{source.name}: first difference: {differences[0]}")
                update("comparing", first + core + 1, len(sources))
    unequal = sum(bool(image["differences"]) for image in images)
    tensors = sum(image["tensors"] for image in images)
    total = sum(len(image["differences"]) for image in images)
    show(f"{total} of {tensors:,} tensors differ, on {unequal} of {len(images)} images{left_out(broken)}")
    show(f"{np.mean(cycles):,.0f} cycles per run on average; {time.time() - started:.1f} s")
    write_json(
        options.json,
        {
            "network": network.name,
            "config": machine.program.config.name,
            "images": images,
            "cycles": cycles,
            "broken": to_json(broken),
        },
    )
    return 1 if unequal else 0


def _differences(network, machine, run, expected: dict, cores) -> tuple[list[str], list[Difference]]:
    """Names of the compared tensors in the order of execution, and the first difference of each that differs."""
    layers = {node.name for node in network.nodes}
    compared = [name for name in expected if name in machine.program.tensors]
    differences = []
    for name in compared:
        tensors = ((core, machine.tensor(run, name, core)) for core in cores)
        found = (find_difference(layer_of(name, layers), name, expected[name], x, core) for core, x in tensors)
        differences += filter(None, [next(filter(None, found), None)])
    return compared, differences


def _golden_tensors(network, source) -> dict[str, np.ndarray]:
    """All tensors of the integer model, in the order of execution."""
    with steps("integer model") as update:
        numbers = {node.name: number for number, node in enumerate(network.nodes)}
        return execute_network(
            network, source.input, keep=True, progress=lambda name: update(name, numbers[name], len(numbers))
        )


def _golden_logits(network, sources) -> np.ndarray:
    """(images, classes) logits of the integer model, by the NumPy reference and not by the faster batch executor."""
    logits = []
    with steps("integer model") as update:
        for done, source in enumerate(sources):
            update("integer model", done, len(sources))
            logits.append(execute_network(network, source.input)[network.output].reshape(-1))
    return np.stack(logits)


def _float_accuracy(sources) -> float:
    """Top-1 in per cent of the bundled float network; needs PyTorch."""
    from triovit.flow.float_networks import find_float
    from triovit.golden.evaluation.predictors import FloatPredictor

    model, facts = find_float(BUNDLED)
    return accuracy(predict(FloatPredictor(model, facts.mean, facts.std, facts.crop), sources), sources)


def _compare_logits(options, network, machine, sources, broken) -> int:
    started = time.time()
    runs = simulate(machine, sources)
    seconds = time.time() - started
    found = read_logits(machine, runs, network.output, len(sources))
    expected = _golden_logits(network, sources)
    unequal = [k for k in range(len(sources)) if not np.array_equal(expected[k], found[k])]
    report = {
        "network": network.name,
        "config": machine.program.config.name,
        "images": len(sources),
        "different": [sources[k].name for k in unequal],
        "rtl_accuracy": accuracy(found, sources),
        "golden_accuracy": accuracy(expected, sources),
        "seconds": seconds,
        "cycles": [run.cycles for run in runs],
        "broken": to_json(broken),
    }
    accuracies = f"top-1: RTL {report['rtl_accuracy']:.2f} %, integer model {report['golden_accuracy']:.2f} %"
    if options.network == BUNDLED:
        if has("torch"):
            report["float_accuracy"] = _float_accuracy(sources)
            accuracies += f", float {report['float_accuracy']:.2f} %"
        else:
            say(f"the float network's accuracy is left out, for want of PyTorch: {install(EXTRA)}")
    show(f"logits equal on {len(sources) - len(unequal)} of {len(sources)} images{left_out(broken)}")
    show(accuracies)
    show(f"{np.mean(report['cycles']):,.0f} cycles per run on average; {seconds:.1f} s of simulation")
    if unequal:
        k = unequal[0]
        core = k % machine.program.config.cores
        difference = find_difference(network.output, network.output, expected[k], found[k], core)
        show(f"first difference: {sources[k].name}: {difference}")
    write_json(options.json, report)
    return 1 if unequal else 0
