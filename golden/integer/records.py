"""Post-processing: the records that follow an accumulator, and what they make of its sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.integer.arithmetic import (
    ACCUMULATOR_BITS,
    MAX_FRACTION_BITS,
    MAX_SHIFT,
    MULTIPLIER_BITS,
    signed_range,
)
from triovit.golden.integer.errors import NetworkError


@dataclass(frozen=True)
class PostParameters:
    """Post-processing records, one per channel (arrays of equal length), and the activation they belong to.

    bias: int32. m1, m2, residual_multiplier: 0..65535. n1, n2, residual_shift: 0..47. zero_point: int8.
    activation: "linear" (m1, n1, zero_point and, with a residual operand, residual_*), "hardswish"
    (m1, n1 to 16-bit fixed point with `fraction_bits`, then m2, n2, zero_point) or "wide" (m1, n1 to 16 bits).
    """

    bias: np.ndarray
    m1: np.ndarray
    n1: np.ndarray
    zero_point: np.ndarray
    m2: np.ndarray
    n2: np.ndarray
    residual_multiplier: np.ndarray
    residual_shift: np.ndarray
    activation: str = "linear"
    fraction_bits: int = 0

    ARRAYS = ("bias", "m1", "n1", "zero_point", "m2", "n2", "residual_multiplier", "residual_shift")
    MULTIPLIERS = ("m1", "m2", "residual_multiplier")
    ACTIVATIONS = ("linear", "hardswish", "wide")
    RANGES = {
        "bias": signed_range(ACCUMULATOR_BITS),
        "zero_point": (-128, 127),
        "m1": (0, (1 << MULTIPLIER_BITS) - 1),
        "m2": (0, (1 << MULTIPLIER_BITS) - 1),
        "residual_multiplier": (0, (1 << MULTIPLIER_BITS) - 1),
        "n1": (0, MAX_SHIFT),
        "n2": (0, MAX_SHIFT),
        "residual_shift": (0, MAX_SHIFT),
    }

    @staticmethod
    def create(channels: int, **values) -> PostParameters:
        """Records for `channels` channels; arrays or scalars by name, the others zero."""
        arrays = {
            name: np.broadcast_to(np.asarray(values.pop(name, 0), dtype=np.int64), (channels,)).copy()
            for name in PostParameters.ARRAYS
        }
        return PostParameters(**arrays, **values)

    @property
    def channels(self) -> int:
        return len(self.bias)

    @property
    def shifts_only(self) -> bool:
        """Whether every requantization of the records is a shift: all multipliers are 0 or 1 (P2-ViT, eq. 6)."""
        return all((getattr(self, name) <= 1).all() for name in self.MULTIPLIERS)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, in the order of ARRAYS."""
        return {name: getattr(self, name) for name in self.ARRAYS}

    def validate(self, node: str, channels: int) -> None:
        """Raise NetworkError naming the node unless these are legal records for `channels` channels."""
        if self.activation not in self.ACTIVATIONS:
            legal = ", ".join(self.ACTIVATIONS)
            raise NetworkError(f"{node}: activation must be one of {legal}, not {self.activation!r}")
        if not 0 <= self.fraction_bits <= MAX_FRACTION_BITS:
            raise NetworkError(f"{node}: fraction_bits must be 0..{MAX_FRACTION_BITS}, not {self.fraction_bits}")
        for name, value in self.arrays().items():
            low, high = self.RANGES[name]
            if value.dtype.kind != "i":
                raise NetworkError(f"{node}: {name} must be integers, not {value.dtype}")
            if value.shape != (channels,):
                raise NetworkError(f"{node}: {name} must have shape ({channels},), not {value.shape}")
            if value.min() < low or value.max() > high:
                raise NetworkError(f"{node}: {name} must lie in [{low}, {high}], not [{value.min()}, {value.max()}]")


def post_process(acc: np.ndarray, post: PostParameters, residual: np.ndarray | None = None) -> np.ndarray:
    """Bias, activation and requantization of (C, H, W) psums with a record per channel; int8, or int16 when wide.

    residual: (C, H, W) int8 that is added before the rounding. Raises OverflowError where `Bound` would have refused
    the network.
    """
    column = {name: array[:, None, None] for name, array in post.arrays().items()}
    total = acc + column["bias"]
    m1, n1, zp = column["m1"], column["n1"], column["zero_point"]
    match post.activation:
        case "hardswish":
            y = arithmetic.hardswish_requantize(total, m1, n1, post.fraction_bits, column["m2"], column["n2"], zp)
        case "wide":
            return arithmetic.requantize(total, m1, n1, zp, 16).astype(np.int16)
        case _ if residual is not None:
            y = arithmetic.requantize_residual(
                total, m1, n1, zp, residual.astype(np.int64), column["residual_multiplier"], column["residual_shift"]
            )
        case _:
            y = arithmetic.requantize(total, m1, n1, zp)
    return y.astype(np.int8)
