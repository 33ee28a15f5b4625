"""Progress where there is no terminal."""

from veridical.core import progress
from veridical.phantoms import generate


def test_the_time_left_goes_by_what_is_done_now(monkeypatch, capsys):
    clock = iter([100.0, 140.0, 140.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Progress("train", done=0.5) as bar:
        bar.update(0.6)
    assert "train: 60 % after 40 s, 160 s left" in capsys.readouterr().err


def test_the_first_line_comes_soon_and_the_next_in_their_time(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 3.0, 3.0, 20.0, 34.0, 34.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    bar = progress.Progress("train", every=30)
    for share in (0.1, 0.2, 0.3, 0.4):
        bar.update(share)
    assert [line[:21] for line in capsys.readouterr().err.splitlines()] == [
        "train: 20 % after 3 s",
        "train: 40 % after 34 ",
    ]


def test_the_last_word_is_said_at_once(capsys):
    bar = progress.Progress("train")
    bar.update(0.25, "step 1")
    bar.update(0.25, "stopped at step 1", last=True)
    assert capsys.readouterr().err == "train: 25 % after 0 s  stopped at step 1\n"


def test_the_environment_says_how_often(monkeypatch, capsys):
    clock = iter([0.0, 3.0, 3.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setenv(progress.EVERY, "2")
    progress.Progress("train").update(0.5)
    assert "train: 50 % after 3 s" in capsys.readouterr().err
    monkeypatch.setenv(progress.EVERY, "often")
    assert progress._seconds() == 30


def test_what_a_function_has_reached_is_heard_by_its_caller_alone():
    heard = []
    with progress.hearing(lambda share, note: heard.append((share, note))):
        generate("cmc", 2, 32)
    generate("cmc", 1, 32)
    assert heard == [(0.5, "2 cmc phantoms are drawn"), (1.0, "2 cmc phantoms are drawn")]


def test_a_bar_comes_for_what_is_slow_only(monkeypatch, capsys):
    for slow, said in ((0.0, "x: 100 % after"), (1e9, "")):
        monkeypatch.setattr(progress, "SOON", slow - 1)
        with progress.bar_if_slow():
            progress.reached(0.5, "x")
            progress.reached(1.0, "x")
        err = capsys.readouterr().err
        assert said in err and bool(said) == bool(err)


def test_what_shows_progress_tells_its_caller_who_can_end_it():
    heard = []
    with progress.hearing(lambda share, note: heard.append(share)), progress.Progress("edit", quiet=True) as bar:
        bar.update(0.25)
    bar = progress.Progress("edit", quiet=True)
    with progress.hearing(lambda share, note: heard.append(share)):
        bar.update(0.5)  # its own is outside
    assert heard == [0.25]
