"""The sample of labelled pictures that ships: drawn by this file, but for crops of the public-domain photo of a cat.

Simple scenes of CIFAR-10's classes, so that every command that takes labelled images has some without a download. A
picture shows what its label says; nothing else is claimed for it. Needs Pillow only.

  python -m triovit.golden.data.drawn sample.npz
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from triovit.golden.assets import PHOTO
from triovit.golden.data.data_file import write_data_file

SIDE = 32  # pixels of a picture
FINE = 8  # it is drawn so many times larger
SEED = 1
TRAINING, TEST = 6, 5  # pictures a class

Point = tuple[float, float]
Colour = tuple[int, int, int]


class Scene:
    """A picture in the making: coordinates of 0..100 from the upper left, moved, scaled and mirrored at random."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self._image = Image.new("RGB", (SIDE * FINE, SIDE * FINE))
        self._draw = ImageDraw.Draw(self._image)
        self._scale, self._mirror = rng.uniform(0.8, 1.1), rng.integers(2)
        self._shift = rng.uniform(-6, 6, 2)

    def background(self, top: Sequence[int], bottom: Sequence[int], horizon: float | None = None) -> None:
        """From one colour to another, in a gradient, or with an edge at `horizon`."""
        rows = np.linspace(0, 1, SIDE * FINE)
        share = rows if horizon is None else (rows > horizon).astype(float)
        ramp = 1 + 0.15 * (rows - 0.5) * self.rng.choice([-1, 1])
        colours = (np.outer(1 - share, top) + np.outer(share, bottom)) * ramp[:, None]
        texture = self.rng.normal(0, 1, (SIDE, SIDE))
        texture = np.kron(texture, np.ones((FINE, FINE)))
        pixels = np.clip(colours[:, None, :] + 6 * texture[:, :, None], 0, 255).astype(np.uint8)
        self._image.paste(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(FINE / 2)))

    def shade(self, *colour: int, spread: int = 25) -> Colour:
        """A colour near this one."""
        red, green, blue = np.clip(np.array(colour) + self.rng.integers(-spread, spread + 1, 3), 0, 255).tolist()
        return red, green, blue

    def polygon(self, colour: Colour, *points: Point) -> None:
        self._draw.polygon([self._place(point) for point in points], fill=colour)

    def ellipse(self, colour: Colour, centre: Point, width: float, height: float) -> None:
        x, y = self._place(centre)
        a, b = (size * self._scale * SIDE * FINE / 200 for size in (width, height))
        self._draw.ellipse((x - a, y - b, x + a, y + b), fill=colour)

    def line(self, colour: Colour, width: float, *points: Point) -> None:
        size = max(1, round(width * self._scale * SIDE * FINE / 100))
        self._draw.line([self._place(point) for point in points], fill=colour, width=size, joint="curve")

    def picture(self) -> np.ndarray:
        """(32, 32, 3) uint8."""
        return np.array(self._image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))

    def _place(self, point: Point) -> Point:
        x, y = ((value - 50) * self._scale + shift for value, shift in zip(point, self._shift, strict=True))
        return ((50 - x if self._mirror else 50 + x) * SIDE * FINE / 100, (50 + y) * SIDE * FINE / 100)


def airplane(scene: Scene) -> None:
    scene.background(scene.shade(110, 160, 215), scene.shade(185, 210, 235))
    body, wing = scene.shade(225, 228, 232, spread=12), scene.shade(150, 155, 165, spread=15)
    scene.polygon(wing, (44, 46), (62, 46), (78, 26), (68, 26))
    scene.polygon(body, (8, 50), (14, 44), (80, 42), (94, 46), (80, 55), (14, 55))
    scene.polygon(body, (78, 44), (94, 46), (98, 26), (90, 26))
    scene.polygon(wing, (38, 52), (58, 52), (74, 76), (62, 76))
    scene.line(scene.shade(60, 70, 90), 2, (18, 47), (76, 46))


def automobile(scene: Scene) -> None:
    scene.background(scene.shade(165, 170, 170), scene.shade(105, 105, 108), 0.62)
    paint = scene.shade(
        *scene.rng.choice([[185, 30, 30], [30, 60, 150], [225, 225, 225], [35, 35, 40], [200, 170, 40]])
    )
    scene.polygon(paint, (24, 46), (36, 28), (66, 28), (80, 46))
    glass = scene.shade(70, 90, 105, spread=12)
    scene.polygon(glass, (30, 45), (39, 32), (50, 32), (50, 45))
    scene.polygon(glass, (53, 45), (53, 32), (64, 32), (73, 45))
    scene.polygon(paint, (6, 66), (6, 50), (24, 45), (82, 45), (95, 52), (95, 66))
    for x in (25, 76):
        scene.ellipse((25, 25, 28), (x, 67), 19, 19)
        scene.ellipse((150, 150, 155), (x, 67), 9, 9)
    scene.ellipse((245, 240, 200), (92, 54), 5, 5)


def bird(scene: Scene) -> None:
    scene.background(scene.shade(140, 160, 110), scene.shade(110, 130, 80))
    plumage = scene.shade(*scene.rng.choice([[120, 85, 55], [60, 95, 150], [150, 60, 45], [90, 90, 95]]))
    dark = scene.shade(60, 50, 45, spread=12)
    scene.line(scene.shade(95, 75, 55), 5, (0, 84), (100, 80))
    scene.polygon(dark, (62, 56), (98, 72), (92, 80), (58, 66))
    scene.ellipse(plumage, (50, 54), 48, 36)
    scene.ellipse(scene.shade(215, 195, 165, spread=15), (42, 61), 28, 22)
    scene.ellipse(plumage, (29, 35), 26, 25)
    scene.polygon(dark, (42, 44), (76, 52), (70, 64), (50, 62))
    scene.polygon((225, 165, 50), (18, 33), (6, 38), (18, 41))
    scene.ellipse((15, 15, 15), (25, 33), 5, 5)
    scene.line(dark, 2, (46, 70), (46, 82))
    scene.line(dark, 2, (54, 70), (54, 82))


def deer(scene: Scene) -> None:
    scene.background(scene.shade(75, 100, 55), scene.shade(125, 140, 75), 0.6)
    coat = scene.shade(150, 105, 65, spread=15)
    antler = scene.shade(95, 75, 55, spread=10)
    _four_legs(scene, coat, 92)
    scene.polygon(coat, (24, 52), (30, 26), (40, 28), (44, 48))
    scene.ellipse(coat, (27, 26), 22, 13)
    scene.polygon(coat, (34, 20), (46, 16), (36, 26))
    for x in (28, 34):
        scene.line(antler, 2, (x, 21), (x - 4, 6))
        scene.line(antler, 2, (x - 2, 14), (x + 8, 4))
    scene.ellipse((235, 225, 210), (81, 50), 8, 10)
    scene.ellipse((20, 15, 15), (17, 27), 4, 4)


def dog(scene: Scene) -> None:
    scene.background(scene.shade(150, 130, 110), scene.shade(110, 95, 80))
    coat = scene.shade(*scene.rng.choice([[165, 115, 65], [210, 190, 160], [90, 65, 50], [205, 160, 100]]))
    ear, muzzle = scene.shade(80, 55, 40, spread=12), scene.shade(225, 210, 190, spread=12)
    scene.ellipse(coat, (50, 92), 66, 60)
    scene.ellipse(coat, (50, 44), 52, 54)
    scene.ellipse(ear, (24, 46), 15, 42)
    scene.ellipse(ear, (76, 46), 15, 42)
    scene.ellipse(muzzle, (50, 58), 30, 28)
    scene.ellipse((20, 18, 18), (50, 51), 13, 9)
    scene.line((60, 40, 35), 2, (50, 55), (50, 64))
    scene.polygon((205, 95, 95), (46, 66), (54, 66), (53, 76), (47, 76))
    for x in (39, 61):
        scene.ellipse((25, 18, 15), (x, 38), 8, 8)


def frog(scene: Scene) -> None:
    scene.background(scene.shade(125, 110, 80), scene.shade(95, 85, 60))
    skin, dark = scene.shade(95, 140, 55), scene.shade(55, 90, 35, spread=12)
    scene.ellipse(dark, (22, 72), 34, 24)
    scene.ellipse(dark, (78, 72), 34, 24)
    scene.ellipse(skin, (50, 62), 62, 46)
    scene.ellipse(skin, (50, 44), 50, 34)
    scene.ellipse(scene.shade(205, 205, 150, spread=12), (50, 72), 36, 20)
    for x in (33, 67):
        scene.ellipse(skin, (x, 31), 18, 18)
        scene.ellipse((215, 180, 60), (x, 30), 11, 11)
        scene.ellipse((15, 15, 10), (x, 30), 6, 8)
        scene.line(dark, 6, (x, 76), (x - 8 if x < 50 else x + 8, 88))
    scene.line(dark, 2, (32, 50), (50, 54), (68, 50))


def horse(scene: Scene) -> None:
    scene.background(scene.shade(150, 180, 205), scene.shade(115, 145, 70), 0.55)
    coat = scene.shade(*scene.rng.choice([[110, 65, 40], [60, 45, 40], [185, 140, 95], [140, 80, 45]]))
    mane = scene.shade(40, 30, 25, spread=10)
    scene.line(mane, 7, (80, 46), (92, 54), (93, 76))
    _four_legs(scene, coat, 94)
    scene.polygon(coat, (20, 54), (24, 20), (38, 16), (48, 46))
    scene.polygon(coat, (26, 14), (38, 18), (34, 30), (12, 42), (6, 36))
    scene.polygon(coat, (30, 16), (34, 6), (38, 17))
    scene.line(mane, 5, (36, 12), (46, 28), (50, 44))
    scene.ellipse((15, 12, 12), (24, 24), 4, 4)


def _four_legs(scene: Scene, coat: Colour, ground: float) -> None:
    for x in (30, 38, 70, 77):
        scene.line(coat, 6, (x, 56), (x - 1, ground))
    scene.ellipse(coat, (53, 53), 60, 26)


def ship(scene: Scene) -> None:
    scene.background(scene.shade(165, 190, 215), scene.shade(45, 85, 125), 0.66)
    hull = scene.shade(*scene.rng.choice([[40, 45, 55], [140, 45, 40], [60, 85, 120]]))
    white = scene.shade(230, 230, 228, spread=12)
    scene.polygon(white, (28, 50), (28, 38), (76, 38), (76, 50))
    scene.polygon(white, (36, 38), (36, 28), (62, 28), (62, 38))
    scene.polygon(scene.shade(190, 60, 45), (46, 28), (46, 12), (55, 12), (55, 28))
    scene.line(scene.shade(90, 90, 95), 2, (70, 38), (70, 10))
    scene.polygon(hull, (4, 50), (96, 50), (86, 72), (14, 72))
    scene.line(scene.shade(60, 75, 90), 3, (32, 44), (72, 44))
    scene.line((225, 235, 240), 2, (6, 73), (94, 73))


def truck(scene: Scene) -> None:
    scene.background(scene.shade(170, 180, 190), scene.shade(110, 108, 105), 0.7)
    paint = scene.shade(*scene.rng.choice([[190, 40, 35], [35, 70, 150], [235, 235, 230], [50, 110, 60]]))
    scene.polygon(scene.shade(225, 222, 215, spread=20), (32, 14), (97, 14), (97, 68), (32, 68))
    scene.line(scene.shade(120, 120, 120), 2, (32, 62), (97, 62))
    scene.polygon(paint, (4, 72), (4, 48), (12, 28), (30, 28), (30, 72))
    scene.polygon(scene.shade(80, 100, 115, spread=12), (8, 47), (14, 32), (26, 32), (26, 47))
    scene.polygon((55, 55, 58), (30, 68), (97, 68), (97, 74), (30, 74))
    for x in (18, 66, 84):
        scene.ellipse((25, 25, 27), (x, 76), 17, 17)
        scene.ellipse((140, 140, 145), (x, 76), 7, 7)


def cat_photo(rng: np.random.Generator) -> np.ndarray:
    """(32, 32, 3) uint8: a square of the photo with the cat's face, somewhat moved, scaled, lit and mirrored."""
    with Image.open(PHOTO) as photo:
        side = int(rng.integers(230, 301))
        left, top = int(rng.integers(60, 451 - side - 30)), int(rng.integers(0, 301 - side))
        crop = photo.convert("RGB").crop((left, top, left + side, top + side))
    pixels = np.array(crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).astype(float) * rng.uniform(0.8, 1.15)
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    return pixels[:, ::-1] if rng.integers(2) else pixels


DRAWN: dict[str, Callable[[Scene], None] | None] = {  # classes in CIFAR-10's order; None: of the photo
    "airplane": airplane,
    "automobile": automobile,
    "bird": bird,
    "cat": None,
    "deer": deer,
    "dog": dog,
    "frog": frog,
    "horse": horse,
    "ship": ship,
    "truck": truck,
}


def draw(label: int, rng: np.random.Generator) -> np.ndarray:
    """(32, 32, 3) uint8: a picture of a class."""
    paint = list(DRAWN.values())[label]
    if paint is None:
        return cat_photo(rng)
    scene = Scene(rng)
    paint(scene)
    return scene.picture()


def draw_sample(seed: int = SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """((N, 32, 32, 3) uint8, (N,) labels, (N,) split: 0 for training, 1 for tests), the classes in turn."""
    labels = np.tile(np.arange(len(DRAWN)), TRAINING + TEST)
    split = np.repeat([0, 1], [TRAINING * len(DRAWN), TEST * len(DRAWN)])
    pixels = [draw(int(label), np.random.default_rng([seed, number])) for number, label in enumerate(labels)]
    return np.stack(pixels), labels, split


if __name__ == "__main__":
    write_data_file(sys.argv[1], *draw_sample(), tuple(DRAWN))
