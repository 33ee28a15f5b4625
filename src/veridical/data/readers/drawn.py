"""Phantoms as data. Sets that take long to draw are kept in the user's cache.

Each command and every cell of a bench opens its data anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from veridical.core.cache import cache_folder
from veridical.core.errors import InputError
from veridical.core.files import read_kept, write_kept
from veridical.core.notes import tell

LEAST = 20.0  # seconds that a set took to draw, for it to be kept
LARGEST = 2**28  # bytes of a set that is kept: writing takes memory three times as large
MOST = 2 * 2**30  # bytes kept of all sets; the one that was not used for longest goes first
DRAWERS = ("phantoms", "wording")  # packages whose code decides what is drawn and said


class Drawn(NamedTuple):
    """What is read of phantoms; of pairs of the images after, said of them what was changed."""

    images: np.ndarray
    masks: np.ndarray
    properties: list[dict[str, float]]
    captions: list[tuple[str, ...]]
    before: np.ndarray | None = None


@lru_cache(maxsize=4)  # training, source and what they are compared with
def drawn(kind: str, n: int, size: int, seed: int, options: Any, changes: str) -> Drawn:
    """Phantoms, or pairs where `changes` are named, from the cache where these very ones were drawn before."""
    path = cache_folder("phantoms") / f"{_key(kind, n, size, seed, options, changes)}.bin"
    if (content := read_kept(path)) is not None:
        with contextlib.suppress(OSError):  # a cache of others that may only be read
            path.touch()
        return _read(content)
    began = time.monotonic()
    made = _draw(kind, n, size, seed, options, changes)
    if time.monotonic() - began >= LEAST and made.images.nbytes <= LARGEST:
        try:
            write_kept(path, _written(made))
            _make_room(path.parent)
        except (InputError, OSError) as error:
            tell(f"phantom:{kind}", f"not kept in the cache, so that they are drawn again next time ({error})")
    return made


def _draw(kind: str, n: int, size: int, seed: int, options: Any, changes: str) -> Drawn:
    from veridical.phantoms import generate, pairs

    if not changes:
        made = generate(kind, n=n, size=size, seed=seed, options=options)
        return Drawn(made.images, made.masks, made.properties, made.captions)
    found = pairs(kind, changes, n, size, seed, options=options)
    said = [tuple(dict.fromkeys((text, *texts))) for text, texts in zip(found.instructions, found.paraphrases)]
    return Drawn(found.after, found.after_masks, found.after_properties, said, found.before)


def _key(*asked: Any) -> str:
    """Of what is asked for and of the code that draws it."""
    return hashlib.sha256(repr((asked, np.__version__, _code())).encode()).hexdigest()[:32]


@cache
def _code() -> str:
    digest = hashlib.sha256()
    for package in DRAWERS:
        files = (f for f in resources.files(f"veridical.{package}").iterdir() if f.name.endswith(".py"))
        for file in sorted(files, key=lambda f: f.name):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _written(made: Drawn) -> bytes:
    file = io.BytesIO()
    arrays: dict[str, Any] = {"images": made.images, "masks": made.masks}
    if made.before is not None:
        arrays["before"] = made.before
    said = json.dumps([made.properties, made.captions], default=lambda number: number.item())
    np.savez(file, said=np.frombuffer(said.encode(), np.uint8), **arrays)
    return file.getvalue()


def _read(content: bytes) -> Drawn:
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        properties, captions = json.loads(found["said"].tobytes())
        before = found.get("before")
        return Drawn(found["images"], found["masks"], properties, [tuple(texts) for texts in captions], before)


def _make_room(folder: Path) -> None:
    kept = sorted(folder.glob("*.bin"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in kept:
        total += path.stat().st_size
        if total > MOST:
            path.unlink(missing_ok=True)
