"""Processes of the jobs of a bench: started, asked to stop, and what they last said."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

EVERY = 15.0  # seconds between looks at what a cell wrote
PROGRESS = re.compile(r"[\w ]+: \d+ % after ")  # a line of `veridical.core.progress.Progress`


def _waited(process: subprocess.Popen[bytes]) -> int | None:
    """Exit code of a process; None if it goes on after a while."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(EVERY)
    return None


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
    """The processes of the cells at work; a wish to stop is handed on to them, so that they save what they have."""

    def __init__(self) -> None:
        self.stopped = False
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, command: list[str], output: IO[bytes], look: Callable[[], None]) -> int:
        """Run a command to its end and return its exit code; meanwhile `look` now and then."""
        # Threads that wait must sleep: processes that spin on the same cores slow each other down many times.
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closes when this process ends, however it ends
            stdout=output,
            stderr=output,
            env={"OMP_WAIT_POLICY": "PASSIVE"} | os.environ,
        ) as process:
            self._running.add(process)
            if self.stopped:
                process.terminate()
            while (code := _waited(process)) is None:
                look()
            self._running.discard(process)
        return code

    def stop(self) -> None:
        """Ask every cell to save and end."""
        self.stopped = True
        for process in list(self._running):
            process.terminate()
