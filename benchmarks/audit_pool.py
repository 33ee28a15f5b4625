"""Real images measured once, so that many splits of them can be audited; shared by the benchmarks of the audit."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.audit import blocks
from veridical.audit.compare import Comparison, alone, compare, fair_distances
from veridical.audit.measure import Measured, Segmentation, fit_segmentation, measure
from veridical.audit.scores import Nearness, nearness
from veridical.images import read_images
from veridical.metrics.novelty import nearest_crop
from veridical.regions import group_of

CHUNKS = 24  # parts that stay together in splits by place
DATASETS = ("sandstone", "fibres", "roots_osr", "cmc")


class Pool(NamedTuple):
    """N images with what is known of them; `copies` (chunks, N) are distances to the nearest crop in each chunk."""

    images: np.ndarray
    names: list[str]
    groups: np.ndarray
    slices: np.ndarray
    fields: np.ndarray
    chunks: np.ndarray
    segmentation: Segmentation
    measured: Measured
    own: Nearness
    copies: np.ndarray


def load(data: Path, name: str) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Training and test images of a dataset, their names and the labels of their slices."""
    train = read_images(data / name / "train")
    test = read_images(data / name / "test", window=train.window)
    names = train.names + test.names
    # tiles of one field of view of cmc come from neighbouring slices
    groups = [re.search(r"f\d+", each)[0] if name == "cmc" else group_of(each) for each in names]
    return np.concatenate([train.images, test.images]), names, np.array(groups)


def pool(data: Path, name: str, cache: Path) -> Pool:
    """Measure a dataset, or read what was measured before."""
    images, names, groups = load(data, name)
    linked = blocks.same_place(images)
    fields, slices = blocks.components(linked), blocks.components(linked, groups)
    # chunks lie within slices, in proportion
    chunks, first = np.zeros(len(images), int), 0
    for k in range(slices.max() + 1):
        rows = np.flatnonzero(slices == k)
        share = max(1, round(CHUNKS * len(rows) / len(images)))
        chunks[rows] = first + blocks.merged(fields[rows], share)
        first = chunks.max() + 1
    segmentation = fit_segmentation(images)
    path = cache / f"{name}.npz"
    if not path.is_file():
        x = measure(images, segmentation)
        own = alone(nearness(x, x))
        copies = np.stack([nearest_crop(images, list(images[chunks == k])).distance for k in range(chunks.max() + 1)])
        cache.mkdir(parents=True, exist_ok=True)
        values = {f"value_{key}": each for key, each in x.values.items()}
        np.savez(path, bands=x.bands, deep=x.deep, patches=x.patches, own_deep=own.deep, own_patch=own.patch,
                 copies=copies, **values)  # fmt: skip
    with np.load(path) as file:
        values = {key[6:]: file[key] for key in file.files if key.startswith("value_")}
        x = Measured(values, file["bands"], file["deep"], file["patches"])
        own, copies = Nearness(file["own_deep"], file["own_patch"]), file["copies"]
    return Pool(images, names, groups, slices, fields, chunks, segmentation, x, own, copies)


def numbered(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers from 0."""
    return np.unique(labels, return_inverse=True)[1]


def real_against_real(p: Pool, real: np.ndarray, held: np.ndarray) -> Comparison:
    """Compare held-out rows of the pool with others."""
    part = numbered(p.chunks[real])
    both = np.concatenate([real, held])
    found = p.copies[np.unique(p.chunks[real])][:, both]
    own, nearest, fair = fair_distances(found, part, len(held))
    x, y = p.measured[real].with_copies(own), p.measured[held].with_copies(nearest)
    near, among = p.own[held].to(real), p.own[real].to(real)
    return compare(
        x, y, numbered(p.fields[real]), numbered(p.slices[real]), p.groups[held], fair=fair, near=near, own=among
    )


def splits(p: Pool, by: str, count: int, most: int, seed: int = 0):
    """Rows of real and of at most `most` held-out images: half of the slices, or a third of the chunks, held out."""
    rng = np.random.default_rng(seed)
    labels = p.slices if by == "slice" else p.chunks
    units = np.unique(labels)
    for _ in range(count):
        out = rng.permutation(units)[: max(1, len(units) // (2 if by == "slice" else 3))]
        held = np.flatnonzero(np.isin(labels, out))
        # one place is on one side only
        real = np.flatnonzero(~np.isin(labels, out) & ~np.isin(p.fields, p.fields[held]))
        held = np.sort(rng.permutation(held)[:most])
        if len(real) >= 8 and len(held) >= 8:
            yield real, held
