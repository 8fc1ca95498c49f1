"""Files that ship with the project."""

import hashlib

from triovit.golden.assets import ASSETS, FLOAT_NETWORK, INTEGER_NETWORK, PHOTO, SAMPLE


def test_files_are_there_and_explained():
    card = (ASSETS / "README.md").read_text(encoding="utf-8")
    shipped = {path for path in ASSETS.iterdir() if path.is_file() and path.suffix not in (".py", ".md")}
    assert shipped == {FLOAT_NETWORK, INTEGER_NETWORK, PHOTO, SAMPLE}
    assert all(f"`{path.name}`" in card for path in shipped)


def test_the_photo_is_the_public_domain_one():
    digest = hashlib.sha256(PHOTO.read_bytes()).hexdigest()
    assert digest in (ASSETS / "README.md").read_text(encoding="utf-8")
