"""Check of a step's addresses: every word that it uses has to lie in its buffer."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.steps import WORD_ADDRESS_BITS, StepKind, step_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.layouts import INDEX_BITS

FIELDS = ("index", "kind", "source", "stationary", "stride", "count", "features", "weights")


def checked_layout(block: int) -> data.StructLayout:
    """What of a step says where it reads."""
    step = step_layout(block)
    return data.StructLayout({name: step[name].shape for name in FIELDS})


class AddressCheck(wiring.Component):
    """Tells a read beyond a buffer.

    Of a window only valid pixels or tokens count; the tail of one that is not full may run over.

    Parameters: config.
    Members: en (In, 1): the step on `step` (In, checked_layout) is issued. fault (Out, 1), index (Out, 32): a step that
    reads a word beyond A, O, B, C or K, and the number of its instruction.
    Latency: `latency = 2` cycles: the last addresses, then whether they are in their buffers.
    """

    en: Signal
    step: data.View
    fault: Signal
    index: Signal

    latency = 2

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "en": In(1),
                "step": In(checked_layout(config.block)),
                "fault": Out(1),
                "index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, step = self.config, self.step
        last = unsigned(WORD_ADDRESS_BITS + 1)
        features = Signal(last, reset_less=True)
        weights = Signal(last, reset_less=True)
        index = Signal(INDEX_BITS, reset_less=True)
        source = Signal(reset_less=True)
        stationary = Signal(reset_less=True)
        weighted = Signal(reset_less=True)  # an outer product and a row sum use no weights
        checked = Signal()
        conv = step.kind == StepKind.CONV
        further = Mux(conv | (step.kind == StepKind.LAYER_NORM), 0, step.count - 1)
        m.d.sync += [
            checked.eq(self.en),
            features.eq(step.features + Mux(step.stride, further << 1, further)),
            weights.eq(step.weights + Mux(conv, config.block - 1, 0)),
            weighted.eq((step.kind != StepKind.OUTER) & (step.kind != StepKind.ROW_SUM)),
            index.eq(step.index),
            source.eq(step.source),
            stationary.eq(step.stationary),
        ]
        no_feature = Mux(source, features >= config.output_words, features >= config.feature_words)
        no_weight = Mux(stationary, weights >= config.attention_words, weights >= config.weight_words)
        m.d.sync += [self.fault.eq(checked & (no_feature | (no_weight & weighted))), self.index.eq(index)]
        return m
