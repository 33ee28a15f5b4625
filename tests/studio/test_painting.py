"""Edits with a painted mask: written as the command writes them, with counts outside the mask kept."""

import functools
import io
import json
import shlex
import threading
import time

import httpx2
import numpy as np
import pytest
from PIL import Image

from serving import alpha_mask, listening
from toy import TOY, write_tiles
from veridical.core.progress import Progress
from veridical.studio import painting
from veridical.studio.app import app_of
from veridical.studio.house import House
from veridical.studio.place import Place
from veridical.training.start import train


@pytest.fixture(scope="session")
def painted(tmp_path_factory):
    """A folder with ``grey`` of 16 bits and the run ``edm`` of it."""
    folder = tmp_path_factory.mktemp("painted")
    data = write_tiles(folder / "grey", n=6, size=24, dtype="uint16")
    train("edm", data, folder / "edm", steps=1, size=16, batch=4, threads=1, quiet=True, **TOY["edm"])
    return folder


@pytest.fixture
def ask(painted):
    house = House(Place(painted), device="cpu")
    with listening(house, functools.partial(app_of, house)) as url:

        def call(path, status=200, **body):
            given = {"json": body}
            if "mask" in body:
                given = {"files": {"mask": body.pop("mask")}, "data": body}
            found = httpx2.post(f"{url}/api/{path}", timeout=60, **given)
            assert found.status_code == status, found.text
            if found.headers["content-type"] == "image/png":
                return found.content
            return found.json()["error"]["message"] if status >= 400 else found.json()

        yield call


def finished(ask, edit):
    for _ in range(300):
        job = ask("edits/state", edit=edit)
        if job["state"] in ("done", "failed", "stopped"):
            return job
        time.sleep(0.1)
    raise AssertionError("it did not end")


def test_an_edit_changes_what_was_painted_alone(painted, ask, run_command):
    assert ask("run", run="edm")["hows"] == ["inpaint", "sdedit"] and not ask("run", run="edm")["hears"]
    name = ask("images", images="grey")["names"][2]
    hole = np.zeros((24, 24), bool)
    hole[5:12, 3:9] = True
    asked = {"run": "edm", "images": "grey", "image": name, "how": "inpaint", "seed": 4}
    job = finished(ask, ask("edits/make", mask=alpha_mask(hole), **asked)["edit"])
    assert job["state"] == "done" and 0 < job["said"]["changed_share"] <= hole.mean()
    out = painted / "edits" / "0001" / "edited"
    after, before = (np.asarray(Image.open(path)) for path in (out / f"{name}.tif", painted / "grey" / f"{name}.png"))
    assert after.dtype == before.dtype == np.uint16 and (after != before)[hole].any() and (after == before)[~hole].all()
    assert json.loads((out / "provenance.json").read_text())["edit"] == "inpaint"
    size = [Image.open(io.BytesIO(ask("edits/picture", edit="0001", which=w))).size for w in ("before", "changed")]
    assert size == [(24, 24)] * 2
    command = shlex.split(job["command"])[1:]
    command[command.index("--out") + 1] = again = painted / "again"
    assert run_command(*command, "--device", "cpu", "--quiet")[0] == 0  # the same edit in a terminal
    np.testing.assert_array_equal(np.asarray(Image.open(again / f"{name}.tif")), after)


def test_a_result_is_shown_around_its_mask():
    mask = np.zeros((900, 500), bool)
    mask[880:890, 200:450] = True
    assert painting._around(mask) == (slice(708, 900), slice(168, 482))
    assert painting._around(mask[:, :100]) == (slice(0, 900), slice(0, 100))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "none"}, "has no image"), ({"run": "../x"}, "not in the folder"),
        ({"mask": alpha_mask(np.ones((9, 9), bool))},
         "9x9"),
        ({"mask": alpha_mask(np.zeros((24, 24), bool))}, "marks no pixel"), ({"mask": b"x"}, "no PNG"), ({"more": "1"}, "more"),
    ],
)  # fmt: skip
def test_what_cannot_be_painted_is_said(painted, ask, change, said):
    before = list((painted / "edits").glob("*")) if (painted / "edits").exists() else []
    hole = np.eye(24, dtype=bool)
    name = ask("images", images="grey")["names"][0]
    asked = {"run": "edm", "images": "grey", "image": name, "how": "inpaint", "mask": alpha_mask(hole)}
    assert said in ask("edits/make", 400, **(asked | change))
    assert before == (list((painted / "edits").glob("*")) if (painted / "edits").exists() else [])


def test_an_edit_that_fails_says_why_and_leaves_nothing(painted, ask):
    asked = {"run": "edm", "images": "grey", "image": ask("images", images="grey")["names"][0], "how": "diffedit"}
    made = ask("edits/make", mask=alpha_mask(np.eye(24, dtype=bool)), **asked)["edit"]
    job = finished(ask, made)
    assert job["state"] == "failed" and "prompt" in job["error"] and not (painted / "edits" / made).exists()


def test_an_edit_is_stopped_at_work_or_before_its_turn_and_leaves_nothing(painted, ask, monkeypatch):
    begun = threading.Event()

    def slow(run, images, out, how, **_):
        out.mkdir()
        with Progress("edit", quiet=True) as bar:
            for k in range(1200):
                bar.update(0.5 + k / 2400)
                begun.set()
                time.sleep(0.05)

    monkeypatch.setattr(painting, "edit", slow)
    asked = {"run": "edm", "images": "grey", "image": ask("images", images="grey")["names"][0], "how": "inpaint"}
    first, second = (ask("edits/make", mask=alpha_mask(np.eye(24, dtype=bool)), **asked)["edit"] for _ in range(2))
    assert begun.wait(60)
    running = ask("edits/state", edit=first)
    assert running["state"] == "running" and running["share"] >= 0.5
    assert ask("edits/stop", edit=second)["state"] == "stopped"
    ask("edits/stop", edit=first)
    assert finished(ask, first)["state"] == "stopped"
    assert not (painted / "edits" / first).exists() and not (painted / "edits" / second).exists()
