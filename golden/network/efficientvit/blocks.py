"""Building blocks of the float EfficientViT.

Submodules are registered in the order in which they run, so `named_modules()` walks a network in execution
order, and every tensor a quantizer needs is the input or output of a named module. Parameter names are those
of the official checkpoints. All feature maps are float tensors of shape (N, C, H, W).
Source: EfficientViT (ICCV 2023), section 3, and its released code's structure.
"""

from __future__ import annotations

import torch
from torch import nn

NORM_EPS = 1e-5


class ConvNormAct(nn.Module):
    """Convolution (padding kernel // 2), then batch normalization, then hardswish; the last two are optional.

    Absent parts are `nn.Identity`, so `conv`, `norm` and `act` always exist.
    """

    def __init__(self, c_in, c_out, kernel=1, *, stride=1, groups=1, bias=False, norm=True, act=True):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(c_out, eps=NORM_EPS) if norm else nn.Identity()
        self.act = nn.Hardswish() if act else nn.Identity()

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


class LinearNormAct(nn.Module):
    """Fully connected layer on (N, C), or on a pooled map (N, C, 1, 1) which it flattens.

    hidden=True: no bias, then layer normalization and hardswish. hidden=False: bias and nothing after it.
    """

    def __init__(self, c_in, c_out, *, hidden):
        super().__init__()
        self.linear = nn.Linear(c_in, c_out, bias=not hidden)
        self.norm = nn.LayerNorm(c_out, eps=NORM_EPS) if hidden else nn.Identity()
        self.act = nn.Hardswish() if hidden else nn.Identity()

    def forward(self, x):
        return self.act(self.norm(self.linear(x.flatten(1))))


class OpList(nn.Module):
    """Modules run one after the other, under the name `op_list` that the official checkpoints use."""

    def __init__(self, modules):
        super().__init__()
        self.op_list = nn.ModuleList(modules)

    def forward(self, x):
        for module in self.op_list:
            x = module(x)
        return x


class Residual(nn.Module):
    """main(x) + x, or main(x) alone when `shortcut` is False (a block that changes the map's shape)."""

    def __init__(self, main, *, shortcut=True):
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x):
        y = self.main(x)
        return y + x if self.shortcut else y


class DSConv(nn.Module):
    """Depthwise 3x3 (hardswish), then pointwise (no activation); both with batch normalization."""

    def __init__(self, c_in, c_out):
        super().__init__()
        self.depth_conv = ConvNormAct(c_in, c_in, 3, groups=c_in)
        self.point_conv = ConvNormAct(c_in, c_out, act=False)

    def forward(self, x):
        return self.point_conv(self.depth_conv(x))


class MBConv(nn.Module):
    """Pointwise expansion (hardswish), depthwise 3x3 (hardswish), pointwise projection (no activation).

    fewer_norm=True is the form of the attention stages: the first two have a bias and no normalization.
    """

    def __init__(self, c_in, c_out, *, stride=1, expansion, fewer_norm=False):
        super().__init__()
        c_mid = c_in * expansion
        early = {"bias": fewer_norm, "norm": not fewer_norm}
        self.inverted_conv = ConvNormAct(c_in, c_mid, **early)
        self.depth_conv = ConvNormAct(c_mid, c_mid, 3, stride=stride, groups=c_mid, **early)
        self.point_conv = ConvNormAct(c_mid, c_out, act=False)

    def forward(self, x):
        return self.point_conv(self.depth_conv(self.inverted_conv(x)))


class LinearAttention(nn.Module):
    """ReLU linear attention without parameters: (N, heads * 3 * dim, H, W) -> (N, heads * dim, H, W).

    A head's channels are dim of q, dim of k, dim of v. With T = H * W tokens and v' = v with a row of ones:
    kv = v' relu(k)^T, o = kv relu(q), out = o[:dim] / (o[dim] + eps). Always this linear form, whatever T is
    (the official code changes to the quadratic one for T <= dim; they differ by rounding only). Half-precision
    maps are widened to float32, because they overflow here.
    """

    def __init__(self, dim, eps):
        super().__init__()
        self.dim = dim
        self.eps = eps

    def split(self, qkv):
        """relu(q), relu(k), v of shape (N, heads, dim, T), in float32 or wider."""
        n, _, height, width = qkv.shape
        qkv = qkv.to(torch.promote_types(qkv.dtype, torch.float32))
        q, k, v = qkv.reshape(n, -1, 3, self.dim, height * width).unbind(2)
        return q.relu(), k.relu(), v

    def forward(self, qkv):
        n, _, height, width = qkv.shape
        q, k, v = self.split(qkv)
        ones = v.new_ones(n, v.shape[1], 1, v.shape[3])
        out = torch.cat([v, ones], dim=2) @ k.transpose(2, 3) @ q
        out = out[:, :, : self.dim] / (out[:, :, self.dim :] + self.eps)
        return out.reshape(n, -1, height, width).to(qkv.dtype)


class LiteMLA(nn.Module):
    """Multi-scale linear attention with two branches: qkv itself, and qkv aggregated over 5x5 neighbourhoods.

    `qkv` C -> 3C; `aggreg.0.0` depthwise 5x5 and `aggreg.0.1` grouped 1x1 (groups of `dim` channels) on qkv;
    `attention` on the 6C concatenated channels (first the heads of qkv) -> 2C; `proj` 2C -> C.
    """

    def __init__(self, channels, dim, eps):
        super().__init__()
        total = 3 * channels
        self.qkv = ConvNormAct(channels, total, norm=False, act=False)
        self.aggreg = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(total, total, 5, padding=2, groups=total, bias=False),
                    nn.Conv2d(total, total, 1, groups=total // dim, bias=False),
                )
            ]
        )
        self.attention = LinearAttention(dim, eps)
        self.proj = ConvNormAct(2 * channels, channels, act=False)

    def forward(self, x):
        qkv = self.qkv(x)
        return self.proj(self.attention(torch.cat([qkv, self.aggreg[0](qkv)], dim=1)))


class AttentionBlock(nn.Module):
    """Residual LiteMLA (`context_module`), then residual MBConv (`local_module`)."""

    def __init__(self, channels, dim, eps, expansion):
        super().__init__()
        self.context_module = Residual(LiteMLA(channels, dim, eps))
        self.local_module = Residual(MBConv(channels, channels, expansion=expansion, fewer_norm=True))

    def forward(self, x):
        return self.local_module(self.context_module(x))
