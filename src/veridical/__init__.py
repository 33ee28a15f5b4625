"""veridical: train, run and validate image generators on scientific images.

The public functions below are loaded when they are first used, so that ``import veridical`` stays fast.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .version import __version__

if TYPE_CHECKING:
    from .audit.verdict import audit
    from .bench.report import report
    from .bench.run import bench
    from .dataset import open_dataset
    from .phantoms import generate, write_phantoms
    from .recipes import build
    from .sample import draw, load, sample
    from .score import score
    from .train import train

_WHERE = {
    "audit": "audit.verdict",
    "bench": "bench.run",
    "build": "recipes",
    "draw": "sample",
    "generate": "phantoms",
    "load": "sample",
    "open_dataset": "dataset",
    "report": "bench.report",
    "sample": "sample",
    "score": "score",
    "train": "train",
    "write_phantoms": "phantoms",
}

__all__ = [
    "InputError",
    "__version__",
    "audit",
    "bench",
    "build",
    "draw",
    "generate",
    "load",
    "open_dataset",
    "report",
    "sample",
    "score",
    "train",
    "write_phantoms",
]


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing the module `veridical.train` would put it in the place of the function `veridical.train`.
        if not (name in _WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_WHERE[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
