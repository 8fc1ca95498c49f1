"""Classes of data sets and outputs of networks: by name, by order, or refused."""

import numpy as np
import pytest

from triovit.golden.data.classes import match_classes, read_classes
from triovit.golden.data.folders import DatasetError


class Images:
    def __init__(self, *classes):
        self.classes = classes
        self.labels = (*range(len(classes)), 0)

    def __len__(self):
        return len(self.labels)

    def image(self, index, resolution, crop=0.95):
        return np.full((resolution, resolution, 3), index, np.uint8)


def test_by_name():
    dataset, by_name = match_classes(Images("ant", "cow"), ("dog", "cow", "bee", "ant"), 4, "DATA")
    assert by_name
    assert dataset.classes == ("dog", "cow", "bee", "ant")
    assert dataset.labels == (3, 1, 3) and len(dataset) == 3
    assert dataset.image(2, 4).shape == (4, 4, 3) and int(dataset.image(2, 4)[0, 0, 0]) == 2


@pytest.mark.parametrize("names", [(), ("tench", "goldfish", "shark")])
def test_by_order(names):
    dataset, by_name = match_classes(Images("n01", "n02", "n03"), names, 3, "DATA")
    assert not by_name
    assert dataset.classes == ("n01", "n02", "n03") and dataset.labels == (0, 1, 2, 0)


@pytest.mark.parametrize(
    ("classes", "names", "outputs", "message"),
    [
        (("ant", "cow"), ("ant", "bee"), 2, "DATA: 2 classes, the network has 2 outputs, and none is called cow"),
        (("a", *"bcdef"), tuple("axyzuvw"), 7, "has 7 outputs, and none is called b, c, d, e and 1 more"),
        (("n1", "n2"), tuple("abc"), 3, "DATA: 2 classes, the network has 3 outputs, and none is called n1, n2"),
        (("n1", "n2"), (), 3, "DATA: 2 classes, the network has 3 outputs, and no names for them"),
        (("n1", "n2", "n3"), (), 2, "DATA: 3 classes, the network has 2 outputs"),
        (("ant",), ("ant", "bee"), 3, "DATA: the network names 2 classes but has 3 outputs"),
        (("crane", "ant"), ("crane", "ant", "crane"), 3, "DATA: the network has several outputs called crane"),
    ],
)
def test_refused(classes, names, outputs, message):
    with pytest.raises(DatasetError) as caught:
        match_classes(Images(*classes), names, outputs, "DATA")
    assert message in str(caught.value)


def test_outputs_with_the_same_name_matter_only_if_used():
    dataset, _ = match_classes(Images("ant"), ("crane", "ant", "crane"), 3, "DATA")
    assert dataset.labels == (1, 1)


def test_classes_of_a_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("great white shark\n\n  ant \nkälte\n", encoding="utf-8")
    assert read_classes(path, 3) == ("great white shark", "ant", "kälte")
    path.write_text("ant\nbee\n", encoding="utf-8-sig")  # as some editors write it
    assert read_classes(path, 2) == ("ant", "bee")
    for content, message in (
        (b"a\nb\n", "must name the network's 3 outputs, one per line, not 2"),
        (b"a\nb\nb\n", "the same class twice: b"),
        (b"\xff\xfe\n", "not a text file in UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=f"names.txt: {message}"):
            read_classes(path, 3)
    with pytest.raises(FileNotFoundError):
        read_classes(tmp_path / "none", 3)
