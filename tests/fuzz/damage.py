"""What is done to files before a case runs: bits flipped, ends cut, JSON of other types, files that are no files."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 3, 1e308, -1e308, 10**400, float("nan"), float("inf"), "", "x", "\x1b[31m", "a\udcff", "../x", "/etc/x",
    [], [[]], {}, {"a": 1}, [1, 2, 3], "9" * 5000, "nan", 2**63, 0.5,
)  # fmt: skip
WORDS = ("", "nan", "inf", "-1", "1e308", "1e-320", "9" * 400, "x", "\x00", "\x1b[31m", "a\udcff", '"', "'", ",", ";", "\t",
         "\n", "[/a]", "{", "train", "../x", "1,5", "\ufeff", "\u202e", "0", "=1+1")  # fmt: skip


def junk(content: bytes, rng: random.Random) -> bytes:
    """Bits flipped, a part cut out, repeated, or made of other bytes."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not content:
            break
        start = rng.randrange(min(len(content), rng.choice([64, 512, 1 << 30])))
        stop = min(len(content), start + rng.choice([1, 4, 16, 200]))
        way = rng.randrange(5)
        if way == 0:
            content[start] ^= 1 << rng.randrange(8)
        elif way == 1:
            content[start:stop] = rng.randbytes(stop - start)
        elif way == 2:
            del content[start:]
        elif way == 3:
            content[start:stop] = b"\xff" * (stop - start)
        else:
            content[start:start] = content[start:stop] * rng.choice([1, 50])
    return bytes(content)


def text(content: str, rng: random.Random) -> bytes:
    """Words of a text are others, or its bytes are."""
    if rng.random() < 0.3:
        return junk(content.encode(), rng)
    parts = content.replace("\n", " \n ").split(" ")
    for _ in range(rng.randint(1, 3)):
        parts[rng.randrange(len(parts))] = rng.choice(WORDS)
    return " ".join(parts).encode(errors="surrogateescape")


def changed(content: Any, rng: random.Random) -> Any:
    """JSON of which something, at any depth, is gone, another, or nested without end."""
    if isinstance(content, dict) and content and rng.random() < 0.9:
        key = rng.choice(list(content))
        way = rng.random()
        if way < 0.15:
            return {k: v for k, v in content.items() if k != key}
        if way < 0.25:
            return content | {rng.choice(["x", "", "a\udcff", "__class__"]): rng.choice(VALUES)}
        return content | {key: changed(content[key], rng)}
    if isinstance(content, list) and content and rng.random() < 0.8:
        k = rng.randrange(len(content))
        return [*content[:k], changed(content[k], rng), *content[k + (rng.random() < 0.8) :]]
    return rng.choice(VALUES)


def json_text(content: Any, rng: random.Random) -> bytes:
    """The same as a file, now and then with thousands of brackets."""
    if rng.random() < 0.05:
        return b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    for _ in range(rng.randint(1, 3)):
        content = changed(content, rng)
    return json.dumps(content).encode(errors="surrogateescape")


def no_file(path: Path, rng: random.Random) -> None:
    """Something that is no regular file, or a link, in place of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    way = rng.randrange(6)
    if way == 0:
        os.mkfifo(path)
    elif way == 1:
        path.symlink_to("/dev/zero")
    elif way == 2:
        path.symlink_to(path)
    elif way == 3:
        path.mkdir()
    elif way == 4:
        path.symlink_to("/nosuch/x")
    else:
        server = socket.socket(socket.AF_UNIX)
        here = os.getcwd()
        os.chdir(path.parent)  # the address of a socket is short
        try:
            server.bind(path.name[:80])
        finally:
            os.chdir(here)
            server.close()


def damage_file(path: Path, rng: random.Random) -> None:
    """One file is another, is cut, or is gone."""
    way, content = rng.random(), path.read_bytes()
    if way < 0.1:
        no_file(path, rng)
    elif way < 0.15:
        path.unlink()
    else:
        try:
            path.write_bytes(_odd(path.suffix, way, content, rng))
        except (ValueError, RecursionError, struct.error):  # it was damaged before
            path.write_bytes(junk(content, rng))


def _odd(suffix: str, way: float, content: bytes, rng: random.Random) -> bytes:
    """Content of the same form that says something odd, or junk."""
    if suffix == ".json" and way < 0.85:
        return json_text(json.loads(content), rng)
    if suffix == ".safetensors" and way < 0.7:
        size = struct.unpack("<Q", content[:8])[0]
        header = json_text(json.loads(content[8 : 8 + size]), rng)
        return struct.pack("<Q", len(header)) + header + content[8 + size :]
    if suffix in (".jsonl", ".csv", ".toml") and way < 0.6:
        return text(content.decode(), rng)
    return junk(content, rng)


def damage_folder(folder: Path, rng: random.Random) -> None:
    """One to three files of a folder, those that say what it is more often than others."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        chief = [p for p in files if p.suffix == ".json"]
        if files:
            damage_file(rng.choice(chief if chief and rng.random() < 0.6 else files), rng)


def table(data: Path, folder: Path, name: str, rng: random.Random) -> None:
    """A copy of the data with a table of that name, of which something is odd."""
    shutil.copytree(data, folder)
    names = sorted(p.stem for p in folder.glob("*/*.png"))
    rows = [["name", "kind", "number"], *([n, "abc"[k % 3], str(k / 4)] for k, n in enumerate(names))]
    if name == "split.csv":
        rows = [["name", "split"], *([n, n.split("_")[0]] for n in names)]
    if name == "captions.jsonl":
        lines = [json.dumps({"file_name": f"{n}.png", "text": f"a stone of {k}"}) for k, n in enumerate(names)]
        (folder / name).write_bytes(text("\n".join(lines), rng))
        return
    for _ in range(rng.randint(1, 4)):
        row = rng.choice(rows)
        way = rng.random()
        if way < 0.5 and row:
            row[rng.randrange(len(row))] = rng.choice(WORDS)
        elif way < 0.65:
            rows.append(list(row))
        elif way < 0.8:
            row.append(rng.choice(WORDS))
        elif way < 0.9 and row:
            row.pop()
        else:
            rows.remove(row)
            if not rows:
                break
    out = io.StringIO()
    csv.writer(out, delimiter=rng.choice(",,,;\t"), lineterminator=rng.choice(["\n", "\r\n", "\r"])).writerows(rows)
    content = out.getvalue().encode(errors="surrogateescape")
    (folder / name).write_bytes(junk(content, rng) if rng.random() < 0.2 else content)
    if rng.random() < 0.1:
        no_file(folder / name, rng)


def png_of(width: int, height: int) -> bytes:
    """A PNG that says to be so large and holds nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def _shape_npy(folder: Path, rng: random.Random) -> Path:
    head = str(
        {
            "descr": rng.choice(["<f4", "|u1", "|O", "<U9", "<c8"]),
            "fortran_order": False,
            "shape": (rng.choice([10**12, -1, 3]), 64, 64),
        }
    )
    head = head.ljust(117) + "\n"
    path = folder / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + b"\0" * 999)
    return path


def _sample_of(suffix: str) -> Callable[[Path, Path, random.Random], Path]:
    """A valid file of a format, or store, damaged."""

    def write(base: Path, folder: Path, rng: random.Random) -> Path:
        source, path = base / "formats" / f"stack{suffix}", folder / f"x{suffix}"
        if source.is_dir():
            shutil.copytree(source, path)
            damage_folder(path, rng)
        else:
            path.write_bytes(junk(source.read_bytes(), rng))
        return path

    return write


def _renamed(base: Path, folder: Path, rng: random.Random) -> Path:
    first = next(folder.glob("*.png"))
    name = rng.choice(
        [
            "a\x1b[31mb",
            "a\nb",
            os.fsdecode(b"a\xff"),
            "[/a]",
            "[bold]x",
            "<script>",
            "a\u202eb",
            "x" * 240,
            "a$b_{c",
            "%s{0}",
        ]
    )
    target = folder / f"{name}.png"
    target.parent.mkdir(exist_ok=True)  # of a name with a slash
    return first.rename(target)


def _in_place(base: Path, folder: Path, rng: random.Random) -> Path:
    path = folder / f"x{rng.choice(['.png', '.tif', '.npy', '.h5', '.zarr', '.jpg', '.csv', ''])}"
    no_file(path, rng)
    return path


def _circle(base: Path, folder: Path, rng: random.Random) -> None:
    (folder / "a").symlink_to(folder)
    (folder / "b").symlink_to(folder)


def _large(base: Path, folder: Path, rng: random.Random) -> Path:
    path = folder / "x.png"
    path.write_bytes(png_of(rng.choice([2**31 - 1, 300_000, 60_000]), rng.choice([2**31 - 1, 300_000, 0])))
    return path


def _renamed_format(base: Path, folder: Path, rng: random.Random) -> Path:
    source = rng.choice(sorted(p for p in (base / "formats").iterdir() if p.is_file()))
    path = folder / f"x{rng.choice(['.png', '.tif', '.npy', '.h5', '.jpg', '.bmp'])}"
    path.write_bytes(source.read_bytes())
    return path


def _noise(base: Path, folder: Path, rng: random.Random) -> Path:
    path = (
        folder
        / f"x{rng.choice(['.png', '.tif', '.npy', '.h5', '.jpg', '.bmp', '.nxs', '.dcm', '.nrrd', '.mrc', '.nii', '.mha'])}"
    )
    path.write_bytes(rng.randbytes(rng.choice([0, 1, 100, 5000])))
    return path


SUFFIXES = (".png", ".tif", ".npy", ".h5", ".zarr", ".jpg")
HOSTILE: dict[str, Callable[[Path, Path, random.Random], Path | None]] = {
    **{f"damaged {suffix}": _sample_of(suffix) for suffix in SUFFIXES},
    "no file": _in_place,
    "odd name": _renamed,
    "links in a circle": _circle,
    "large header": _large,
    "large npy": lambda base, folder, rng: _shape_npy(folder, rng),
    "another format": _renamed_format,
    "noise": _noise,
}
