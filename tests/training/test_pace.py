"""Time of a step, from a training of which nothing is kept."""

from toy import TOY, write_tiles
from veridical.training import pace


def test_the_time_of_a_step_is_that_of_a_training(tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "STEPS", 3)
    data = write_tiles(tmp_path / "tiles", n=8)
    small = {"size": 32, "batch": 4, "threads": 1, **TOY["vae"]}
    assert 0 < pace.seconds_a_step("vae", str(data), small) < 20
    assert [path.name for path in tmp_path.iterdir()] == ["tiles"]


def test_minutes_follow_from_the_steps_that_were_needed(monkeypatch):
    monkeypatch.setattr(pace, "seconds_a_step", lambda recipe, data, given: 0.5)
    (said,) = pace.forecast("data", 64, 1.0)
    assert "0.5 s a step" in said and "21 minutes for the 2,566 steps" in said and "40 for the 4,800" in said
