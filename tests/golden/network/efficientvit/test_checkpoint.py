"""Names and sizes in published checkpoints. Whole files in either naming scheme: see `tests/golden/network`."""

import pytest
import torch

from triovit.golden.network.efficientvit.checkpoint import CLASSIFIER_KEY, STEM_KEY, identify, official_name
from triovit.golden.network.efficientvit.model import EfficientViT


def test_timm_names_as_published():
    published = [
        "stem.in_conv.conv.weight",
        "stem.res0.main.depth_conv.norm.bias",
        "stages.0.blocks.1.main.point_conv.conv.weight",
        "stages.2.blocks.1.context_module.main.aggreg.0.1.weight",
        "stages.3.blocks.2.local_module.main.depth_conv.conv.bias",
        "head.in_conv.norm.weight",
        "head.classifier.0.weight",
        "head.classifier.1.bias",
        "head.classifier.4.bias",
    ]
    names = {official_name(name) for name in published}
    assert names <= set(EfficientViT("b0", 10, 32).state_dict())
    assert len(names) == len(published)
    assert official_name("conv1.weight") == "conv1.weight"


def test_the_stem_tells_the_size():
    stem, classifier = torch.zeros(16, 3, 3, 3), torch.zeros(7, 1600)
    assert identify({STEM_KEY: stem, CLASSIFIER_KEY: classifier}) == ("b1", 7)
    assert identify({STEM_KEY: stem}) is None
    assert identify({STEM_KEY: stem, CLASSIFIER_KEY: classifier[0]}) is None
    with pytest.raises(ValueError, match="not an EfficientViT B0-B3: the stem has 17 channels"):
        identify({STEM_KEY: torch.zeros(17, 3, 3, 3), CLASSIFIER_KEY: classifier})
