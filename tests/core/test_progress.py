"""Progress where there is no terminal."""

from veridical.core import progress


def test_the_time_left_goes_by_what_is_done_now(monkeypatch, capsys):
    clock = iter([100.0, 140.0, 140.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Progress("train", done=0.5) as bar:
        bar.update(0.6)
    assert "train: 60 % after 40 s, 160 s left" in capsys.readouterr().err
