"""The processes of the jobs of a bench at work on this machine, and what they last said."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

EVERY = 15.0  # seconds between looks at what a cell wrote
PROGRESS = re.compile(r"[\w ]+: \d+ % after ")  # a line of `veridical.core.progress.Progress`


class Course:
    """What a cell last wrote of its progress, said once."""

    def __init__(self, output: Path, say: Callable[[str], None]) -> None:
        self._output, self._say, self._said = output, say, ""

    def look(self) -> None:
        """Say the last line of progress, if it is new."""
        with self._output.open("rb") as file:
            file.seek(max(0, self._output.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
        found = [line for line in lines if PROGRESS.match(line)]
        if found and found[-1] != self._said:
            self._said = found[-1]
            self._say(self._said.partition("  ")[0])


class Processes:
    """A wish to stop is handed on to the cells, so that they save what they have."""

    begins = "started"

    def __init__(self) -> None:
        self.stopped = False
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, cell: list[str], output: Path, look: Callable[[], None]) -> int:
        """Run a cell to its end and return its exit code; meanwhile `look` now and then."""
        with start(cell, output) as process:
            self._running.add(process)
            if self.stopped:
                process.terminate()
            while (code := waited(process, EVERY)) is None:
                look()
            self._running.discard(process)
        return code

    def stop(self) -> None:
        """Ask every cell to save and end."""
        self.stopped = True
        for process in list(self._running):
            process.terminate()


def start(cell: list[str], output: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a cell (the arguments of `veridical.benching.cell.main`), which ends when this process does, however it ends."""
    # Threads that wait must sleep: processes that spin on the same cores slow each other down many times.
    passive = {"OMP_WAIT_POLICY": "PASSIVE"} | dict(os.environ if environment is None else environment)
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "veridical.benching.cell", *cell],
            stdin=subprocess.PIPE,  # closes with this process
            stdout=file,
            stderr=file,
            env=passive,
        )


def waited(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Exit code of a process; None if it goes on after so many seconds."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)
    return None
