"""Configurations of the system tests; each is one build of the simulator."""

import dataclasses

from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig

TINY = PRESETS["trio-tiny"].validate()
PAIR = dataclasses.replace(TINY, name="pair", cores=2).validate()
# The paper's blocks behind a bus of eight words.
WIDE = AcceleratorConfig(
    name="wide", data_bytes=64, feature_bytes=1 << 16, output_bytes=1 << 15, read_bursts=2
).validate()  # fmt: skip
