"""Volumes as files: stored types, voxel sizes, what is said of them."""

import numpy as np
import pytest
import tifffile

from veridical.core.stack import write_stack
from veridical.data.readers.open import open_slices


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float32])
def test_stored_types_and_voxel_sizes_come_back(tmp_path, dtype):
    counts = (np.arange(3 * 8 * 9).reshape(3, 8, 9) % 2).astype(dtype)
    write_stack(tmp_path / "v.tif", counts, 2.5, "said <of> it", "<x/>")
    slices = open_slices(tmp_path / "v.tif")
    assert slices.pixel_size == pytest.approx(2.5)
    assert np.array_equal(np.stack([slices[k] for k in range(3)]), counts)
    with tifffile.TiffFile(tmp_path / "v.tif") as tif:
        assert "said &lt;of&gt; it" in tif.ome_metadata and tif.pages[0].tags[700].value == b"<x/>"
        assert 'PhysicalSizeZ="2.5"' in tif.ome_metadata
    write_stack(tmp_path / "bare.tif", counts)
    assert open_slices(tmp_path / "bare.tif").pixel_size is None
