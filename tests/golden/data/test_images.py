"""Preprocessing: geometry, colour modes, orientation, and every way an image file can be bad."""

import io
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from triovit.golden.data.images import (
    ImageError,
    decode_image,
    enlarge,
    fit,
    load_image,
    open_rgb,
)


def picture(width, height, seed=0):
    """Smooth random colours, so that resampling is well behaved."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def resize_then_crop(image, resolution, shorter):
    """The usual two steps, spelled out."""
    width, height = image.size
    scale = (shorter * width // min(width, height), shorter * height // min(width, height))
    left, top = round((scale[0] - resolution) / 2), round((scale[1] - resolution) / 2)
    large = image.resize(scale, Image.Resampling.BICUBIC)
    return np.array(large.crop((left, top, left + resolution, top + resolution)))


@pytest.mark.parametrize(("resolution", "shorter"), [(224, 236), (256, 270), (288, 304), (96, 102)])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (300, 300), (90, 61)])
def test_standard_transform(size, resolution, shorter):
    image = picture(*size)
    result = fit(image, resolution)
    assert result.shape == (resolution, resolution, 3)
    assert result.dtype == np.uint8
    assert np.array_equal(result, resize_then_crop(image, resolution, shorter))


def test_long_images_are_cut_to_their_middle_first():
    middle = picture(16 * 20, 20)
    assert np.array_equal(fit(middle, 96), resize_then_crop(middle, 96, 102))
    long = Image.new("RGB", (16 * 20 + 100, 20), "red")
    long.paste(middle, (50, 0))
    assert np.array_equal(fit(long, 96), fit(middle, 96))
    upright = long.transpose(Image.Transpose.ROTATE_90)
    assert np.array_equal(fit(upright, 96), fit(middle.transpose(Image.Transpose.ROTATE_90), 96))


def test_already_resized_images_are_only_cropped():
    image = picture(236, 236)
    assert np.array_equal(fit(image, 224), np.array(image)[6:230, 6:230])


def test_small_square_images_are_enlarged_whole():
    image = picture(32, 32)
    whole = np.array(image.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    result = fit(image, 64).astype(int)
    assert np.abs(result - whole).max() < 12  # another cubic, the same geometry
    assert np.abs(result - whole).mean() < 1
    assert np.array_equal(fit(picture(64, 64), 64), np.array(picture(64, 64)))
    shrunk = picture(300, 300).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(fit(picture(300, 300), 64), np.array(shrunk))
    assert np.array_equal(fit(picture(300, 200), 64), resize_then_crop(picture(300, 200), 64, 68))


def test_enlarge_is_cubic_convolution():
    """Against the kernel written out, in exact integers: taps at distances 1.75, 0.75, 0.25, 1.25 (times 256)."""
    image = np.random.default_rng(3).integers(0, 256, (32, 32, 3)).astype(np.uint8)

    def kernel(t):
        a, t = -0.75, abs(t)
        return ((a + 2) * t - (a + 3)) * t * t + 1 if t <= 1 else ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    def matrix():
        rows = np.zeros((64, 32))
        for target in range(64):
            centre = (target + 0.5) / 2 - 0.5
            for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
                rows[target, min(max(tap, 0), 31)] += kernel(centre - tap)
        return rows

    expected = np.einsum("ij,jkc,lk->ilc", matrix(), image.astype(np.float64), matrix())
    assert np.array_equal(enlarge(image, 64), np.clip(np.rint(expected), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("resolution", [32, 64])
def test_enlarge_is_what_the_training_does(resolution):
    """PyTorch's bicubic: the same bits for R = S and R = 2 S; elsewhere a value may round to the other neighbour."""
    rng, different = np.random.default_rng(resolution), 0
    for side in range(1, resolution + 1):
        image = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
        planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        expected = interpolate(planes, size=(resolution, resolution), mode="bicubic", align_corners=False)
        expected = expected.round().clamp(0, 255)[0].permute(1, 2, 0).numpy().astype(int)
        found = enlarge(image, resolution).astype(int)
        assert np.abs(found - expected).max() <= (resolution % side > 0 or resolution // side > 2)
        different += int((found != expected).sum())
    assert different <= 10  # of 12 288 values per image at 64


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (100_000, 2)])
@pytest.mark.parametrize("resolution", [64, 224])
def test_extreme_sizes(tmp_path, size, resolution):
    path = tmp_path / "a.png"
    Image.new("RGB", size, (10, 200, 30)).save(path)
    result = load_image(path, resolution)
    assert result.shape == (resolution, resolution, 3) and (result == (10, 200, 30)).all()


def save(tmp_path, image, name="a.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def colour(path):
    """The colour of a picture that has only one."""
    values = np.unique(load_image(path, 64).reshape(-1, 3), axis=0)
    assert len(values) == 1
    return tuple(values[0].tolist())


def test_greyscale_bilevel_palette_cmyk(tmp_path):
    assert colour(save(tmp_path, Image.new("L", (20, 20), 77))) == (77, 77, 77)
    assert colour(save(tmp_path, Image.new("1", (20, 20), 1))) == (255, 255, 255)
    assert colour(save(tmp_path, Image.new("RGB", (20, 20), (9, 8, 7)).quantize())) == (9, 8, 7)
    assert colour(save(tmp_path, Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "a.tif")) == (255, 0, 0)


def test_transparency_shows_white(tmp_path):
    assert colour(save(tmp_path, Image.new("RGBA", (20, 20), (200, 100, 0, 0)))) == (255, 255, 255)
    assert colour(save(tmp_path, Image.new("RGBA", (20, 20), (200, 100, 0, 255)))) == (200, 100, 0)
    assert colour(save(tmp_path, Image.new("LA", (20, 20), (100, 0)))) == (255, 255, 255)
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([50, 60, 70])
    assert colour(save(tmp_path, palette, transparency=0)) == (255, 255, 255)
    assert colour(save(tmp_path, palette)) == (50, 60, 70)


def test_a_transparent_level_of_sixteen_bit_greyscale_shows_white(tmp_path):
    levels = np.array([[30_000, 30_001], [0, 65_535]], dtype=np.uint16)
    path = save(tmp_path, Image.fromarray(levels), transparency=30_000)
    assert np.array(open_rgb(path, "x"))[..., 0].tolist() == [[255, 117], [0, 255]]


@pytest.mark.parametrize(("sample", "expected"), [(0, 0), (128, 0), (129, 1), (32_768, 128), (65_535, 255)])
def test_sixteen_bit_greyscale_is_scaled_with_rounding(tmp_path, sample, expected):
    image = Image.fromarray(np.full((20, 20), sample, dtype=np.uint16))
    assert colour(save(tmp_path, image)) == (expected,) * 3


@pytest.mark.parametrize(("sample", "expected"), [(255, 0), (256, 1), (0x80FF, 128), (65_535, 255)])
def test_sixteen_bit_colours_keep_their_high_byte(tmp_path, sample, expected):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + struct.pack(">H", sample) * 12) * 4
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert colour(path) == (expected,) * 3


def test_cmyk_photographs(tmp_path):
    """In JPEG files the four inks are stored inverted; JPEG loses a little."""
    path = save(tmp_path, Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "a.jpg", quality=95)
    assert np.abs(np.array(colour(path)) - (255, 0, 0)).max() <= 4


MEASURE = """
import resource, sys
from triovit.golden.data.images import load_image
small, *large = sys.argv[1:]
load_image(small, 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in large:
    assert load_image(path, 224).shape == (224, 224, 3)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_twenty_megapixels(tmp_path):
    """Peak memory (in kilobytes) of a process of its own: the 16 bytes per pixel that are documented, and buffers."""
    size = (5200, 3900)
    paths = [
        save(tmp_path, picture(8, 8), "small.png"),
        save(tmp_path, picture(*size), "photo.jpg"),
        save(tmp_path, Image.fromarray(np.full(size[::-1], 30_000, dtype=np.uint16)), "sixteen.png"),
        save(tmp_path, Image.new("RGBA", size, (10, 20, 30, 40)), "transparent.png"),
    ]
    run = subprocess.run([sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, check=True)
    peaks = [1024 * int(line) / (size[0] * size[1]) for line in run.stdout.split()]
    assert len(peaks) == 3 and max(peaks) < 17, peaks


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = np.zeros((32, 32, 3), dtype=np.uint8)
    upright[:16, :16], upright[:16, 16:] = (255, 0, 0), (0, 255, 0)
    upright[16:, :16], upright[16:, 16:] = (0, 0, 255), (255, 255, 255)
    stored = {  # what the camera stored so that `orientation` turns it upright
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(load_image(path, 32), upright)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")]
    path = save(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert colour(path) == (255, 0, 0)


def test_multi_picture_jpeg_of_phones(tmp_path):
    frames = [Image.new("RGB", (20, 20), "white"), Image.new("RGB", (20, 20), "blue")]
    path = save(tmp_path, frames[0], "a.mpo", format="MPO", save_all=True, append_images=frames[1:])
    assert colour(path) == (255, 255, 255)


def refuse(path):
    with pytest.raises(ImageError) as caught:
        load_image(path, 64)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_files_that_are_no_images(tmp_path):
    assert "no such image file" in refuse(tmp_path / "absent.png")
    assert "no such image file" in refuse(tmp_path)
    path = tmp_path / "a.png"
    for content in (b"", b"some text\n", b"\x89PNG\r\n\x1a\n", bytes(range(256)) * 10):
        path.write_bytes(content)
        assert "not an image in a known format" in refuse(path) or "cannot be decoded" in refuse(path)


@pytest.mark.parametrize("position", [0.001, 0.01, 0.1, 0.5, 0.9])
def test_damage_inside_a_file_gives_an_image_or_one_line(tmp_path, position):
    for name in ("a.jpg", "a.png", "a.gif", "a.bmp", "a.webp", "a.tif"):
        path = save(tmp_path, picture(60, 50), name)
        data = bytearray(path.read_bytes())
        start = int(position * len(data))
        data[start : start + 40] = bytes(byte ^ 0xA5 for byte in data[start : start + 40])
        path.write_bytes(data)
        try:
            with warnings.catch_warnings(action="error"):  # which would be more than one line
                assert load_image(path, 64).shape == (64, 64, 3)
        except ImageError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_formats_that_run_programs_are_not_opened(tmp_path):
    assert "not an image in a known format" in refuse(save(tmp_path, picture(20, 20), "a.eps"))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.gif"])
def test_truncated_images(tmp_path, name):
    path = save(tmp_path, picture(200, 200), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be decoded" in refuse(path)


@pytest.mark.parametrize("factor", [1.5, 3])  # Pillow warns above its limit and raises above twice that
def test_gigantic_images(tmp_path, monkeypatch, factor):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    path = save(tmp_path, Image.new("L", (100, int(100 * factor))))
    assert "more than 10000 pixels" in refuse(path)
    assert load_image(save(tmp_path, Image.new("L", (100, 100))), 64).shape == (64, 64, 3)


def test_floating_point_and_32_bit_samples(tmp_path):
    assert "floating-point samples" in refuse(save(tmp_path, Image.new("F", (20, 20), 0.5), "a.tif"))
    assert "32-bit samples" in refuse(save(tmp_path, Image.new("I", (20, 20), 70_000), "a.tif"))


def test_streams_are_named_in_errors():
    with pytest.raises(ImageError, match=r"^third image: "):
        decode_image(io.BytesIO(b"nothing"), 64, "third image")
    stream = io.BytesIO()
    Image.new("RGB", (5, 5), "red").save(stream, "PNG")
    assert open_rgb(stream, "x").getpixel((0, 0)) == (255, 0, 0)


def test_wrong_resolution():
    with pytest.raises(ValueError, match="resolution must be at least 1, not 0"):
        fit(picture(10, 10), 0)


@pytest.mark.parametrize("resolution", [96, 224, 304, 608])
@pytest.mark.parametrize(("crop", "percent"), [(1, 100), (0.95, 95), (0.875, 87.5), (0.9, 90), (0.5, 50)])
def test_the_crop_is_the_share_that_is_kept(resolution, crop, percent):
    """A gradient's ends tell how much has been cut off; the shorter side becomes ceil(R / crop) exactly."""
    image = picture(700, 900)
    shorter = int(-(-100 * resolution // percent))
    resized = image.resize((shorter, shorter * 900 // 700), Image.Resampling.BICUBIC)
    left, top = (round((side - resolution) / 2) for side in resized.size)
    expected = np.array(resized.crop((left, top, left + resolution, top + resolution)))
    assert np.array_equal(fit(image, resolution, crop), expected)
    if crop == 0.95:
        assert np.array_equal(fit(image, resolution), expected)  # the default


def test_small_square_images_are_whole_whatever_the_crop():
    image = picture(100, 100)
    assert np.array_equal(fit(image, 64, 0.5), fit(image, 64, 1))
    assert not np.array_equal(fit(image, 96, 0.5), fit(image, 96, 1))
