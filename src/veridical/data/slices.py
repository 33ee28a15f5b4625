"""What every reader returns: 2-D images that are read one at a time."""

import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError


@dataclass
class Slices:
    """A set of 2-D images that are read one at a time.

    ``slices[i]`` is an array (H, W) or (H, W, 3) in the stored type: a view into the file where `mapped`.

    Attributes
    ----------
    kind : str
        "folder", "image", "tiff", "hdf5", "zarr", "npy", "npz", "raw", "dicom", "nifti", "nrrd", "mrc", "metaimage" or "phantom".
    names : list of str
        One unique name a slice: the path in the folder without suffix, or its number in a stack, ``z0000``.
    shapes : list of (int, int)
        Height and width of each slice.
    dtype : numpy.dtype
        The stored type, in native byte order.
    channels : int
        1 or 3.
    stack : bool
        Whether neighbouring slices are neighbours in space: a volume, or one numbered series of files.
    mapped : bool
        Whether reading part of a slice costs no more than that part.
    pixel_size : float or None
        Micrometres.
    notes : list of str
        What was left out or is converted on the way.
    paths : list of Path
        The file of each slice, where each has one of its own.
    masked : list of bool
        Which slices come with a label image, see `mask`.
    missing : tuple of float
        Stored values that stand for nothing measured; real-valued slices have NaN there.
    properties : callable or None
        Gives what is known of each slice: one dict of numbers a slice.
    captions : callable or None
        Gives the captions of each slice, of phantoms; of pairs the instructions.
    read_before : callable or None
        Gives the image that slice i was made of, of pairs: of its shape and type.
    """

    kind: str
    names: list[str]
    shapes: list[tuple[int, int]]
    dtype: np.dtype
    channels: int
    read: Callable[[int], np.ndarray]
    stack: bool = False
    mapped: bool = False
    pixel_size: float | None = None
    notes: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    masked: list[bool] = field(default_factory=list)
    read_mask: Callable[[int], np.ndarray] | None = None
    missing: tuple[float, ...] = ()
    properties: Callable[[], list[dict[str, float]]] | None = None
    captions: Callable[[], list[tuple[str, ...]]] | None = None
    read_before: Callable[[int], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return check_whole(self.read(index % len(self)))

    def nbytes(self, index: int) -> int:
        """Size of a decoded slice."""
        return int(np.prod(self.shapes[index])) * self.channels * self.dtype.itemsize

    def mask(self, index: int) -> np.ndarray:
        """Label values of slice `index`, an integer array (H, W), see `veridical.data.readers.labelset.LabelSet`.

        Raises
        ------
        InputError
            If there is none, if it cannot be read as one, or if it has another size than the slice.
        """
        if self.read_mask is None or not self.masked[index]:
            raise InputError(f"{self.names[index]}: has no label image; put one of the same name into masks/")
        mask = self.read_mask(index)
        if mask.shape != tuple(self.shapes[index]):
            height, width = self.shapes[index]
            raise InputError(
                f"{self.names[index]}: its label image has {mask.shape[1]} x {mask.shape[0]} pixels but the image "
                f"{width} x {height}; export the labels at the size of the image"
            )
        return mask


def check_whole(array: np.ndarray) -> np.ndarray:
    """The same array; a view into a file that has become shorter is refused: the system ends a process that reads it.

    Raises
    ------
    InputError
        Names the file.
    """
    view: Any = array
    while not isinstance(view, np.memmap):
        view = getattr(view, "base", None)
        if view is None:
            return array
    end = view.offset + view.nbytes
    whole: Any = view
    while not isinstance(whole, mmap.mmap):  # the map itself knows how long the file is now
        whole = getattr(whole, "base", None)
        if whole is None:
            return array
    if whole.size() < end:
        raise InputError(f"{view.filename}: was cut short while it was being read; copy or export it again")
    return array


class Lazy:
    """A file handle that opens on first use, once in each process, and pickles as the recipe to open it."""

    def __init__(self, opener: Callable[..., Any], *args: Any):
        self.opener, self.args = opener, args
        self._handle: Any = None
        self._process: int | None = None

    def __call__(self) -> Any:
        if self._process != os.getpid():
            self._handle, self._process = self.opener(*self.args), os.getpid()
        return self._handle

    def __getstate__(self) -> dict[str, Any]:
        return {"opener": self.opener, "args": self.args, "_handle": None, "_process": None}


class Cache:
    """Arrays under keys; the least recently used go when they hold more than `budget` bytes. Pickles empty.

    One thread at a time: the decoders behind it share file handles.
    """

    def __init__(self, budget: int):
        self.budget, self._size = budget, 0
        self._items: OrderedDict[Any, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array under `key`, made if it is not there."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
            array = self._items[key] = make()
            self._size += array.nbytes
            while self._size > self.budget and len(self._items) > 1:
                self._size -= self._items.popitem(last=False)[1].nbytes
            return array

    def __getstate__(self) -> dict[str, Any]:
        return {"budget": self.budget}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["budget"])  # type: ignore[misc]
