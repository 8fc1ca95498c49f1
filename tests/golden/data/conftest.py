import pytest

from tests.golden.data.image_sets import folder


@pytest.fixture
def cluttered(tmp_path):
    """Images 0, 1 and 2 among what is none: notes, folders named like images, and what systems leave behind."""
    root = folder(tmp_path / "set", "ant/a.png", "ant/deep/er/b.JPG", "bee/c.png")
    (root / "ant" / "folder.png").mkdir()
    (root / "ant" / "notes.txt").write_text("no image")
    (root / "ant" / "nowhere.png").symlink_to(root / "absent.png")
    for name in ("ant/._a.png", "ant/.thumbnails/a.png", ".trash/d.png"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image")
    return root
