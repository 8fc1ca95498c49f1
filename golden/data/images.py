"""Image files -> uint8 RGB tensors of the network's size, and their normalization.

The standard evaluation transform of the EfficientViT releases: shorter side to ceil(R / 0.95), bicubic, then
the centre R x R. At R <= 64 a square image (CIFAR and the like) is instead resized whole; see `fit`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn.functional import interpolate

from triovit.golden.errors import TriovitError
from triovit.golden.messages import first_line

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CROP_PERCENT = 95  # the releases of B2 and B3 were evaluated with 100
WHOLE_IMAGE_RESOLUTION = 64  # up to here a square image is resized whole
MAX_ASPECT = 16
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")  # none that runs a program, as EPS does
FULL_SCALE_16 = 65535
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class ImageError(TriovitError, ValueError):
    """An image that cannot be read; the message is one line that starts with the image's name."""


def load_image(path, resolution: int) -> torch.Tensor:
    """(R, R, 3) uint8 tensor of the image file at `path`, R = `resolution`; raises ImageError."""
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: no such image file")
    return fit(open_rgb(path, str(path)), resolution)


def decode_image(stream, resolution: int, name: str) -> torch.Tensor:
    """Like `load_image` from a binary file object; `name` stands for it in errors."""
    return fit(open_rgb(stream, name), resolution)


def open_rgb(source, name: str) -> Image.Image:
    """8-bit RGB image, upright (EXIF orientation applied), from a path or a binary file object.

    Transparent parts show a white background, 16-bit grey is scaled to 8 bits with rounding, of 16-bit colours the
    decoder keeps the high byte (and nothing of which one is transparent), and of an animation the first frame is taken.
    At most 16 bytes a pixel are in use at a time. Raises ImageError for what is no image, is damaged or truncated, has
    floating-point or 32-bit samples, or more pixels than Pillow's decompression-bomb limit.
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


def fit(image: Image.Image, resolution: int) -> torch.Tensor:
    """(R, R, 3) uint8 tensor: bicubic resize and crop of an RGB image, R = `resolution`.

    A square image is resized whole if R <= 64: at that size a crop would cost too much of the picture. If it is
    also no larger than R, it is enlarged by `enlarge`, as the bundled network's training images were.
    Otherwise the shorter side becomes ceil(R / 0.95) and the centre R x R is kept. Of an image more than
    16 times as long as wide only the middle is resized, so that long and thin images cannot fill the memory.
    """
    if resolution < 1:
        raise ValueError(f"resolution must be at least 1, not {resolution}")
    width, height = image.size
    if width != height or resolution > WHOLE_IMAGE_RESOLUTION:
        return _to_tensor(_resize_and_crop(image, resolution, -(-100 * resolution // CROP_PERCENT)))
    if width <= resolution:
        return enlarge(_to_tensor(image), resolution)
    return _to_tensor(image.resize((resolution, resolution), Image.Resampling.BICUBIC))


def enlarge(image: torch.Tensor, resolution: int) -> torch.Tensor:
    """(S, S, 3) uint8 -> (R, R, 3) uint8, S <= R: cubic convolution with a = -0.75, rounded and clipped.

    Pillow's bicubic filter has a = -0.5; the difference costs the bundled network 0.07 % top-1. For R = 2 S, the
    case of CIFAR at 64, every product is exact in float32, so the result does not depend on the machine.
    """
    planes = image.permute(2, 0, 1)[None].to(torch.float32)
    large = interpolate(planes, size=(resolution, resolution), mode="bicubic", align_corners=False)
    return large.round().clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous()


def normalize(images: torch.Tensor, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> torch.Tensor:
    """(N, R, R, 3) uint8 -> (N, 3, R, R) float32: (x / 255 - mean) / std, the network's input."""
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be uint8 of shape (N, R, R, 3), not {images.dtype} {tuple(images.shape)}")
    x = images.to(torch.float32) / 255
    return ((x - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2).contiguous()


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


def _to_tensor(image):
    return torch.from_numpy(np.array(image))
