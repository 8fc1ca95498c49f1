"""Whole reports: all sections, tables that hold the data's numbers, and what is told when something is missing."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.settings import QuantizationError
from triovit.golden.report.findings import NO_ENCODINGS, NO_IMAGES, NO_MODEL, Accuracy, ReportSubject, find
from triovit.golden.report.report import method, report, to_json
from triovit.golden.report.weights import WeightScheme

SECTIONS = ["summary", "sqnr", "ranges", "weights", "schemes", "divisors", "saturation"]


class Reader(HTMLParser):
    """Tables and plots of each section, and everything that could refer to the outside."""

    def __init__(self, document):
        super().__init__()
        self.tables, self.plots, self.missing, self.references, self.tags = {}, {}, {}, [], set()
        self._section = self._cell = self._note = None
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.references += [attributes[key] for key in ("src", "href", "xlink:href", "action") if key in attributes]
        match tag:
            case "section":
                self._section = attributes["id"]
                self.tables[self._section], self.plots[self._section], self.missing[self._section] = [], [], []
            case "table":
                self.tables[self._section].append([])
            case "tr":
                self.tables[self._section][-1].append([])
            case "td" | "th":
                self._cell = ""
            case "svg":
                self.plots[self._section].append(attributes["aria-label"])
            case "p" if attributes.get("class") == "missing":
                self._note = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[self._section][-1][-1].append(self._cell)
            self._cell = None
        if tag == "p" and self._note is not None:
            self.missing[self._section].append(self._note)
            self._note = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data
        if self._note is not None:
            self._note += data


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


@pytest.fixture(scope="module")
def subject(model):
    images = random_images(5, 4, 32)
    network = quantize(model, images, name="seeded <b>", settings=METHODS["m2"])
    network = network.with_metadata(method="m2", float_top1=90.0, integer_top1=80.0, test_images=100)
    accuracy = Accuracy("b0 (golden)", "photos", 1234, 56.78, 1.23, 99.5)
    return ReportSubject(network, "b0.safetensors", "ab" * 32, 12345, model, np.stack(images), "photos", (accuracy,))


@pytest.fixture(scope="module")
def findings(subject):
    return find(subject)


@pytest.fixture(scope="module")
def document(subject, findings):
    return report(subject, findings)


@pytest.fixture(scope="module")
def read(document):
    return Reader(document)


def test_it_is_self_contained(document, read):
    assert not read.tags & {"script", "link", "iframe", "img", "object", "base"}
    assert not re.search(r"https?:|@import|//[a-z]", document)
    assert all(reference.startswith(("#", "data:image/png;base64,")) for reference in read.references)
    assert all(inside.startswith("#") for inside in re.findall(r"url\(([^)]*)\)", document))
    assert "prefers-color-scheme: dark" in document
    identifiers = re.findall(r'\bid="([^"]+)"', document)
    assert len(identifiers) == len(set(identifiers))
    assert {reference[1:] for reference in read.references if reference[0] == "#"} <= set(identifiers)


def test_every_section_has_its_plots_and_nothing_is_missing(read, findings):
    assert list(read.tables) == SECTIONS
    assert {name: len(plots) for name, plots in read.plots.items()} == {
        "summary": 0,
        "sqnr": 1,
        "ranges": 12,  # two for each of three tensors, migrated and shifted
        "weights": 3,
        "schemes": 2,
        "divisors": len(findings.activations.divisors),
        "saturation": 1,
    }
    assert not any(read.missing.values())
    assert all(read.tables.values())


def test_summary(read, subject):
    facts = dict(read.tables["summary"][1])
    assert facts["network"] == "seeded <b>"
    assert (facts["SHA-256"], facts["bytes"], facts["file"]) == ("ab" * 32, "12,345", "b0.safetensors")
    assert facts["family"].startswith("m2: ") and "filters in additive powers of two" in facts["family"]
    assert (facts["method"], facts["preset"], facts["layers"]) == ("m2", "b0", str(len(subject.network.nodes)))
    assert facts["images of this report"] == "4 of photos"
    accuracies = read.tables["summary"][0]
    assert [row[0] for row in accuracies[1:]] == ["float network", "this network", "b0 (golden)"]
    assert accuracies[1][2:] == ["100", "90.00", "3.00", "?"]
    assert accuracies[3][1:] == ["photos", "1,234", "56.78", "1.23", "99.50"]
    settings = dict(read.tables["summary"][2])
    assert settings == {key: str(value) for key, value in METHODS["m2"].to_dict().items()}
    others = dict(read.tables["summary"][3])
    assert others["calibration_sha256"] == subject.network.metadata["calibration_sha256"]
    assert "encodings" not in others


def test_numbers_of_the_layers(read, findings, subject):
    rows = read.tables["sqnr"][0][1:]
    assert [row[2] for row in rows] == [f"{error.sqnr:.1f}" for error in findings.errors]
    assert len(rows) == len(subject.network.nodes) and all(0 < float(row[2]) < 60 for row in rows)
    rows = read.tables["saturation"][0][1:]
    codes = {name: tensor for name, tensor in findings.activations.codes.items() if name != "input"}
    assert [int(row[1].replace(",", "")) for row in rows] == [tensor.size for tensor in codes.values()]
    assert [float(row[3]) for row in rows] == pytest.approx(
        [100 * tensor.highest / tensor.size for tensor in codes.values()], abs=0.005
    )


def test_numbers_of_the_weights(read, findings):
    by_scheme = read.tables["weights"]
    schemes = (WeightScheme(8), WeightScheme(4), WeightScheme(apot=ApotFormat()))
    expected = [[layer for layer in findings.weights if scheme in layer.counts] for scheme in schemes]
    assert [len(table) - 1 for table in by_scheme] == [len(layers) for layers in expected]
    four = expected[1]
    assert [row[1] for row in by_scheme[1][1:]] == [f"{int(layer.counts[WeightScheme(4)].sum()):,}" for layer in four]
    assert [row[5] for row in by_scheme[1][1:]] == [f"{layer.entropy(WeightScheme(4)):.2f}" for layer in four]
    filters = read.tables["schemes"][0]
    assert filters[0][2:] == ["uniform 8 bits", "uniform 4 bits", "APoT 7 bits, exponents 0 to 6"]
    for row, layer in zip(filters[1:], findings.weights, strict=True):
        assert sorted(int(cell.replace(",", "")) for cell in row[2:] if cell != "0") == sorted(layer.filters.values())
    magnitudes = read.tables["schemes"][1][1:]
    assert sum(float(row[1]) for row in magnitudes) == pytest.approx(100, abs=0.3)
    assert magnitudes[0][0] == "0" and magnitudes[0][1] == magnitudes[0][2]  # no negative zero
    scheme = schemes[2]
    counts = sum(layer.counts[scheme] for layer in findings.weights if scheme in layer.counts)
    for magnitude, share, positive in magnitudes:
        both = counts[abs(scheme.levels) == int(magnitude)].sum(), counts[scheme.levels == int(magnitude)].sum()
        assert (float(share), float(positive)) == pytest.approx([100 * n / counts.sum() for n in both], abs=0.006)


def test_numbers_of_ranges_and_divisors(read, findings):
    migrated, shifted = read.tables["ranges"]
    assert [row[6] for row in migrated[1:]] == [f"{tensor.span_after:.1f}" for tensor in findings.migrated]
    assert [row[2] for row in shifted[1:]] == [f"{tensor.real.low.min():.3g}" for tensor in findings.shifted]
    assert {row[-1] for row in (*migrated[1:], *shifted[1:])} == {"float network"}
    divisors, codes = read.tables["divisors"]
    assert [[row[2], row[4]] for row in divisors[1:]] == [
        [str(branch.offset), f"{branch.largest:,}"] for branch in findings.activations.divisors
    ]
    assert [sum(map(float, row[2:])) for row in codes[1:]] == pytest.approx([100] * len(divisors[1:]), abs=0.1)


def test_for_machines(subject, findings):
    values = to_json(subject, findings)
    assert (values["family"], values["method"], values["images"], values["lacking"]) == ("m2", "m2", 4, {})
    assert [error["sqnr"] for error in values["errors"]] == [error.sqnr for error in findings.errors]
    assert sum(layer["weights"] for layer in values["weights"]) == sum(layer.size for layer in findings.weights)
    assert len(values["divisors"]) == len(findings.activations.divisors)


def test_without_images(subject):
    bare = dataclasses.replace(subject, pixels=None, model=None, accuracies=())
    found = find(bare)
    read = Reader(report(bare, found))
    assert list(read.tables) == SECTIONS
    assert NO_IMAGES in read.missing["sqnr"][0] and NO_MODEL in read.missing["sqnr"][0]
    assert NO_ENCODINGS not in read.missing["sqnr"][0]
    for section in ("ranges", "divisors", "saturation"):
        assert NO_IMAGES in read.missing[section][0]
        assert not read.plots[section] and not read.tables[section]
    assert read.plots["weights"] and read.plots["schemes"]
    assert to_json(bare, found)["errors"] == []


def test_integers_alone_without_encodings(subject):
    """Nothing but the integer network and images: ranges are in integers, real units are question marks."""
    network = dataclasses.replace(subject.network, metadata={})
    bare = dataclasses.replace(subject, network=network, model=None)
    found = find(bare)
    read = Reader(report(bare, found))
    assert NO_MODEL in read.missing["ranges"][0] and NO_ENCODINGS in read.missing["ranges"][0]
    assert NO_ENCODINGS in read.missing["sqnr"][0]
    assert {tuple(row[2:5]) for row in read.tables["ranges"][0][1:]} == {("?", "?", "?")}
    assert len(read.plots["ranges"]) == 6 and len(read.plots["saturation"]) == 1
    assert dict(read.tables["summary"][1])["method"] == "no named one"


def test_decoded_integers_without_the_float_network(subject):
    found = find(dataclasses.replace(subject, model=None))
    assert {tensor.origin for tensor in (*found.migrated, *found.shifted)} == {"decoded integers"}
    assert set(found.lacking) == {"sqnr"}


def test_another_float_network_is_refused(subject):
    with pytest.raises(QuantizationError, match="is not the one that became"):
        find(dataclasses.replace(subject, model=EfficientViT("b1", 7, 32)))


def test_names_of_methods():
    settings = METHODS["p2"].to_dict()
    assert method({"settings": settings}) == "p2"
    assert method({"settings": settings, "method": "p2"}) == "p2"
    assert method({"settings": settings, "method": "m2"}) == "m2, with other settings"
    assert method({}) == "no named one"
