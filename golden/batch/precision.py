"""Where float32 products are exact.

When sum |w| * 128 of every filter is at most 2**24, all its partial sums, in any order, fused or not, are integers that
float32 holds; otherwise a layer runs in float64 (`Bound` keeps psums below 2**31). That takes algorithms that add
products and do nothing else, at full precision. So float32 is given only to matrix products and to oneDNN's direct
convolution, by its name: `torch.nn.functional.conv2d` may choose Winograd or Fourier transforms (NNPACK), which round.
`check_precision` rules out reduced precision.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from triovit.golden.integer.errors import NetworkError

EXACT_FLOAT32 = 1 << 24  # every integer up to this magnitude is a float32
# Not where oneDNN hands over to the Arm Compute Library, which has Winograd convolutions of its own.
HAS_DIRECT = torch.backends.mkldnn.is_available() and not torch.backends.mkldnn.is_acl_available()
ONEDNN_MODES = ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")


def check_precision() -> None:
    """Raise NetworkError when PyTorch or oneDNN may round operands of float32 products to bfloat16 or TF32."""
    mkldnn: Any = torch.backends.mkldnn  # the attributes come from a module class that type checkers do not see
    settings = {
        "torch.backends.mkldnn.matmul.fp32_precision": mkldnn.matmul.fp32_precision,
        "torch.backends.mkldnn.conv.fp32_precision": mkldnn.conv.fp32_precision,
        **{f"the environment variable {name}": os.environ.get(name, "strict").lower() for name in ONEDNN_MODES},
    }
    for name, value in settings.items():
        if value not in ("none", "ieee", "strict"):
            raise NetworkError(
                f"exact execution needs float32 products at full precision: {name} must be unset, ieee "
                f"or strict, not {value}"
            )
