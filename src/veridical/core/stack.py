"""Volumes as multi-page TIFF with their voxel size and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from veridical.core.files import replacing


def write_stack(
    path: Path, counts: np.ndarray, voxel_size: float | None = None, text: str | None = None, xmp: str | None = None
) -> None:
    """Write counts (D, H, W) of a stored type as OME-TIFF, a page a slice; the file appears only when complete.

    Parameters
    ----------
    path : Path
    counts : ndarray
        Of bits, or 8, 16 or 32 bits.
    voxel_size : float, optional
        Side of a voxel in micrometres: in the OME metadata for all three axes, and in the resolution tags.
    text : str, optional
        The description in the OME metadata.
    xmp : str, optional
    """
    import tifffile

    said: dict[str, object] = {"axes": "ZYX"}
    if voxel_size:
        for axis in "XYZ":
            said |= {f"PhysicalSize{axis}": voxel_size, f"PhysicalSize{axis}Unit": "µm"}
    if text is not None:
        said["Description"] = text
    packet = (xmp or "").encode()
    per_centimetre = 1e4 / voxel_size if voxel_size else 1.0
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            counts,
            ome=True,
            photometric="minisblack",
            metadata=said,
            extratags=[(700, "B", len(packet), packet, True)] if packet else (),
            resolution=(per_centimetre, per_centimetre),
            resolutionunit="CENTIMETER" if voxel_size else "NONE",
        )
