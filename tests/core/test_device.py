"""How many threads work; what seeds a step."""

import pytest
import torch

from veridical.core.device import seed_step, use_threads


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


def test_a_step_is_seeded_as_torch_does_it():
    torch.manual_seed(2**62 + 5)
    expected = torch.rand(3)
    torch.rand(2)
    seed_step(2**62 + 5, torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)
