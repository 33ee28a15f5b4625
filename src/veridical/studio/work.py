"""Commands that a studio runs: processes of the command line, so that all of it is the same in a terminal."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from veridical.core.errors import InputError
from veridical.core.progress import EVERY

# -P: a folder called veridical where the studio was started is not this package.
PROGRAM = (sys.executable, "-P", "-m", "veridical")
KEPT = 64  # commands that can be asked for
READ = 100_000  # bytes of what a command says, from the end
PATIENCE = 60.0  # seconds for commands to save when the studio ends
SECONDS = "1"  # between two words on how far a command is
JUDGED = (0, 3, 4)  # exit codes of a command that was done: an audit that fails is one
STOPPED = (130, -signal.SIGINT, -signal.SIGTERM)
FAR = re.compile(r": +(\d+) % after")  # as `veridical.core.progress` writes it


@dataclass
class Command:
    """A command that runs, or is over.

    Attributes
    ----------
    kind : str
        The part of the page that it is of.
    words : list of str
        Without the name of the program.
    about : str
        What it writes, by its name in the folder of the studio; of a look at data these.
    scratch : TemporaryDirectory or None
        Where it writes what nobody keeps.
    """

    kind: str
    words: list[str]
    about: str
    process: subprocess.Popen[bytes]
    printed: IO[bytes]
    told: IO[bytes]
    scratch: tempfile.TemporaryDirectory[str] | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    asked: int = 0  # how often to stop

    def is_over(self) -> bool:
        """Whether the process has ended."""
        over = self.process.poll() is not None
        if over and self.ended is None:
            self.ended = time.monotonic()
        return over

    def stop(self) -> None:
        """What Ctrl-C does; asked again, the signal that a system sends to end a process."""
        self.asked += 1
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT if self.asked == 1 else signal.SIGTERM)

    def state(self) -> dict[str, Any]:
        """How far it is."""
        over, lines = self.is_over(), _read(self.told).split("\n")
        said = next((line for line in reversed(lines) if line.strip()), "")
        far = next((match for line in reversed(lines) if (match := FAR.search(line))), None)
        code = self.process.returncode
        state = "running" if not over else "stopped" if code in STOPPED else "done" if code in JUDGED else "failed"
        return {
            "kind": self.kind, "state": state, "about": self.about, "command": shlex.join(["veridical", *self.words]),
            "seconds": round((self.ended or time.monotonic()) - self.began, 1), "stopping": bool(self.asked) and not over,
            "share": int(far[1]) / 100 if far else None, "said": said.strip(),
            "error": said.removeprefix("veridical: ").strip() or f"it ended with code {code}" if state == "failed" else "",
            "printed": _read(self.printed).strip() if over else "",
        }  # fmt: skip


class Work:
    """The commands of a studio: one training, and one of all others, at a time.

    They are of this process: when the studio ends they are stopped as Ctrl-C does.
    """

    def __init__(self) -> None:
        _heed_ctrl_c()
        self._commands: dict[str, Command] = {}
        self._numbers, self._lock = itertools.count(1), threading.Lock()

    def start(
        self,
        kind: str,
        words: Sequence[str],
        about: str,
        scratch: tempfile.TemporaryDirectory[str] | None = None,
    ) -> str:
        """Begin a command; its name.

        Raises
        ------
        InputError
            If one of its kind is at work.
        """
        with self._lock:
            for name, other in self._commands.items():
                if not other.is_over() and (other.kind == "train") == (kind == "train"):
                    raise InputError(f"{_NAMES[other.kind]} is at work here (number {name}): wait for it, or stop it.")
            printed, told = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  # as long as the command
            process = subprocess.Popen(
                [*PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=printed, stderr=told,
                env={**os.environ, EVERY: SECONDS}, start_new_session=True,  # Ctrl-C is the studio's, which hands it on
            )  # fmt: skip
            name = str(next(self._numbers))
            self._commands[name] = Command(kind, list(words), about, process, printed, told, scratch)
            for old in [key for key, one in self._commands.items() if one.is_over()][:-KEPT]:
                del self._commands[old]
            return name

    def found(self, name: str) -> Command:
        """A command by its name; an `InputError` where there is none."""
        if name not in self._commands:
            raise InputError(f"this studio has run no command number {name} since it was started: look at the folder.")
        return self._commands[name]

    def states(self) -> list[dict[str, Any]]:
        """All that are known, the latest last."""
        return [{"work": name, **one.state()} for name, one in list(self._commands.items())]

    def training(self, about: str) -> str | None:
        """The training that writes this now."""
        return next(
            (
                k
                for k, one in list(self._commands.items())
                if (one.kind, one.about) == ("train", about) and not one.is_over()
            ),
            None,
        )

    def trained(self, about: str) -> Command | None:
        """The last training that wrote this."""
        return next((c for c in reversed(list(self._commands.values())) if (c.kind, c.about) == ("train", about)), None)

    def end(self) -> None:
        """Stop what runs, and wait until it has saved."""
        running = [one for one in self._commands.values() if not one.is_over()]
        for one in running:
            one.stop()
        until = time.monotonic() + PATIENCE
        for one in running:
            try:
                one.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()


_NAMES = {
    "train": "a training", "data": "a look at data", "samples": "a drawing of samples", "audit": "an audit",
    "score": "a scoring", "reviews": "the making of a review",
}  # fmt: skip


def command(name: str, places: Iterable[str | Path], **flags: Any) -> list[str]:
    """Words of a command: what is None is left out, True a flag alone. No word of a user's becomes a flag."""
    words = [name, *(text if not text.startswith("-") else f"./{text}" for text in map(str, places))]
    for flag, value in flags.items():
        said = "-n" if flag == "n" else f"--{flag.replace('_', '-')}"
        if value is True:
            words.append(said)
        elif value is not None and value is not False and value != "":
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"{said}={text}"] if text.startswith("-") else [said, text]
    return words


def _heed_ctrl_c() -> None:
    """Commands inherit that SIGINT is ignored, as it is in what a shell began in the background: nothing would stop them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # only the main thread may set handlers
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _read(file: IO[bytes]) -> str:
    """The end of what a process writes, wherever it writes next."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), READ, max(0, size - READ)).decode(errors="replace")
