"""Commands that the studio runs, how far they are, and their end; a small program stands for the command line."""

import functools
import json
import signal
import sys
import time
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from serving import listening
from veridical.core.errors import InputError
from veridical.core.lock import alone, is_held
from veridical.studio import work as studio_work
from veridical.studio.app import SHOWN, app_of
from veridical.studio.house import House
from veridical.studio.place import Place
from veridical.studio.work import Work, command

PROGRAM = """
import sys, time
words = sys.argv[1:]
if words[0] == "fail":
    sys.exit(print("note: x\\nveridical: there is no such thing: give another.", file=sys.stderr) or 2)
print(f"{words[0]}: 41 % after 3 s, 4 s left  step 7", file=sys.stderr, flush=True)
if words[0] == "train" or "--wait" in words:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)
print("verdict: pass")
sys.exit(4 if words[0] == "audit" else 0)
"""


@pytest.fixture
def program(monkeypatch, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    monkeypatch.setattr(studio_work, "PROGRAM", (sys.executable, "-I", "-S", str(path)))


@pytest.fixture
def house(folder, program):
    house = House(Place(folder), device="cpu")
    yield house
    house.end()


@pytest.fixture
def ask(house):
    with listening(house, functools.partial(app_of, house)) as url:

        def call(path, status=200, **body):
            found = httpx2.post(f"{url}/api/{path}", json=body, timeout=60)
            assert found.status_code == status, found.text
            if found.headers["content-type"] == "image/png":
                return found.content
            return found.json()["error"]["message"] if status >= 400 else found.json()

        call.url = url
        yield call


def until(state, wanted):
    for _ in range(600):
        now = state()
        if wanted(now):
            return now
        time.sleep(0.02)
    raise AssertionError(now)


def over(state):
    return until(state, lambda now: now["state"] != "running")


def test_words_of_users_are_no_flags():
    words = command(
        "sample", ["--out=x", "phantom:a"], n=3, prompt="-p", seed=0, best=True, size=None, label="", scale=0.5
    )
    assert words == [
        "sample",
        "./--out=x",
        "phantom:a",
        "-n",
        "3",
        "--prompt=-p",
        "--seed",
        "0",
        "--best",
        "--scale",
        "0.5",
    ]


def test_a_command_says_how_far_it_is_and_ends(program):
    work = Work()
    for kind, words, state in (("audit", ["audit", "a b"], "done"), ("data", ["fail"], "failed")):
        one = work.found(work.start(kind, words, "x"))
        assert over(one.state)["state"] == state
        assert one.state()["error"] == ("" if state == "done" else "there is no such thing: give another.")
    first = work.states()[0]
    assert (
        first["command"] == "veridical audit 'a b'" and first["share"] == 0.41 and first["printed"] == "verdict: pass"
    )
    with pytest.raises(InputError, match="no command number 9"):
        work.found("9")


def test_one_training_and_one_other_command_at_a_time_and_all_stop_with_the_studio(program):
    work = Work()
    training, drawing = (work.start(kind, [kind, "--wait"], f"x/{kind}") for kind in ("train", "samples"))
    for kind, said in (("train", "a training"), ("audit", "a drawing of samples")):
        with pytest.raises(InputError, match=f"{said} is at work here"):
            work.start(kind, [kind], "y")
    assert work.training("x/train") == training
    until(work.found(training).state, lambda now: now["share"])
    work.found(training).stop()
    assert over(work.found(training).state)["state"] == "stopped"
    assert work.training("x/train") is None
    until(work.found(drawing).state, lambda now: now["share"])
    work.end()
    assert [one["state"] for one in work.states()] == ["stopped"] * 2


def test_commands_stop_where_the_studio_was_begun_in_the_background(program):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for `veridical studio &`
    try:
        work = Work()
        one = work.found(work.start("train", ["train"], "x"))
        until(one.state, lambda now: now["share"])
        one.stop()
        assert over(one.state)["state"] == "stopped"
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_page_starts_what_the_command_line_does(folder, ask):
    ask("train/start", recipe="cgan", data="real", name="a", minutes=2.5, label="folder", bins=3, size=16, hold_out=4)
    state = until(lambda: ask("commands/state", work="1"), lambda now: now["share"])
    assert state["about"] == "runs/a" and state["command"] == (
        f"veridical train cgan {folder}/real --out {folder}/runs/a --minutes 2.5 --size 16 --scale 1 --hold-out 4 --seed 0 "
        "--label folder --bins 3 --device cpu"
    )
    assert ask("found")["work"][0]["state"] == "running"  # a page that is loaded again finds it
    assert "a training is at work" in ask("train/start", 400, recipe="edm", data="real", name="b", minutes=1)
    assert ask("watch", run="runs/a") == {"work": "1", "at_work": True}
    ask("commands/stop", work="1")
    assert over(lambda: ask("commands/state", work="1"))["state"] == "stopped"
    again = ask("train/resume", run="runs/a")["work"]  # it was stopped before there was a run
    assert ask("commands/state", work=again)["command"] == f"{state['command']} --resume"
    ask("commands/stop", work=again)
    audit = ask("audit/start", real="real", synth="synth", name="b")["work"]
    assert over(lambda: ask("commands/state", work=audit))["command"] == (
        f"veridical audit {folder}/real {folder}/synth --json {folder}/audits/b/audit.json --html {folder}/audits/b/audit.html"
    )
    score = ask("score/start", real="real", synth="synth")["work"]
    assert over(lambda: ask("commands/state", work=score))["command"] == f"veridical score {folder}/real {folder}/synth"


def run_of(folder, **more):
    """What `veridical train` writes, as far as a list of runs reads it."""
    folder.mkdir(parents=True)
    (folder / "log.jsonl").touch()
    (folder / "run.json").write_text(json.dumps({"recipe": "edm", "finished": False, **more}))
    return folder


def test_a_second_studio_sees_that_a_run_is_at_work(folder, ask):
    run = run_of(folder / "runs" / "a")
    with alone(run, "training"):
        assert is_held(run)
        assert [one["at_work"] for one in ask("found")["runs"]] == [True]
        assert "runs/a is being trained" in ask("train/start", 400, recipe="edm", data="real", name="b", minutes=1)
    assert not is_held(run) and not is_held(folder)
    assert ask("found")["runs"] == [
        {"name": "runs/a", "recipe": "edm", "finished": False, "at_work": False, "needs": [], "draws": True}
    ]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("data/look", {"data": "../x"}, "not in the folder"),
        ("train/start", {"recipe": "none", "data": "real", "name": "a", "minutes": 1}, "none"),
        ("train/start", {"recipe": "cgan", "data": "real", "name": "a", "minutes": 1}, "needs a label"),
        ("train/start", {"recipe": "edm", "data": "/etc", "name": "a", "minutes": 1}, "not in the folder"),
        ("train/start", {"recipe": "edm", "data": "real", "name": "../a", "minutes": 1}, "no name of a folder"),
        ("train/start", {"recipe": "edm", "data": "real", "name": "a", "minutes": 1, "split": "/etc/x"}, "split"),
        ("train/resume", {"run": "../runs/a"}, "not in the folder"),
        ("samples/draw", {"run": "real", "name": "a"}, "is not a run"),
        ("samples/draw", {"run": "/etc", "name": "a"}, "not in the folder"),
        ("samples/grid", {"images": "real"}, "no samples"),
        ("watch/picture", {"run": "real", "picture": "../../x.png"}, "no picture"),
        ("audit/start", {"real": "real", "synth": "../x", "name": "a"}, "not in the folder"),
        ("score/start", {"real": "/etc", "synth": "synth"}, "not in the folder"),
        ("pages/open", {"page": "secret.html"}, "no page of an audit"),
        ("data/preview", {"work": "7"}, "no command number 7"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_nothing_is_run(folder, ask, path, body, said):
    (folder / "secret.html").write_text("<p>something else</p>")
    assert said in ask(path, 400, **body)
    assert not ask("found")["work"] and not (folder / "runs").exists() and not (folder / "audits").exists()


def test_prompts_and_labels_name_no_files(folder, ask, monkeypatch):
    monkeypatch.setattr("veridical.studio.workshop.read_run", lambda path: None)
    for name in ("prompt", "label"):
        assert "for the terminal" in ask("samples/draw", 400, run="real", name="a", **{name: " @/etc/passwd"})


def test_pages_of_results_are_shown_by_tickets_and_run_nothing(folder):
    page = folder / "audits" / "a" / "audit.html"
    page.parent.mkdir(parents=True)
    page.write_text('<html><meta name="generator" content="veridical 0"><title>Audit: pass</title>')
    (folder / "report.html").write_text('<html><meta name="generator" content="veridical 0"><title>Fibres</title>')
    house = House(Place(folder), b"a-token-of-some-length")
    headers = {"Authorization": "Bearer a-token-of-some-length"}
    with listening(house, functools.partial(app_of, house)) as url:
        found = httpx2.post(f"{url}/api/found", headers=headers).json()
        assert found["audits"] == ["audits/a/audit.html"] and found["reports"] == ["report.html"]
        asked = httpx2.post(f"{url}/api/pages/open", headers=headers, json={"page": "audits/a/audit.html"})
        answer = httpx2.get(url + asked.json()["address"])  # a frame sends no token
        assert answer.content == page.read_bytes() and answer.headers["content-security-policy"] == SHOWN
        assert httpx2.get(f"{url}/page/another").status_code == 401


def test_samples_that_were_drawn_are_found_and_shown(folder, ask):
    out = folder / "samples" / "a"
    out.mkdir(parents=True)
    for name in ("sample_0.png", "grid.png"):
        Image.new("L", (16, 16)).save(out / name)
    (out / "provenance.json").write_text("{}")
    assert ask("found")["samples"] == ["samples/a"]
    assert ask("samples/grid", images="samples/a") == Path(out / "grid.png").read_bytes()


def test_samples_are_audited_by_a_run_of_the_same_held_out_images(folder, ask):
    """Whatever run was chosen in another form."""
    for name, steps, fingerprint in (("a", 9, "other"), ("b", 9, "same"), ("c", 5, "same")):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        said = {"recipe": "edm", "dataset": {"fingerprint": fingerprint}, "cost": {"steps": steps}, "finished": True}
        (run / "run.json").write_text(json.dumps(said))
        (run / "log.jsonl").write_text("")
    for fingerprint, name in (("same", "runs/c"), ("gone", None)):
        said = {"recipe": "edm", "dataset": {"fingerprint": fingerprint}, "checkpoint": {"steps": 5}}
        (folder / "synth" / "provenance.json").write_text(json.dumps(said))
        assert ask("samples/run", images="synth") == {"run": name}
    assert ask("samples/run", images="real") == {"run": None}
    ask("samples/run", status=400, images="../elsewhere")
