"""A volume that was stopped on its way: its state in a file beside it, and gone on with."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veridical.core.errors import InputError
from veridical.core.files import open_regular, replacing
from veridical.volumes.synthesis import State

EVERY = 60.0  # seconds between states that are written; writing them never takes more than 5 % of the time


class Kept:
    """The last state of a volume.

    Parameters
    ----------
    path : Path
        Where it is written.
    about : dict
        JSON-able; of another volume it is not gone on with.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self._path, self._about = path, json.dumps(about, allow_nan=False)
        self._state: State | None = None
        self._saved, self._pause = time.monotonic(), 0.0

    def read(self, device: torch.device) -> State | None:
        """The state that was written, None where there is none.

        Raises
        ------
        InputError
            If it is of another volume, or damaged.
        """
        if not self._path.exists():
            return None
        try:
            with open_regular(self._path) as file, np.load(file, allow_pickle=False) as held:
                about, done = str(held["about"]), int(held["done"])
                volume, rest = (torch.from_numpy(held[name]).to(device) for name in ("volume", "rest"))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(f"{self._path} was damaged ({error}): remove it to begin anew.") from error
        if about != self._about:
            raise InputError(
                f"{self._path} is of a volume that was begun with another command: give that command to go on, remove the file, "
                "or choose another --out."
            )
        return State(done, volume, rest)

    def keep(self, state: State) -> None:
        """Remember a state, and write it now and then."""
        self._state = state
        if time.monotonic() - self._saved > max(EVERY, 20 * self._pause):
            self.write()

    def write(self) -> None:
        """Write the last state, if there is one."""
        if self._state is None:
            return
        began = time.monotonic()
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            arrays = {name: getattr(self._state, name).cpu().numpy() for name in ("volume", "rest")}
            np.savez(file, about=np.array(self._about), done=np.array(self._state.done), **arrays)
        self._saved = time.monotonic()
        self._pause = self._saved - began

    def remove(self) -> None:
        """Remove the file: the volume is whole."""
        self._path.unlink(missing_ok=True)
