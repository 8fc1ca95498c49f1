"""Small archives in the published layouts of CIFAR: pickles as Python 2's cPickle wrote them, opcode by opcode."""

import io
import struct
import tarfile

import numpy as np

PUT, MARK = b"q", b"("


class Python2Pickle:
    """Protocol 2, as Python 2.7 wrote it: `str` as (SHORT_)BINSTRING, a memo entry of everything, lists in batches."""

    def __init__(self):
        self._count = 0

    def dumps(self, value) -> bytes:
        return b"\x80\x02" + self._write(value) + b"."

    def _memo(self) -> bytes:
        self._count += 1
        number = self._count
        return b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)

    def _write(self, value) -> bytes:
        if isinstance(value, bytes):
            short = len(value) < 256
            head = b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
            return head + value + self._memo()
        if isinstance(value, bool) or value is None:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            if 0 <= value < 256:
                return b"K" + bytes([value])
            return b"M" + struct.pack("<H", value) if 0 <= value < 65536 else b"J" + struct.pack("<i", value)
        if isinstance(value, list):
            text = b"]" + self._memo()
            for start in range(0, len(value), 1000):
                text += MARK + b"".join(map(self._write, value[start : start + 1000])) + b"e"
            return text
        if isinstance(value, dict):
            text = b"}" + self._memo() + MARK
            return text + b"".join(self._write(key) + self._write(item) for key, item in value.items()) + b"u"
        return self._array(value)

    def _array(self, array) -> bytes:
        text = b"cnumpy.core.multiarray\n_reconstruct\n" + self._memo() + b"cnumpy\nndarray\n" + self._memo()
        text += b"K\x00\x85" + self._memo() + self._write(b"b") + b"\x87" + self._memo() + b"R" + self._memo()
        text += MARK + b"K\x01" + b"".join(map(self._write, array.shape)) + b"\x86" + self._memo()
        text += b"cnumpy\ndtype\n" + self._memo() + self._write(array.dtype.str[1:].encode()) + b"K\x00K\x01\x87"
        text += self._memo() + b"R" + self._memo() + MARK + b"K\x03" + self._write(b"|")
        text += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t" + self._memo() + b"b\x89"
        return text + self._write(array.tobytes()) + b"t" + self._memo() + b"b"


def python2(value) -> bytes:
    return Python2Pickle().dumps(value)


def images(count, seed):
    """(count, 3072) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def names_of(classes):
    return [f"class_{number}".encode() for number in range(classes)]


def cifar10_python(each=4):
    """Files of the data set; (pixels, labels) of all images in order."""
    files, pixels, labels = {}, [], []
    for number, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        data, label = images(each, number), [(7 * number + k) % 10 for k in range(each)]
        files[name] = python2(
            {
                b"batch_label": b"training batch %d of 5" % (number + 1),
                b"labels": label,
                b"data": data,
                b"filenames": [b"x_s_%06d.png" % k for k in range(each)],
            }
        )
        pixels.append(data)
        labels += label
    files["batches.meta"] = python2({b"num_cases_per_batch": each, b"label_names": names_of(10), b"num_vis": 3072})
    return "cifar-10-batches-py", files, np.concatenate(pixels), labels


def cifar10_binary(each=4):
    _, _, pixels, labels = cifar10_python(each)
    names = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    rows = [bytes([label]) + row.tobytes() for row, label in zip(pixels, labels, strict=True)]
    files = {name: b"".join(rows[number * each : number * each + each]) for number, name in enumerate(names)}
    files["batches.meta.txt"] = b"\n".join([*names_of(10), b"", b""])
    return "cifar-10-batches-bin", files, pixels, labels


def cifar100_python(training=300, test=100):
    pixels, labels = images(training + test, 9), [(k * 31) % 100 for k in range(training + test)]
    files = {}
    for name, part in (("train", slice(training)), ("test", slice(training, None))):
        files[name] = python2(
            {
                b"filenames": [b"y_s_%06d.png" % k for k in range(len(labels[part]))],
                b"batch_label": b"%sing batch 1 of 1" % name.encode(),
                b"fine_labels": labels[part],
                b"coarse_labels": [label // 5 for label in labels[part]],
                b"data": pixels[part],
            }
        )
    files["meta"] = python2({b"fine_label_names": names_of(100), b"coarse_label_names": names_of(20)})
    return "cifar-100-python", files, pixels, labels


def cifar100_binary(training=300, test=100):
    _, _, pixels, labels = cifar100_python(training, test)
    rows = [bytes([label // 5, label]) + row.tobytes() for row, label in zip(pixels, labels, strict=True)]
    files = {"train.bin": b"".join(rows[:training]), "test.bin": b"".join(rows[training:])}
    files |= {"fine_label_names.txt": b"\n".join(names_of(100)) + b"\n", "coarse_label_names.txt": b"fish\n"}
    return "cifar-100-binary", files, pixels, labels


def write_tar(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def write_folder(path, folder, files):
    for name, content in files.items():
        (path / folder).mkdir(parents=True, exist_ok=True)
        (path / folder / name).write_bytes(content)
    return path / folder
