"""Slices that do not fit into memory."""

import numpy as np

from slices import CODES, decode, save_folder
from veridical.data import stored
from veridical.data.open import open_dataset


def test_small_memory_gives_the_same_tiles_and_reaches_every_slice(tmp_path, monkeypatch):
    names = [f"{k}_{chr(97 + k % 26)}" for k in range(40)]
    save_folder(tmp_path, names, 16, 16)
    monkeypatch.setattr(stored, "CACHE_BYTES", 20 * 16 * 16 * 4)
    dataset = open_dataset(tmp_path, 8, window=CODES)
    steps = range(0, 400, 5)
    batches = {step: dataset.batch(16, step, 0)["image"] for step in steps}
    assert dataset._stored.cache._size <= stored.CACHE_BYTES
    again = open_dataset(tmp_path, 8, window=CODES)
    for step in reversed(steps):
        np.testing.assert_array_equal(again.batch(16, step, 0)["image"], batches[step])
    assert set(decode(np.concatenate(list(batches.values())), 16, 16)[0].flat) == set(range(32))
