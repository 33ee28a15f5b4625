"""Cells as tasks of a Dask cluster."""

import json
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from toy import TOY, write_tiles
from veridical.benching import run
from veridical.benching.cluster import Cluster, cluster_at
from veridical.benching.run import bench
from veridical.core.errors import InputError
from veridical.core.lock import alone
from veridical.reporting.plan import Job
from veridical.runs.tensors import read_tensors


def write_spec(folder, recipes, steps, seeds):
    write_tiles(folder / "tiles", n=30, size=48)
    rows = {name: {**TOY[name], "batch": 4, "save_every": 0.2} if TOY[name] else {} for name in recipes}
    (folder / "bench.toml").write_text(
        f'size = 32\nsteps = {steps}\nsamples = 24\njobs = 2\nseeds = {seeds}\n[datasets]\nblobs = "tiles"\n[recipes]\n'
        + "".join(
            f"{k} = {{ {', '.join(f'{a} = {json.dumps(b)}' for a, b in row.items())} }}\n" for k, row in rows.items()
        )
    )
    return folder / "bench.toml"


def test_without_dask_or_a_scheduler_it_is_a_sentence(tmp_path, monkeypatch):
    with (
        pytest.raises(InputError, match="no Dask scheduler answers at nowhere://here"),
        cluster_at("nowhere://here", 1),
    ):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"veridical\[cluster\]"), cluster_at("local", 1):
        pass
    spec = write_spec(tmp_path, ["random_phase"], 1, [0])
    with alone(tmp_path / "out", "bench"), pytest.raises(InputError, match="another bench is at work"):
        bench(spec, tmp_path / "out", dask="local")


def test_what_a_worker_cannot_do_is_the_reason_of_a_failed_cell(tmp_path, monkeypatch):
    def refuse(self, cell, output, look):
        raise InputError("node7 does not see it.")

    monkeypatch.setattr(Cluster, "run", refuse)
    assert run._run(tmp_path, {}, Job("cell", "blobs", "vae", 0), [], Cluster(None), lambda text: None) == "failed"
    assert "node7" in json.loads((tmp_path / "cells" / "blobs" / "vae-seed0" / "status.json").read_text())["reason"]


def results(out):
    """What does not depend on the clock, of all cells, to the bit."""
    found = {}
    for cell in sorted((out / "cells" / "blobs").iterdir()):
        assert json.loads((cell / "status.json").read_text())["state"] == "done", (cell / "output.txt").read_text()
        for name in ("rows.json", "samples.npy", "audit.json"):
            found[cell.name, name] = (cell / name).read_bytes()
        for name, weights in read_tensors(cell / "run" / "model.safetensors")[0].items():
            found[cell.name, name] = weights.numpy().tobytes()
    return found


@pytest.fixture
def one_processor():
    """As many threads a cell here and on workers."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_killed_worker_changes_no_bit(tmp_path, one_processor):
    from distributed import Client, LocalCluster

    spec = write_spec(tmp_path, ["random_phase", "vae"], 60, [0])
    bench(spec, tmp_path / "here")
    said, killed = [], []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        pids = client.run(os.getpid)

        def kill():  # a worker whose cell has a state to go on with
            while not killed:
                for worker, keys in client.processing().items():
                    if keys and list((tmp_path / "there" / "cells").rglob("resume.safetensors")):
                        os.kill(pids[worker], signal.SIGKILL)
                        killed.append(worker)
                        return
                time.sleep(0.05)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        bench(spec, tmp_path / "there", dask=cluster.scheduler_address, say=said.append)
        thread.join(1)
    assert killed
    here, there = results(tmp_path / "here"), results(tmp_path / "there")
    assert here.keys() == there.keys() and len(here) > 8
    differing = [name for name in here if here[name] != there[name]]
    assert not differing
    assert np.load(tmp_path / "there" / "cells" / "blobs" / "vae-seed0" / "samples.npy").shape == (24, 1, 32, 32)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_stopped_bench_on_a_local_cluster_goes_on(tmp_path):
    spec = write_spec(tmp_path, ["vae"], 10**6, [0])

    def stop():
        while not list((tmp_path / "out" / "cells").rglob("resume.safetensors")):
            time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    said = []
    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    bench(spec, tmp_path / "out", dask="local", say=said.append)
    assert said[-1] == "stopped; run the same command again to go on"
    cell = tmp_path / "out" / "cells" / "blobs" / "vae-seed0"
    assert json.loads((cell / "status.json").read_text())["state"] == "running"
    with alone(cell, "cell"), alone(cell / "run", "training"):  # nothing is at work there
        assert json.loads((cell / "run" / "run.json").read_text())["cost"]["steps"] > 0
