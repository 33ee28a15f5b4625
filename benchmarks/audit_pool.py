"""Real images measured once, so that many splits of them can be audited; shared by the benchmarks of the audit."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.auditing.case import Nearness, alone, nearness
from veridical.auditing.compare import Comparison, compare
from veridical.auditing.copies import fair_distances
from veridical.auditing.independence import choose_units, same_place
from veridical.auditing.measure import Measured, Segmentation, fit_segmentation, measure
from veridical.auditing.set_tests import names
from veridical.data.images import read_images
from veridical.data.split import group_of
from veridical.metrics.novelty import nearest_crop
from veridical.stats.groups import components, merged

CHUNKS = 12  # parts of places at random, which stay together in splits by place
DATASETS = ("sandstone", "fibres", "roots_osr", "cmc")


class Pool(NamedTuple):
    """N images with what is known of them; `copies` (parts, N) are distances to the nearest crop in each slice or chunk."""

    images: np.ndarray
    names: list[str]
    groups: np.ndarray
    slices: np.ndarray
    fields: np.ndarray
    chunks: np.ndarray
    segmentation: Segmentation
    measured: Measured
    own: Nearness
    copies: dict[str, np.ndarray]


def load(data: Path, name: str) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Training and test images of a dataset, their names and the labels of their slices."""
    train = read_images(data / name / "train")
    test = read_images(data / name / "test", window=train.window)
    called = train.names + test.names
    # tiles of one field of view of cmc come from neighbouring slices
    groups = [re.search(r"f\d+", each)[0] if name == "cmc" else group_of(each) for each in called]
    return np.concatenate([train.images, test.images]), called, np.array(groups)


def pool(data: Path, name: str, cache: Path) -> Pool:
    """Measure a dataset, or read what was measured before."""
    images, called, groups = load(data, name)
    linked = same_place(images)
    fields, slices = components(linked), components(linked, groups)
    chunks = merged(fields, CHUNKS)
    segmentation = fit_segmentation(images)
    path = cache / f"{name}.npz"
    if not path.is_file():
        x = measure(images, segmentation)
        own = alone(nearness(x, x))
        copies = [
            np.stack([nearest_crop(images, list(images[part == k])).distance for k in range(part.max() + 1)])
            for part in (slices, chunks)
        ]
        cache.mkdir(parents=True, exist_ok=True)
        values = {f"value_{key}": each for key, each in x.values.items()}
        np.savez(path, bands=x.bands, deep=x.deep, patches=x.patches, own_deep=own.deep, own_patch=own.patch,
                 by_slice=copies[0], by_chunk=copies[1], **values)  # fmt: skip
    with np.load(path) as file:
        values = {key[6:]: file[key] for key in file.files if key.startswith("value_")}
        x = Measured(values, file["bands"], file["deep"], file["patches"])
        own = Nearness(file["own_deep"], file["own_patch"])
        copies = {"slices": file["by_slice"], "fields of view": file["by_chunk"]}
    return Pool(images, called, groups, slices, fields, chunks, segmentation, x, own, copies)


def numbered(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers from 0."""
    return np.unique(labels, return_inverse=True)[1]


class Reference:
    """Real rows of a pool, to judge others by."""

    def __init__(self, p: Pool, real: np.ndarray, groups: np.ndarray, alpha: float):
        self.pool, self.real, self.groups = p, real, groups
        self.fields, self.slices = numbered(p.fields[real]), numbered(p.slices[real])
        self.units = choose_units(self.slices, self.fields, groups, len(names(True)), alpha)
        parts = p.slices if self.units.kind == "slices" else p.chunks
        self.part, self.used = numbered(parts[real]), np.unique(parts[real])
        self.own = p.own[real].to(real)

    def compare(self, x: Measured, copies: np.ndarray | None, near: Nearness | None = None) -> Comparison:
        """The comparison of M measured images; `copies` (parts, M) are their distances to the parts of the real ones."""
        p, fair, reference = self.pool, None, self.pool.measured[self.real]
        if copies is not None and len(self.used) > 1:
            found = np.concatenate([p.copies[self.units.kind][self.used][:, self.real], copies], 1)
            own, nearest, fair = fair_distances(found, self.part, len(x))
            x, reference = x.with_copies(nearest), reference.with_copies(own)
        return compare(
            reference, x, self.fields, self.slices, self.groups, self.units, fair=fair, near=near, own=self.own
        )


def real_against_real(p: Pool, real: np.ndarray, held: np.ndarray, alpha: float) -> Comparison:
    """Compare held-out rows of the pool with others."""
    reference = Reference(p, real, p.groups[held], alpha)
    parts = p.slices if reference.units.kind == "slices" else p.chunks
    copies = p.copies[reference.units.kind][reference.used][:, held]
    if np.isin(parts[held], reference.used).any():
        copies = None  # what was searched holds these images themselves
    return reference.compare(p.measured[held], copies, p.own[held].to(real))


def splits(p: Pool, by: str, count: int, most: int, seed: int = 0):
    """Rows of real and of at most `most` held-out images: one slice, half of the slices, or a third of the chunks, held out."""
    rng = np.random.default_rng(seed)
    labels = p.chunks if by == "place" else p.slices
    units = np.unique(labels)
    for _ in range(count):
        out = rng.permutation(units)[: max(1, len(units) // {"one": len(units), "slice": 2, "place": 3}[by])]
        held = np.flatnonzero(np.isin(labels, out))
        # one place is on one side only
        real = np.flatnonzero(~np.isin(labels, out) & ~np.isin(p.fields, p.fields[held]))
        held = np.sort(rng.permutation(held)[:most])
        if len(real) >= 8 and len(held) >= 8:
            yield real, held
