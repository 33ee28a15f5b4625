"""A folder of samples is written as images are drawn, and a stopped one ends as one that was not."""

import json
import signal
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
from veridical.training.loop import train


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
