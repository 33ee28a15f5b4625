"""One thread a device that does what is waiting, what is alike together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from veridical.core.device import use_threads


class Task(Protocol):
    """Something to draw: `rows` images; those of one `key` can be drawn together."""

    @property
    def key(self) -> Hashable: ...
    @property
    def rows(self) -> int: ...


@dataclass
class _Job:
    task: Any
    future: Future[Any] = field(default_factory=Future)


class Worker:
    """A thread that does tasks in the order in which they came, and with each those of its kind that wait behind it.

    Parameters
    ----------
    work : callable
        From tasks of one key to a result each.
    batch : int
        Images that are drawn together, at most, of several tasks.
    seen : callable
        Called with the images and the seconds of each batch.
    """

    def __init__(
        self, work: Callable[[Sequence[Any]], Sequence[Any]], batch: int, seen: Callable[[int, float], None]
    ) -> None:
        self._work, self._batch, self._seen = work, batch, seen
        self._jobs: deque[_Job] = deque()
        self._ready, self._over = threading.Condition(), False
        self._thread = threading.Thread(target=self._loop, name="veridical-worker", daemon=True)
        self._thread.start()

    @property
    def rows(self) -> int:
        """Images that wait."""
        with self._ready:
            return sum(job.task.rows for job in self._jobs)

    def submit(self, task: Task) -> Future[Any]:
        """Its result to be; cancelled before its turn, it is not done."""
        job = _Job(task)
        with self._ready:
            self._jobs.append(job)
            self._ready.notify()
        return job.future

    def stop(self) -> None:
        """End the thread after what it is doing; what waits is cancelled."""
        with self._ready:
            self._over = True
            for job in self._jobs:
                job.future.cancel()
            self._ready.notify()
        self._thread.join()

    def _loop(self) -> None:
        use_threads()
        while jobs := self._next():
            running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if running:
                self._do(running)
            del jobs, running  # images of the last ones are not kept until the next come

    def _next(self) -> list[_Job]:
        with self._ready:
            self._ready.wait_for(lambda: self._over or self._jobs)
            if self._over:
                return []
            found = [self._jobs.popleft()]
            rows = found[0].task.rows
            for job in list(self._jobs):
                if job.task.key == found[0].task.key and rows + job.task.rows <= self._batch:
                    self._jobs.remove(job)
                    found.append(job)
                    rows += job.task.rows
            return found

    def _do(self, jobs: list[_Job]) -> None:
        began = time.monotonic()
        try:
            results = self._work([job.task for job in jobs])
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
            else:  # one of them may be to blame
                for job in jobs:
                    self._do([job])
            return
        self._seen(sum(job.task.rows for job in jobs), time.monotonic() - began)
        for job, result in zip(jobs, results, strict=True):
            job.future.set_result(result)
