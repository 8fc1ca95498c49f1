"""What an evaluation's predictions depend on, as short values that can be compared: see `golden.evaluation.journal`."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from golden.integer.network import IntegerNetwork
from golden.integer.serialize import save_network
from golden.network.datasets import ARCHIVE_SUFFIX, IMAGE_SUFFIXES
from golden.network.efficientvit import EfficientViT

GOLDEN = Path(__file__).resolve().parents[1]
CODE = ("integer", "network", "evaluation")  # packages of `golden` that predictions depend on


def network_hash(network: IntegerNetwork | EfficientViT) -> str:
    """SHA-256 of a network's content: of the file it would be saved as, or of a float network's tensors."""
    digest = hashlib.sha256()
    if isinstance(network, IntegerNetwork):
        with tempfile.TemporaryDirectory() as folder:
            save_network(network, Path(folder) / "network")
            digest.update((Path(folder) / "network").read_bytes())
    else:
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def data_hash(path) -> str:
    """SHA-256 of an archive's bytes, or of the paths and sizes of a folder's images (the images are not read)."""
    path, digest = Path(path), hashlib.sha256()
    if path.suffix == ARCHIVE_SUFFIX and not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    for image in sorted(path.rglob("*")):
        if image.suffix.lower() in IMAGE_SUFFIXES and image.is_file():
            digest.update(f"{image.relative_to(path).as_posix()}\n{image.stat().st_size}\n".encode())
    return digest.hexdigest()


def code_hash(packages: tuple[str, ...] = CODE, root: Path = GOLDEN) -> str:
    """SHA-256 of the source in these packages of `golden`, which is at `root`; by default what turns images into
    predictions."""
    digest = hashlib.sha256()
    for path in sorted(path for package in packages for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()
