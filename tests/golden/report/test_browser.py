"""The report in a real browser, where one is installed: it fits narrow and wide pages, and the console stays empty."""

import html
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageColor

from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize
from triovit.golden.report.findings import ReportSubject, find
from triovit.golden.report.opening import STEPS
from triovit.golden.report.report import report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
]
# The page in a frame, because the browser's windows are never narrower than 500 pixels.
FRAMED = """<!DOCTYPE html><body style="margin: 0"><iframe id="f" style="border: 0; width: {width}px; height: 900px"
srcdoc="{document}"></iframe><script>document.getElementById("f").onload = event => {{
document.title = "needs " + event.target.contentDocument.documentElement.scrollWidth }}</script></body>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def document():
    model, images = initialize(EfficientViT("b0", 7, 32), 1), random_images(5, 2, 32)
    network = quantize(model, images, name="a_network_with_a_long_name_" + "x" * 60, settings=METHODS["m2"])
    subject = ReportSubject(network, "b0.safetensors", "ab" * 32, 1, model, np.stack(images), "photos", ())
    return report(subject, find(subject))


def browse(folder, document, width, *options):
    """Output and log of the browser with the page in so many pixels, all of its folds open."""
    page = folder / "page.html"
    opened = document.replace("<details>", "<details open>")
    page.write_text(FRAMED.format(width=width, document=html.escape(opened)), encoding="utf-8")
    command = [BROWSER, *OPTIONS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900", *options]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def width_of(dom):
    return int(re.search(r"<title>needs (\d+)</title>", dom)[1])


@pytest.mark.parametrize("width", [480, 1280])
def test_it_fits(document, tmp_path, width):
    dom, log = browse(tmp_path, document, width, "--dump-dom")
    assert width_of(dom) == width
    assert "CONSOLE" not in log


def test_what_does_not_fit_and_errors_would_be_seen(document, tmp_path):
    bad = '<div style="width: 3000px">x</div><script>nothing()</script></body>'
    dom, log = browse(tmp_path, document.replace("</body>", bad), 1280, "--dump-dom")
    assert width_of(dom) > 3000 and "CONSOLE" in log


def test_a_screenshot_shows_the_opening(document, tmp_path):
    browse(tmp_path, document, 480, f"--screenshot={tmp_path / 'page.png'}")
    image = Image.open(tmp_path / "page.png").convert("RGB")
    colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert colours & {ImageColor.getrgb(colour) for _, colour in STEPS}
