"""Jobs that wait for each other, on several workers: each takes the first job that waits for nothing any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from veridical.reporting.plan import Job

FINAL = ("done", "failed", "skipped")


def work_through(
    jobs: Sequence[Job], needs: Mapping[Job, Sequence[Job]], run: Callable[[Job, list[Job]], str], workers: int
) -> dict[Job, str]:
    """Run all jobs, no job before those that it needs are at their end.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are wanted.
    needs : mapping
        Of each job others that have to be at their end; those that are not among `jobs` count as such.
    run : callable
        ``run(job, lacking)`` does a job, or says that it cannot be done where `lacking`, needed jobs, were not done, and returns
        its state: "done", "failed", "skipped", or anything else if it was stopped.
    workers : int
        Jobs at the same time.

    Returns
    -------
    dict
        The state of each job.
    """
    waiting, states, change = list(jobs), dict[Job, str](), threading.Condition()
    known = set(jobs)

    def ready() -> Job | None:
        for job in waiting:
            if all(need in states for need in needs[job] if need in known):
                return job
        return None

    def work() -> None:
        while True:
            with change:
                while waiting and (job := ready()) is None:
                    change.wait()
                if not waiting:
                    return
                assert job is not None
                waiting.remove(job)
                lacking = [need for need in needs[job] if states.get(need, "done") != "done"]
            state = "failed"
            try:
                state = run(job, lacking)
            finally:
                with change:
                    states[job] = state
                    change.notify_all()

    with ThreadPoolExecutor(workers) as pool:
        for found in [pool.submit(work) for _ in range(workers)]:
            found.result()
    return states
