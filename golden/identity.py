"""What an evaluation's predictions depend on, as short values that can be compared: see `golden.evaluation.journal`."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from torch import nn

from triovit.golden.data.folders import image_files
from triovit.golden.data.sources import data_path, is_archive
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.checkpoint import COUNTER

GOLDEN = Path(__file__).resolve().parent
CODE = ("integer", "data", "network", "batch", "evaluation")  # packages of `golden` that predictions depend on


def network_hash(network: IntegerNetwork | nn.Module) -> str:
    """SHA-256 of a network's content: of the file it would be saved as, or of a float network's tensors."""
    digest = hashlib.sha256()
    if isinstance(network, IntegerNetwork):
        with tempfile.TemporaryDirectory() as folder:
            save_network(network, Path(folder) / "network")
            digest.update((Path(folder) / "network").read_bytes())
    else:
        for name, tensor in network.state_dict().items():
            if name.endswith(COUNTER):
                continue  # not used, and not in every file of the same weights
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def data_hash(path) -> str:
    """SHA-256 of an archive's bytes, or of the paths, sizes and times of change of the images that are read of it.

    A folder's images are not opened for it: a change that keeps size and time goes unseen.
    """
    path, digest = data_path(path), hashlib.sha256()
    if is_archive(path):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    for image in image_files(path):
        found = image.stat()
        # A name may be no text; no name holds a zero byte.
        digest.update(os.fsencode(image.relative_to(path)) + f"\0{found.st_size} {found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def code_hash(packages: tuple[str, ...] = CODE, root: Path = GOLDEN) -> str:
    """SHA-256 of the source in these packages of `golden`, which is at `root`; by default what turns images into
    predictions."""
    digest = hashlib.sha256()
    for path in sorted(path for package in packages for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()
