"""How many threads work."""

import pytest
import torch

from veridical.core.device import use_threads


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr("veridical.core.device.os.sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("said", "threads", "processes", "count"),
    [
        ("", 0, "", 4),
        ("2", 0, "", 2),
        ("3,1", 0, "1", 3),
        ("64", 0, "", 4),
        ("0", 0, "", 4),
        ("all", 0, "", 4),
        ("2", 3, "", 3),
        ("1", 0, "2", 2),  # torchrun says 1 whatever there is
    ],
)
def test_as_many_threads_as_the_user_said(said, threads, processes, count, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert use_threads(threads) == count == torch.get_num_threads()
