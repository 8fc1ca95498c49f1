"""Configurations of the system tests; each is one build of the simulator."""

import dataclasses

from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig

TINY = PRESETS["trio-tiny"].validate()
PAIR = dataclasses.replace(TINY, name="pair", cores=2).validate()
# Two ports, a core each; four of a word a beat, two cores each.
PORTS = dataclasses.replace(PAIR, name="ports", ports=2).validate()
FOUR = dataclasses.replace(TINY, name="four", cores=8, ports=4, data_bytes=4, burst_beats=4).validate()
CHECKED = dataclasses.replace(TINY, name="checked", integrity=True).validate()
# Buffers of whole rows whose sizes are no powers of two.
ODD = dataclasses.replace(
    TINY, name="odd", feature_bytes=16000, output_bytes=8008, weight_bytes=6000, parameter_bytes=64 * 99,
    attention_bytes=960, divisors=201,
).validate()  # fmt: skip
# The widest bus of blocks of 4: four words per beat.
BROAD = dataclasses.replace(TINY, name="broad", data_bytes=16).validate()
# The paper's blocks behind a bus of eight words.
WIDE = AcceleratorConfig(
    name="wide", data_bytes=64, feature_bytes=1 << 16, output_bytes=1 << 15, read_bursts=2
).validate()  # fmt: skip
# A word per beat, a beat per burst, one burst at a time, the shortest queues: the narrow end of what validates.
NARROW = dataclasses.replace(
    TINY, name="narrow", data_bytes=4, burst_beats=1, read_bursts=1, write_bursts=1, queue_depth=2
).validate()
# The wide end: the longest beats, of which two instructions fill one.
WIDEST = AcceleratorConfig(
    name="widest", block=16, data_bytes=128, burst_beats=32, feature_bytes=1 << 16, output_bytes=1 << 15,
    parameter_bytes=1 << 15, attention_bytes=1 << 13, queue_depth=64,
).validate()  # fmt: skip
