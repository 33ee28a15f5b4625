"""What names say: one image by several spellings, the side of a split that a folder is for, label images."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

LABEL_WORDS = {
    "mask", "masks", "label", "labels", "labelmap", "labelmaps", "gt", "groundtruth", "truth", "annotation", "annotations",
    "annot", "annots", "lbl", "lbls", "msk", "msks", "segmentation", "segmentations", "seg", "segs", "segm",
}  # fmt: skip
IMAGE_WORDS = {"image", "images", "img", "imgs"}
_SIDES = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
}
_SHORT = {"tr": "train", "ts": "test"}  # of imagesTr and labelsTs
_EMPTY = IMAGE_WORDS | LABEL_WORDS | {"data", "set", "dataset", "ground"}  # words that tell no folder from another
_TILE = re.compile(
    r"[_-](r\d+[_-]?c\d+|y\d+[_-]?x\d+|x\d+[_-]?y\d+|row\d+[_-]?col\d+|tile[_-]?\d+([_-]\d+)?)$", re.IGNORECASE
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def words(name: str) -> list[str]:
    """Lower-case words of a name: ``trainA`` -> train, a; ``ground_truth`` -> ground, truth."""
    return [word.lower() for word in _WORDS.findall(unicodedata.normalize("NFC", name))]


def path_of(name: str) -> str:
    """A path as it may stand in a table, in one spelling but for case: slashes, one Unicode form; of an address the path.

    It begins with a slash, or a drive, only if it says where something lies on a machine.
    """
    name = name.strip()
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    if _ADDRESS.match(name):
        name = unquote(urlsplit(name).path)
    if "\\" not in name and "//" not in name and "./" not in name:
        return name
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/" * name.startswith(("/", "\\")) + "/".join(parts)


def same(name: str) -> str:
    """One spelling for all of a path: `path_of`, not absolute, without case."""
    folded = path_of(name).lstrip("/").casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded)


def is_label_folder(name: str) -> bool:
    """Whether a folder of that name is most likely one of label images."""
    found = words(name)
    return bool(LABEL_WORDS & set(found)) or name.lower().startswith("masks")


def without_label_word(stem: str) -> str | None:
    """``core_mask``, ``GT-core`` -> ``core``; None for a name that does not begin or end with such a word."""
    return _without(stem, LABEL_WORDS)


def without_image_word(stem: str) -> str | None:
    """``core_img``, ``image-core`` -> ``core``; None for a name that does not begin or end with such a word."""
    return _without(stem, IMAGE_WORDS)


def _without(stem: str, known: set[str]) -> str | None:
    parts = re.split(r"([\W_]+)", stem)
    for word, rest in ((parts[-1], parts[:-2]), (parts[0], parts[2:])):
        if word.lower() in known and "".join(rest):
            return "".join(rest)
    return None


def bare(folder: str) -> str:
    """What a folder's name says beside that it is for images or label images: ``train_masks`` -> ``train``."""
    found = words(folder)
    kept = [word for word in found if word not in _EMPTY]
    return "_".join(kept) if len(kept) < len(found) else same(folder)


def side_of(folder: str) -> tuple[str, str] | None:
    """The side that a folder is for, ``train``, ``test`` or ``val``, and what else its name says; None if no side."""
    found = words(folder)
    sides = [_SIDES[word] for word in found if word in _SIDES]
    if not sides and set(found) & (IMAGE_WORDS | LABEL_WORDS):
        sides = [_SHORT[word] for word in found if word in _SHORT]
    if len(sides) != 1:
        return None
    rest = [word for word in found if word not in _SIDES and word not in _SHORT and word not in _EMPTY]
    return sides[0], "_".join(rest)


def sides_of(names: Sequence[str]) -> list[str] | None:
    """The side of each image by the first folder that is for one, ``train`` or ``test``; None if they are not all of two.

    ``val`` counts as ``test`` where there is no ``test``.
    """
    found = [next(filter(None, map(side_of, name.split("/")[:-1])), None) for name in names]
    sides = {each[0] for each in found if each is not None}
    held = "test" if "test" in sides else "val"
    if None in found or sides != {"train", held} or len({each[1] for each in found if each is not None}) > 1:
        return None
    return ["train" if each and each[0] == "train" else "test" for each in found]


def without_side(name: str) -> str:
    """Name of an image without the first folder that says nothing but its side: ``Train/a/x`` -> ``a/x``."""
    parts = name.split("/")
    for k, part in enumerate(parts[:-1]):
        found = side_of(part)
        if found is not None and not found[1]:
            return "/".join((*parts[:k], *parts[k + 1 :]))
    return name


def group_of(name: str) -> str:
    """Name of the image that a tile file was cut from: ``core_r1c2``, ``core_y0x128``, ``core_row1_col2`` -> ``core``."""
    return _TILE.sub("", name)
