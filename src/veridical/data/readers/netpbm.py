"""PBM, PGM and PPM, binary and plain. Counts stay as stored: Pillow stretches those that do not end at 255 or 65535."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.pixels import Header, check_claim

_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"  # white space and comments


class _Netpbm(NamedTuple):
    kind: int  # 1 to 3 plain, 4 to 6 binary: bits, grey, RGB
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int


def _parse(path: Path) -> _Netpbm:
    with open(path, "rb") as file:
        start = file.read(4096)
    kind = int(start[1:2]) if re.match(rb"P[1-6]\s", start) else 0
    bitmap = kind in (1, 4)
    match = re.match(rb"P\d" + (_GAP + rb"(\d{1,9})") * (2 if bitmap else 3) + rb"\s", start) if kind else None
    if not match:
        raise InputError(f"{path}: is no PBM, PGM or PPM image, whatever its name says; export it again")
    width, height, *rest = map(int, match.groups())
    if width * height == 0 or (rest and not 0 < rest[0] < 65536):
        raise InputError(f"{path}: says it is {width} x {height} pixels of at most {rest or [1]}; export it again")
    dtype = np.dtype(bool) if bitmap else np.dtype(np.uint8 if rest[0] < 256 else np.uint16)
    shape = (height, width, 3) if kind in (3, 6) else (height, width)
    parsed = _Netpbm(kind, shape, dtype, match.end())
    check_cost(path, pixels=width * height)
    check_claim(path, _nbytes(parsed), offset=match.end())
    return parsed


def _nbytes(parsed: _Netpbm) -> int:
    """Bytes that the pixels take at least."""
    if parsed.kind == 4:
        return parsed.shape[0] * -(-parsed.shape[1] // 8)
    count = int(np.prod(parsed.shape))
    return count * parsed.dtype.itemsize if parsed.kind > 4 else count if parsed.kind == 1 else 2 * count - 1


def netpbm_header(path: Path) -> Header:
    """Size, type and channels."""
    parsed = _parse(path)
    return Header(parsed.shape[:2], parsed.dtype, 3 if len(parsed.shape) == 3 else 1)  # type: ignore[arg-type]


def netpbm_pixels(path: Path) -> np.ndarray:
    """Decode to (H, W) or (H, W, 3)."""
    parsed = _parse(path)
    count = int(np.prod(parsed.shape))
    if parsed.kind == 4:
        packed = np.fromfile(path, np.uint8, _nbytes(parsed), offset=parsed.offset).reshape(parsed.shape[0], -1)
        return np.unpackbits(packed, axis=1)[:, : parsed.shape[1]] == 0  # 1 is black
    if parsed.kind > 4:
        stored = np.fromfile(path, parsed.dtype.newbyteorder(">"), count, offset=parsed.offset)
        return stored.reshape(parsed.shape).astype(parsed.dtype, copy=False)
    text = re.sub(rb"#[^\n\r]*", b"", path.read_bytes()[parsed.offset :])
    if parsed.kind == 1:
        return (np.array(re.findall(rb"[01]", text)[:count]) == b"0").reshape(parsed.shape)
    return np.array(text.split()[:count], dtype=parsed.dtype).reshape(parsed.shape)
