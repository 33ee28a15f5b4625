"""Do sets of images that are to be compared have one pixel size?"""

from collections.abc import Mapping

TOLERANCE = 0.02  # of the larger one; tags are rounded


def pixel_size_remarks(sizes: Mapping[str, float | None]) -> list[str]:
    """One sentence if pixel sizes differ, otherwise none; sets that do not state theirs are not judged.

    Parameters
    ----------
    sizes : what each set is called, and its pixel size in micrometres
    """
    known = {name: size for name, size in sizes.items() if size}
    if not known or min(known.values()) >= (1 - TOLERANCE) * max(known.values()):
        return []
    listed = ", ".join(f"{name} has {size:.4g}" for name, size in known.items())
    return [
        f"pixel sizes differ ({listed} micrometres a pixel), so the sets show different magnifications: resize one of them, "
        "or correct its tag"
    ]
