"""Image files -> uint8 RGB arrays of the network's size.

The standard evaluation transform of the EfficientViT releases: shorter side to ceil(R / crop), bicubic, then the centre
R x R. At R <= 64 a square image (CIFAR and the like) is instead resized whole, whatever the crop; see `fit`.
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from triovit.golden.errors import TriovitError
from triovit.golden.messages import first_line

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CROP = 0.95  # share of the shorter side that is kept, unless a network says otherwise; releases of B2 and B3 used 1
WHOLE_IMAGE_RESOLUTION = 64  # up to here a square image is resized whole
CUBIC = -0.75  # slope of the cubic convolution that enlarges
MAX_ASPECT = 16
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")  # none that runs a program, as EPS does
FULL_SCALE_16 = 65535
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class ImageError(TriovitError, ValueError):
    """An image that cannot be read; the message is one line that starts with the image's name."""


def load_image(path, resolution: int, crop: float = CROP) -> np.ndarray:
    """(R, R, 3) uint8 array of the image file at `path`, R = `resolution`; crop: as of `fit`. Raises ImageError."""
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: no such image file")
    return fit(open_rgb(path, str(path)), resolution, crop)


def decode_image(stream, resolution: int, name: str, crop: float = CROP) -> np.ndarray:
    """Like `load_image` from a binary file object; `name` stands for it in errors."""
    return fit(open_rgb(stream, name), resolution, crop)


def open_rgb(source, name: str) -> Image.Image:
    """8-bit RGB image, upright (EXIF orientation applied), from a path or a binary file object.

    Transparent parts show a white background, 16-bit grey is scaled to 8 bits with rounding, of 16-bit colours the
    decoder keeps the high byte (and nothing of which one is transparent), and of an animation the first frame is taken.
    At most 16 bytes per pixel are in use at a time. Raises ImageError for what is no image, is damaged or truncated,
    has floating-point or 32-bit samples, or more pixels than Pillow's decompression-bomb limit.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on strange metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=FORMATS) as image:
                ImageOps.exif_transpose(image, in_place=True)
                return _convert(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError(f"{name}: more than {Image.MAX_IMAGE_PIXELS} pixels") from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name}: not an image in a known format") from None
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise ImageError(f"{name}: cannot be decoded ({first_line(error)})") from None


def fit(image: Image.Image, resolution: int, crop: float = CROP) -> np.ndarray:
    """(R, R, 3) uint8 array: bicubic resize and crop of an RGB image, R = `resolution`.

    A square image is resized whole if R <= 64: at that size a crop would cost too much of the picture. If it is
    also no larger than R, it is enlarged by `enlarge`, as the bundled network's training images were.
    Otherwise the shorter side becomes ceil(R / crop), crop in 0.1..1, and the centre R x R is kept. Of an image more
    than 16 times as long as wide only the middle is resized, so that long and thin images cannot fill the memory.
    """
    if resolution < 1:
        raise ValueError(f"resolution must be at least 1, not {resolution}")
    width, height = image.size
    if width != height or resolution > WHOLE_IMAGE_RESOLUTION:
        shorter = math.ceil(resolution / Fraction(str(crop)))  # of the decimal number: 304 / 0.95 is 320
        return np.array(_resize_and_crop(image, resolution, shorter))
    if width <= resolution:
        return enlarge(np.array(image), resolution)
    return np.array(image.resize((resolution, resolution), Image.Resampling.BICUBIC))


def enlarge(image: np.ndarray, resolution: int) -> np.ndarray:
    """(S, S, 3) uint8 -> (R, R, 3) uint8, S <= R: cubic convolution with a = -0.75, rounded and clipped.

    Pillow's bicubic filter has a = -0.5; the difference costs the bundled network 0.07 % top-1. Computed in float32,
    columns before rows, taps from left to right. For R = 2 S, the case of CIFAR at 64, every product is exact, so the
    result is PyTorch's (the training's) on every machine; elsewhere single values near a half may round differently.
    """
    scale = np.float32(len(image)) / np.float32(resolution)
    centre = scale * (np.arange(resolution, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
    first = np.floor(centre)
    weights = _cubic(centre - first)
    taps = np.clip(first.astype(np.int64) + np.arange(-1, 3)[:, None], 0, len(image) - 1)  # borders are repeated
    values = image.astype(np.float32)
    values = np.sum([values[:, tap] * weight[:, None] for tap, weight in zip(taps, weights, strict=True)], axis=0)
    values = np.sum([values[tap] * weight[:, None, None] for tap, weight in zip(taps, weights, strict=True)], axis=0)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _cubic(t: np.ndarray) -> list[np.ndarray]:
    """Weights of the four neighbours of a place between two samples; t: its distance from the left one, float32."""
    a, one, two = np.float32(CUBIC), np.float32(1), np.float32(2)

    def near(x):
        return ((a + two) * x - (a + np.float32(3))) * x * x + one

    def far(x):
        return ((a * x - np.float32(5) * a) * x + np.float32(8) * a) * x - np.float32(4) * a

    return [far(t + one), near(t), near(one - t), far(two - t)]


def _convert(image):
    if image.mode in SIXTEEN_BIT_MODES:
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > FULL_SCALE_16:
            raise ValueError("32-bit samples; convert the image to 8 or 16 bits")
        samples = samples.astype(np.uint32)  # in place from here: large pictures are large arrays
        if "transparency" in image.info:  # a level of grey; the conversion to 8 bits would lose it
            samples[samples == image.info["transparency"]] = FULL_SCALE_16
        samples *= 255
        samples += FULL_SCALE_16 // 2
        samples //= FULL_SCALE_16
        image = Image.fromarray(samples.astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point samples; convert the image to 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _resize_and_crop(image, resolution, shorter):
    width, height = image.size
    longest = MAX_ASPECT * min(width, height)
    if max(width, height) > longest:
        left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
        image = image.crop((left, top, left + min(width, longest), top + min(height, longest)))
        width, height = image.size
    new_size = (shorter * width // min(width, height), shorter * height // min(width, height))
    left, top = (round((side - resolution) / 2) for side in new_size)
    image = image.resize(new_size, Image.Resampling.BICUBIC)
    return image.crop((left, top, left + resolution, top + resolution))
