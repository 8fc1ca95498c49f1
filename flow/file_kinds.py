"""What a file is that stands where another kind of file belongs: the mistakes that everybody makes once.

Only a glance: which reader a file belongs to. Whether it is whole is the reader's affair.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from triovit.flow.errors import UsageError
from triovit.flow.network_names import SEEDED
from triovit.golden.data.folders import is_image_name
from triovit.golden.integer.serialize import FORMAT as NETWORK_FORMAT

PROGRAM_FORMAT = "triovit-program"
LONGEST_HEADER = 100_000_000  # of a safetensors file, as its library has it
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
NETWORK, CHECKPOINT, PROGRAM = "quantized network", "float checkpoint", "compiled program"

REMEDIES = {  # what is there, what belongs there -> what to do
    (CHECKPOINT, NETWORK): "quantize it: 'triovit quantize {path} --data IMAGES -o NETWORK.safetensors'",
    (PROGRAM, NETWORK): "give the quantized network that it was compiled from",
    (
        NETWORK,
        CHECKPOINT,
    ): "give the checkpoint that it was quantized from (of 'run' and 'evaluate', drop --backend float)",
    (PROGRAM, CHECKPOINT): "give the checkpoint of the network that it was compiled from",
    (NETWORK, PROGRAM): "compile it: 'triovit compile {path} -o PROGRAM.safetensors'",
    (CHECKPOINT, PROGRAM): "quantize it with 'triovit quantize', then compile that with 'triovit compile'",
}
MAKERS = {
    NETWORK: "make one with 'triovit quantize'",
    CHECKPOINT: "give a .pt, .pth, .bin or .safetensors file of tensors",
    PROGRAM: "make one with 'triovit compile'",
}


def check_kind(name: str | Path, wanted: str) -> None:
    """Raise UsageError when `name` is surely something else than the `wanted` kind of file; says what, and the remedy.

    Passes what may be right, and names of nothing that is there unless they show what was meant.
    """
    path = Path(name)
    if not path.exists():
        if hint := _missing(str(name), wanted):
            raise UsageError(hint)
        return
    found = kind_of(path)
    if found is None or found == wanted:
        return
    remedy = REMEDIES.get((found, wanted), MAKERS[wanted]).format(path=path)
    article = "an" if found[0] in "aeiou" else "a"
    raise UsageError(f"{path} is {article} {found}, not a {wanted}: {remedy}")


def kind_of(path: Path) -> str | None:
    """NETWORK, CHECKPOINT, PROGRAM or another kind in words, without its article; None for what is unknown."""
    if path.is_dir():
        return "folder"
    if not path.is_file():
        return None
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        start = file.read(8)
        header = _safetensors_header(start, file)
    if header is not None:
        metadata = header.get("__metadata__") or {}
        return _safetensors_kind(metadata.get("format", ""))
    if suffix == ".npz":
        return "data set or archive of arrays (.npz)"
    if suffix == ".onnx":
        return "network in ONNX"
    if suffix == ".json":
        return "JSON file"
    if is_image_name(path):
        return "image"
    if suffix in (".zip", ".tgz", ".gz", ".xz", ".bz2") or (suffix == ".tar" and tarfile.is_tarfile(path)):
        return "packed archive"
    if suffix in TORCH_SUFFIXES and (start.startswith((b"PK\x03\x04", b"\x80\x02"))):
        return CHECKPOINT
    return None


def _safetensors_kind(found: str) -> str | None:
    """By the format in the metadata; libraries write none, or their own, into checkpoints."""
    kinds = {NETWORK_FORMAT: NETWORK, PROGRAM_FORMAT: PROGRAM}
    return kinds.get(found, CHECKPOINT if found in ("", "pt", "np", "tf", "flax", "mlx") else None)


def _safetensors_header(start: bytes, file) -> dict | None:
    """The header of a safetensors file, None for any other."""
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= LONGEST_HEADER:
        return None
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        return None
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    return header if isinstance(metadata, dict) else None


def _missing(name: str, wanted: str) -> str | None:
    """What was probably meant by a name of nothing that is there."""
    if name.startswith("~"):
        return f"no file {name!r}: '~' stands for a home folder only where the shell expands it; give the path in full"
    near = sorted(path.name for path in Path(name).parent.glob(f"{_plain(Path(name).stem)}.*") if path.is_file())
    if near:
        return f"no file {name!r}, but there is {', '.join(near[:3])} in its folder"
    preset = _preset_in(name)
    if preset and wanted in (NETWORK, CHECKPOINT) and not SEEDED.fullmatch(name):
        return f"no network {name!r}: seeded random weights have a resolution in their name, such as {preset}-r224"
    return None


def _plain(stem: str) -> str:
    """A name as a pattern that matches only itself."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def _preset_in(name: str) -> str | None:
    """The preset that a name speaks of, as in b1, B1, b1-224, efficientvit_b1; None without PyTorch."""
    try:
        from triovit.golden.network.architectures import ARCHITECTURES
    except ImportError:
        return None
    words = name.lower().replace("_", "-").split("-")
    known = {preset: architecture.name.lower() for architecture in ARCHITECTURES for preset in architecture.presets}
    for preset, architecture in known.items():
        rest = [word for word in words if word not in (preset, architecture)]
        if preset in words and all(word.lstrip("r").isdigit() for word in rest):
            return preset
    return None
