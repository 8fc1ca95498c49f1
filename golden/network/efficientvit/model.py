"""Float EfficientViT B0-B3 for image classification, with the official checkpoints' parameter names."""

from __future__ import annotations

from torch import nn

from triovit.golden.network.classifier import Classifier
from triovit.golden.network.efficientvit.blocks import (
    AttentionBlock,
    ConvNormAct,
    DSConv,
    LinearNormAct,
    MBConv,
    OpList,
    Residual,
)
from triovit.golden.network.efficientvit.presets import (
    ATTENTION_STAGES,
    EXPANSION,
    IMAGENET_CLASSES,
    MAX_RESOLUTION,
    STRIDE,
    Preset,
    find_preset,
)

ATTENTION_EPS = 1e-15  # the official value; timm's is 1e-5


class Backbone(nn.Module):
    """`input_stem` (stage 0, stride 2) and four `stages` (stride 2 each): (N, 3, R, R) -> (N, C, R/32, R/32)."""

    def __init__(self, preset: Preset, eps: float):
        super().__init__()
        width = preset.widths[0]
        blocks = [Residual(DSConv(width, width)) for _ in range(preset.depths[0])]
        self.input_stem = OpList([ConvNormAct(3, width, 3, stride=2), *blocks])
        self.stages = nn.ModuleList()
        for number in range(1, 5):
            c_in, c_out, depth = preset.widths[number - 1], preset.widths[number], preset.depths[number]
            attends = number in ATTENTION_STAGES
            down = MBConv(c_in, c_out, stride=2, expansion=EXPANSION, fewer_norm=attends)
            if attends:
                rest = [AttentionBlock(c_out, preset.head_dim, eps, EXPANSION) for _ in range(depth)]
            else:
                rest = [Residual(MBConv(c_out, c_out, expansion=EXPANSION)) for _ in range(depth - 1)]
            self.stages.append(OpList([Residual(down, shortcut=False), *rest]))

    def forward(self, x):
        x = self.input_stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


class EfficientViT(Classifier):
    """Normalized images (N, 3, R, R), float -> logits (N, n_classes).

    Parameters
    ----------
    preset: "b0", "b1", "b2" or "b3".
    n_classes: outputs, at least 2.
    resolution: R, a multiple of 32 from 32 to 1024; the only input size `forward` takes.
    eps: added to the attention's divisor, greater than 0.

    Raises ValueError or TypeError naming the parameter. The weights are torch's defaults: load a checkpoint
    (`golden.network.checkpoint`) or call `golden.network.seeded.initialize`.
    Source: EfficientViT (ICCV 2023), Table 1 and released configurations.
    """

    def __init__(self, preset="b0", n_classes=IMAGENET_CLASSES, resolution=224, eps=ATTENTION_EPS):
        super().__init__()
        self.preset = find_preset(preset)
        for name, value in (("n_classes", n_classes), ("resolution", resolution)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
        if n_classes < 2:
            raise ValueError(f"n_classes must be at least 2, not {n_classes}")
        if resolution % STRIDE or not STRIDE <= resolution <= MAX_RESOLUTION:
            raise ValueError(
                f"resolution must be a multiple of {STRIDE} from {STRIDE} to {MAX_RESOLUTION}, not {resolution}"
            )
        if not eps > 0:
            raise ValueError(f"eps must be greater than 0, not {eps}")
        self.n_classes = n_classes
        self.resolution = resolution
        self.backbone = Backbone(self.preset, eps)
        conv_width, hidden_width = self.preset.head_widths
        self.head = OpList(
            [
                ConvNormAct(self.preset.widths[-1], conv_width),
                nn.AdaptiveAvgPool2d(1),
                LinearNormAct(conv_width, hidden_width, hidden=True),
                LinearNormAct(hidden_width, n_classes, hidden=False),
            ]
        )

    def forward(self, x):
        expected = (3, self.resolution, self.resolution)
        if x.dim() != 4 or tuple(x.shape[1:]) != expected:
            raise ValueError(f"images must have shape (N, {', '.join(map(str, expected))}), not {tuple(x.shape)}")
        return self.head(self.backbone(x))
