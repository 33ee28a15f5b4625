"""Fixtures that more than one test file uses."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run: a test that fails now and then tells nothing."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images beside the checkout (or at $VERIDICAL_DATA); tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VERIDICAL_DATA", default))
    if not (folder / "SOURCES.md").is_file():
        pytest.skip("no real images here (set VERIDICAL_DATA)")
    return folder
