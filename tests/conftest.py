"""Fixtures that more than one test file uses."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from veridical.core.device import pick_device, seed_step

# Workers share the processors as processes that train together do: two threads each on two cores would wait for each other.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    os.environ.setdefault("LOCAL_WORLD_SIZE", os.environ["PYTEST_XDIST_WORKER_COUNT"])
    torch.set_num_threads(1)

# Processes that tests start would each compile the whole package anew: two seconds of the six that a cell of a bench begins with.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Of `make test &` in a script a shell takes Ctrl-C away, and of all that it starts, which tests stop with it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DEVICE = pick_device()

# What takes longest comes first, so that no worker is left with it at the end.
LONGEST = (
    "test_docs",
    "test_unchanged",
    "test_run",
    "test_loop",
    "test_contract",
    "test_verdict",
    "test_cli",
    "test_table",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by files, the longest first."""
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run: a test that fails now and then tells nothing."""
    seed_step(0, DEVICE)


@pytest.fixture
def cells_here(monkeypatch):
    """Cells of benches run in this process, which has imported what they need; what they say is not caught."""
    from veridical.benching.cell import RUNS
    from veridical.benching.processes import Processes

    def run(self, cell, output, look):
        kind, out, dataset, name, seed = cell
        RUNS[kind](Path(out), dataset, name, int(seed))
        return 0

    monkeypatch.setattr(Processes, "run", run)


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Run `veridical ARGUMENTS` in this process; return exit code, output and errors."""

    from veridical import cli

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["veridical", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images beside the checkout (or at $VERIDICAL_DATA); tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VERIDICAL_DATA", default))
    if not (folder / "SOURCES.md").is_file():
        pytest.skip("no real images here (set VERIDICAL_DATA)")
    return folder
