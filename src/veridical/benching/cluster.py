"""The cells of a bench as tasks of a Dask cluster, whose workers share the folder of the bench; imports Dask when it is used."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from veridical.benching.processes import EVERY, start, waited
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.lock import alone
from veridical.core.version import __version__

LOCAL = "local"
CONNECT = 30.0  # seconds that a scheduler has to answer in
SAVE = 600.0  # seconds that a cell has to save and end in
# What Dask sets to 1 for its workers.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Cluster:
    """Cells run wherever the cluster has a free slot; the cell of a worker that is gone is taken up by another.

    Parameters
    ----------
    client : distributed.Client
    threads : dict of str to str, optional
        The variables of `THREADS` that cells are to have, of a cluster on this machine; else each has its share of the
        processors of its worker.
    count : int
        CPU threads of a cell; 0 for that share.
    """

    begins = "queued"

    def __init__(self, client: Any, threads: dict[str, str] | None = None, count: int = 0) -> None:
        self.stopped = False
        self._client, self._threads, self._count = client, threads, count

    def run(self, cell: list[str], output: Path, look: Callable[[], None]) -> int:
        """Run a cell to its end and return its exit code; meanwhile `look` now and then.

        Raises
        ------
        InputError
            If the worker cannot do it, or every worker that tried was killed.
        """
        from distributed import KilledWorker, wait

        future = self._client.submit(
            run_here, cell, str(output), self._threads, self._count, __version__, pure=False, retries=0
        )
        while not future.done():
            with contextlib.suppress(TimeoutError):
                wait(future, timeout=1.0 if self.stopped else min(EVERY, 5.0))
            if output.exists():
                look()
            if self.stopped:
                future.cancel()
                with alone(output.parent, "cell", SAVE):  # it has saved what it has
                    return -1
        try:
            code: int = future.result()
        except KilledWorker as error:
            raise InputError(
                f"{error.allowed_failures + 1} workers were killed at it (out of memory?); see their logs."
            ) from error
        except CancelledError as error:
            raise InputError("the Dask scheduler is gone; start it, and give the same command again.") from error
        except ImportError as error:
            raise InputError(f"a worker cannot do it ({error}): install the same veridical there.") from error
        return code

    def stop(self) -> None:
        """Ask every cell to save and end."""
        self.stopped = True


@contextlib.contextmanager
def cluster_at(address: str, jobs: int) -> Iterator[Cluster]:
    """Connect to a Dask cluster.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://10.0.0.1:8786``; or ``local``, for a cluster of `jobs` workers on this machine.
    jobs : int

    Raises
    ------
    InputError
        If Dask is not installed, or nothing answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError("--dask needs Dask: pip install 'veridical[cluster]'.") from error
    if address == LOCAL:
        # As the bench gives them without Dask, read before Dask sets them.
        threads = {name: os.environ[name] for name in THREADS if name in os.environ}
        count = max(1, use_threads() // jobs)
        with (
            LocalCluster(
                n_workers=jobs, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0"
            ) as cluster,
            Client(cluster) as client,
        ):
            yield Cluster(client, threads, count)
        return
    try:
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"no Dask scheduler answers at {address} ({reason}): give its address, such as tcp://10.0.0.1:8786, or local."
        ) from error
    with client:
        yield Cluster(client)


def run_here(cell: list[str], output: str, threads: dict[str, str] | None, count: int, version: str) -> int:
    """Run a cell in a process of its own, on a worker; its exit code.

    Raises
    ------
    InputError
        If this machine does not see the folder of the bench, or has another version.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    if version != __version__:
        raise InputError(
            f"{socket.gethostname()} has veridical {__version__}, the bench is of {version}: install that."
        )
    if not Path(output).parent.is_dir():
        raise InputError(
            f"{socket.gethostname()} does not see {cell[1]}: choose an --out on a disk that all machines share."
        )
    if threads is None:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count = max(1, available // worker.state.nthreads)
        threads = dict.fromkeys(THREADS, str(count))
    environment = {name: value for name, value in os.environ.items() if name not in THREADS} | threads
    with start([*cell, str(count)], Path(output), environment) as process:
        while (code := waited(process, 1.0)) is None:
            task = worker.state.tasks.get(key)
            if task is None or task.state != "executing":  # the bench was stopped, or is gone
                process.terminate()
                return process.wait()
    return code
