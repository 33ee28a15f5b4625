"""The live page of a training: only this machine, only files of the run."""

import http.client
import json
import threading
import xml.etree.ElementTree as ET
from base64 import b64encode
from hashlib import sha256

import numpy as np
import pytest

from toy import TOY, write_tiles
from veridical import train as train_run
from veridical.core.errors import InputError
from veridical.core.lock import alone
from veridical.reporting import svg
from veridical.server.watch import POLICY, watching
from veridical.server.watched import Tail, at_work, page_of

SMALL = {"size": 32, "batch": 4, "threads": 1, "quiet": True, **TOY["dcgan"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watch")
    return train_run("dcgan", write_tiles(folder / "a & b", n=12), folder / "run", steps=4, preview_every=0, **SMALL)


@pytest.fixture
def server(run):
    with watching(run) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def get(server, path, host=None):
    connection = http.client.HTTPConnection(*server.server_address)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_the_page_shows_losses_pace_and_pictures(server, run):
    code, html, headers = get(server, "/")
    page = html.decode()
    assert code == 200 and "Done." in page and "step" in page and "Losses" in page and "a &amp; b" in page
    assert "Previews are not scored" in page and "http-equiv" not in page  # over: nothing to renew
    assert "script" not in page and headers["Content-Security-Policy"].startswith("default-src 'none'")
    for name in ("real.png", max(path.name for path in (run / "samples").glob("step_*"))):
        code, content, sent = get(server, f"/{name}")
        assert code == 200 and content.startswith(b"\x89PNG") and f'src="{name}"' in page
        assert (
            sent["Cache-Control"] == "no-store"
        )  # another run may be shown at the same port, with pictures of these names


@pytest.mark.parametrize(
    "path", ["/run.json", "/../run.json", "/samples/real.png", "/%2e%2e/run.json", "/model.safetensors"]
)
def test_nothing_else_is_given(server, path):
    assert get(server, path)[0] == 404


def test_only_this_machine_is_answered(server):
    assert server.server_address[0] == "127.0.0.1"
    assert get(server, "/", "attacker.example:80")[0] == 403
    assert get(server, "/", f"localhost:{server.server_address[1]}")[0] == 200


def test_what_is_no_run_and_a_taken_port_are_one_sentence(server, run, tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        watching(tmp_path)
    with pytest.raises(InputError, match="cannot be used"):
        watching(run, server.server_address[1])


def line(step, **more):
    return json.dumps({"step": step, "seconds": float(step), **more}) + "\n"


def test_a_log_is_read_as_it_grows_and_again_when_it_is_replaced(tmp_path):
    log = tmp_path / "log.jsonl"
    tail = Tail(log)
    tail.read()  # not there yet
    log.write_text("".join(line(k, loss={"a": 1.0}) for k in (1, 2, 3)) + '{"step": 4, "sec')
    tail.read()
    assert [step for step, _ in tail.times] == [1, 2, 3] and tail.pace() == pytest.approx(1.0)
    score = {"value": 0.5, "low": 0.4, "high": None, "error": 0.01, "n": 16}
    log.write_text(log.read_text()[: -len('{"step": 4, "sec')] + line(4, loss={"a": 0.5}) + line(4, score=score))
    tail.read()
    assert [step for step, _ in tail.times] == [1, 2, 3, 4] and tail.points[0].value == 0.5
    again = tmp_path / "again"  # as --resume does; it has grown longer than what was read
    again.write_text("".join(line(k, loss={"a": 1.0}) for k in (1, 2, 5, 6, 7, 8, 9)))
    again.replace(log)
    tail.read()
    assert [step for step, _ in tail.times] == [1, 2, 5, 6, 7, 8, 9] and not tail.points


def test_a_page_of_a_training_at_work(run, tmp_path):
    info = json.loads((run / "run.json").read_text())
    del info["sha256"]
    info |= {"finished": False, "config": info["config"] | {"steps": 100, "minutes": None}}
    info["best"] = {"metric": "kid_over_random_phase", "step": 40, "value": 0.5, "low": 0.4, "high": 0.6, "error": 0.05,
                    "smoothed": 0.5, "n": 64, "tiles": 200}  # fmt: skip
    work = tmp_path / "run"
    work.mkdir()
    (work / "run.json").write_text(json.dumps(info))
    log = [line(k, loss={"part": 1 / k}) for k in range(1, 51)]
    for k, value in ((20, 0.9), (30, 0.7), (40, 0.5)):
        log.append(line(k, score={"value": value, "low": value - 0.1, "high": value + 0.1, "error": 0.02, "n": 64}))
    (work / "log.jsonl").write_text("".join(log))
    with alone(work, "training"):  # which draws a preview, perhaps, and steps are not
        html = page_of(work, Tail(work / "log.jsonl"))
    assert "At work." in html and 'value="50"' in html and 'data-every="10"' in html
    before, _, after = html.partition('<noscript><meta http-equiv="refresh" content="10"></noscript>')
    assert after and "http-equiv" not in before + after
    script = after.split("<script>")[1].split("</script>")[0]
    assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in POLICY
    assert "Distance to real 0.50 [0.40, 0.60], still falling" in html and "step 40, 0.50" in html
    assert "0:50 min" in html and "<dt>time left</dt><dd>0:50 min</dd>" in html
    html = page_of(work, Tail(work / "log.jsonl"))
    assert "Stopped" in html and "run --resume" in html


def test_a_stage_is_shown_while_it_is_trained(tmp_path):
    assert at_work(tmp_path) == tmp_path
    stage = tmp_path / "first"
    stage.mkdir()
    (stage / "run.json").write_text("{}")
    assert at_work(tmp_path) == stage


def test_curves_are_well_formed_and_run_where_the_numbers_do():
    x = np.arange(5.0)
    text = svg.curves(
        {"a<b": (x, 4 - x), "c": (x, np.array([1, np.nan, 2, 3, 4.0]))}, 'said "so"', band=(3 - x, 5 - x), level=1.0
    )
    root = ET.fromstring(text)
    lines = [element.get("points").split() for element in root.iter() if element.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [5, 4]
    heights = [float(point.split(",")[1]) for point in lines[0]]
    assert heights == sorted(heights)  # the numbers fall: down the page
    assert svg.curves({"a": (x, np.full(5, np.nan))}, "nothing") == ""
    assert ET.fromstring(svg.curves({"a": (x, 10.0**-x)}, "log", log=True)) is not None
    near = svg.curves({"a": (x, np.linspace(0.25, 0.45, 5))}, "no power of ten, nor 2 or 5 of one", log=True)
    assert ">0.3<" in near and ">0.4<" in near
    long, thin = np.arange(1000.0), svg.thinned(np.arange(1000.0), np.arange(1000.0) % 2)
    assert len(thin[0]) == 300 and thin[1].mean() == pytest.approx(0.5, abs=0.02) and thin[0][0] < long[10]
