"""A folder of samples is written as images are drawn, and a stopped one ends as one that was not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toy import TOY, write_tiles
from veridical.core.errors import InputError
from veridical.runs import draw, samples
from veridical.runs.draw import sample
from veridical.training.start import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run without conditions, and one that draws from label images."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_tiles(folder / "data", n=12, size=32, conditions=True)
    brief = {"size": 16, "batch": 4, "steps": 1, "quiet": True}
    train("random_phase", data, folder / "plain", **brief)
    train(
        "pix2pix",
        data,
        folder / "masks",
        **brief | {"size": 32},
        **{k: v for k, v in TOY["pix2pix"].items() if k != "classes"},
    )
    return folder


def content(folder):
    """All files; of the provenance what does not depend on the clock."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    record = json.loads(files.pop("provenance.json"))
    return files, {k: v for k, v in record.items() if k != "seconds_per_image"}


def stopping_at(monkeypatch, last, action=lambda: signal.raise_signal(signal.SIGTERM)):
    """Let sampling be stopped while it writes image `last`."""
    written = iter(range(10**6))
    original = samples.write_counts

    def write(*args, **how):
        if next(written) == last:
            action()
        original(*args, **how)

    monkeypatch.setattr(samples, "write_counts", write)


@pytest.mark.parametrize("name", ["plain", "masks"])
@settings(max_examples=4, deadline=None)
@given(stops=st.lists(st.integers(0, 9), max_size=3), batch=st.integers(1, 5))
def test_stopped_anywhere_it_ends_as_if_it_was_not(runs, tmp_path_factory, name, stops, batch):
    place = tmp_path_factory.mktemp("out")
    asked = {"n": 7, "seed": 3, "batch": batch, "quiet": True, "device": "cpu"}
    sample(runs / name, out=place / "whole", **asked)
    for last in stops:
        with pytest.MonkeyPatch.context() as patch:
            stopping_at(patch, last)
            try:
                sample(runs / name, out=place / "parts", **asked)
            except KeyboardInterrupt:
                files, record = content(place / "parts")
                assert {i["file"] for i in record["images"]} <= {f for f in files if "/" not in f}
                assert all(Image.open(place / "parts" / f).load() for f in files)
    sample(runs / name, out=place / "parts", **asked)
    assert content(place / "parts") == content(place / "whole")


def test_a_sudden_end_loses_no_image_and_is_gone_on_with(runs, tmp_path, monkeypatch):
    """Of what was drawn after the last record each file is drawn again and compared."""
    sample(runs / "plain", 5, tmp_path / "a", quiet=True)
    whole = content(tmp_path / "a")
    record = json.loads((tmp_path / "a" / "provenance.json").read_text())
    (tmp_path / "a" / "provenance.json").write_text(json.dumps(record | {"images": record["images"][:2]}))
    (tmp_path / "a" / record["images"][4]["file"]).unlink()
    sample(runs / "plain", 5, tmp_path / "a", quiet=True)
    assert content(tmp_path / "a") == whole
    monkeypatch.setattr(draw, "drawn", lambda *_: pytest.fail("drawn again"))
    sample(runs / "plain", 5, tmp_path / "a", quiet=True)


def test_each_image_says_inside_what_drew_it(runs, tmp_path):
    sample(runs / "plain", 2, tmp_path / "out", seed=7, quiet=True)
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    for entry in record["images"]:
        with Image.open(tmp_path / "out" / entry["file"]) as image:
            said = json.loads(image.text["veridical"])
            assert "/trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]
        assert said["synthetic"] and all(said[name] == record[name] for name in ("version", "checkpoint", "seed"))


def test_other_files_and_other_commands_are_left_alone(runs, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stopping_at(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            sample(runs / "plain", 5, tmp_path / "a", quiet=True)
    before = content(tmp_path / "a")
    for other in ({"n": 6}, {"seed": 1}, {"batch": 2}):
        with pytest.raises(InputError, match=f"drawn with another {next(iter(other))}"):
            sample(**{"run": runs / "plain", "n": 5, "out": tmp_path / "a", "quiet": True} | other)
    with pytest.raises(InputError, match=r"another (recipe|checkpoint)"):
        sample(runs / "masks", 5, tmp_path / "a", quiet=True)
    assert content(tmp_path / "a") == before
    mine = tmp_path / "a" / "random_phase_00003.png"
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(mine)
    kept = mine.read_bytes()
    with pytest.raises(InputError, match=r"random_phase_00003.png is there and is no image of this command"):
        sample(runs / "plain", 5, tmp_path / "a", quiet=True)
    assert mine.read_bytes() == kept


@pytest.mark.parametrize("text", ["", "[]", '{"images": 3}', '{"seed": NaN}', "[" * 100000])
def test_a_damaged_record_is_a_sentence(runs, tmp_path, text):
    sample(runs / "plain", 1, tmp_path / "a", quiet=True)
    (tmp_path / "a" / "provenance.json").write_text(text)
    with pytest.raises(InputError, match=r"provenance\.json"):
        sample(runs / "plain", 1, tmp_path / "a", quiet=True)


def test_a_full_disk_keeps_what_was_drawn(runs, tmp_path, monkeypatch):
    def full():
        raise InputError("full")

    with monkeypatch.context() as patch:
        stopping_at(patch, 2, full)
        with pytest.raises(InputError, match="full"):
            sample(runs / "plain", 5, tmp_path / "a", quiet=True)
    assert len(content(tmp_path / "a")[1]["images"]) == 2
    sample(runs / "plain", 5, tmp_path / "a", quiet=True)
    assert len(content(tmp_path / "a")[1]["images"]) == 5


def test_memory_does_not_grow_with_the_number_of_images(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "write_counts", lambda path, **_: path.touch())
    monkeypatch.setattr(samples.Samples, "_show", lambda self: None)
    peaks = []
    for n in (64, 64, 1024):
        tracemalloc.start()
        sample(runs / "plain", n, tmp_path / f"{n}-{len(peaks)}", batch=64, quiet=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 960 * 200, peaks  # an image has 1024 bytes as floats


class Meeting:
    """Processes that draw together, as threads of this one: what `World` does."""

    def __init__(self, size):
        self.barrier, self.said, self.local = threading.Barrier(size, timeout=60), {}, threading.local()
        self.size = size

    @property
    def rank(self):
        return self.local.rank

    def _together(self, numbers, how):
        self.said[self.rank] = numbers
        self.barrier.wait()
        found = [float(how(column)) for column in zip(*(self.said[k] for k in range(self.size)), strict=True)]
        self.barrier.wait()
        return found

    def largest(self, *numbers):
        return self._together(numbers, max)

    def total(self, *numbers):
        return self._together(numbers, sum)


def together(size, monkeypatch, *call, **asked):
    """Draw in so many threads; what each raised."""
    world, ends = Meeting(size), [None] * size
    monkeypatch.setattr(draw, "world_of", lambda device: world)

    def work(rank):
        world.local.rank = rank
        try:
            sample(*call, **asked)
        except BaseException as error:
            world.barrier.abort()
            ends[rank] = error

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


@pytest.mark.parametrize("name", ["plain", "masks"])
def test_several_processes_write_what_one_writes(runs, tmp_path, monkeypatch, name):
    asked = {"n": 11, "seed": 3, "batch": 2, "quiet": True, "device": "cpu"}
    sample(runs / name, out=tmp_path / "one", **asked)
    shares, original = [], draw.drawn
    monkeypatch.setattr(
        draw, "drawn", lambda run, numbers, *more: shares.append(numbers) or original(run, numbers, *more)
    )
    assert together(3, monkeypatch, runs / name, out=tmp_path / "three", **asked) == [None] * 3
    assert sorted(k for share in shares for k in share) == list(range(11))  # each image once
    assert content(tmp_path / "three") == content(tmp_path / "one")


def test_several_processes_go_on_where_others_stopped(runs, tmp_path, monkeypatch):
    asked = {"n": 11, "seed": 3, "batch": 2, "quiet": True, "device": "cpu"}
    sample(runs / "plain", out=tmp_path / "one", **asked)
    original, drawn = draw.drawn, []

    def some(run, numbers, *more):
        if numbers.start == 8:
            raise InputError("no more")
        drawn.append(numbers)
        return original(run, numbers, *more)

    monkeypatch.setattr(draw, "drawn", some)
    ends = together(2, monkeypatch, runs / "plain", out=tmp_path / "two", **asked)
    assert any("no more" in str(end) for end in ends)
    recorded = [json.loads(p.read_text())["images"] for p in (tmp_path / "two").glob("*.json")]
    assert len(recorded) == 2 and sum(map(len, recorded)) == sum(map(len, drawn)) == 9
    done = len(drawn)
    monkeypatch.setattr(
        draw, "drawn", lambda run, numbers, *more: drawn.append(numbers) or original(run, numbers, *more)
    )
    assert together(3, monkeypatch, runs / "plain", out=tmp_path / "two", **asked) == [None] * 3
    assert [numbers.start for numbers in drawn[done:]] == [8]
    assert content(tmp_path / "two") == content(tmp_path / "one")


@pytest.mark.long
def test_torchrun_draws_what_one_process_draws_after_a_kill_too(tmp_path):
    data = write_tiles(tmp_path / "data", n=12, size=32)
    widths = {k: v for k, v in TOY["edm"].items() if k != "classes"}
    train("edm", data, tmp_path / "run", size=16, batch=4, steps=2, quiet=True, **widths)
    command = [
        "-m",
        "veridical",
        "sample",
        str(tmp_path / "run"),
        "-n",
        "600",
        "--batch",
        "4",
        "--threads",
        "1",
        "--quiet",
    ]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]

    def start(more, out):
        words = [sys.executable, *more, *command, "--out", str(tmp_path / out)]
        return subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True)

    assert start([], "one").wait() == 0
    killed = start(torchrun, "two")
    while len(list((tmp_path / "two").glob("*.png"))) < 24:
        time.sleep(0.05)
        assert killed.poll() is None
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(list((tmp_path / "two").glob("*.png"))) < 160
    for left in (tmp_path / "two").glob(".*.png.*"):  # what was being written
        left.unlink()
    assert start(torchrun, "two").wait() == 0
    assert content(tmp_path / "two") == content(tmp_path / "one")
