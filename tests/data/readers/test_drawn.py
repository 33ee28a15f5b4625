"""Phantoms that took long to draw are kept, and come back as they were drawn."""

import numpy as np
import pytest

from veridical.data.readers import drawn as module
from veridical.data.readers.open import open_slices
from veridical.phantoms import parse_options


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "LEAST", 0.0)
    module.drawn.cache_clear()
    yield tmp_path / "veridical" / "phantoms"
    module.drawn.cache_clear()


@pytest.mark.parametrize(("kind", "changes"), [("roots", ""), ("rocks", "more_pores")])
def test_what_was_kept_comes_back_to_the_bit(kind, changes, kept, monkeypatch):
    asked = (kind, 2, 32, 3, parse_options(kind, {}), changes)
    first = module.drawn(*asked)
    assert len(list(kept.glob("*.bin"))) == 1
    module.drawn.cache_clear()
    monkeypatch.setattr(module, "_draw", lambda *asked: pytest.fail("drawn again"))
    again = module.drawn(*asked)
    for name in ("images", "masks", "before"):
        a, b = getattr(first, name), getattr(again, name)
        assert (a is None and b is None) or (np.array_equal(a, b) and a.dtype == b.dtype)
    assert again.properties == first.properties and again.captions == first.captions


def test_other_phantoms_damaged_files_and_other_code_are_drawn(kept, monkeypatch):
    slices = open_slices("phantom:cmc?n=1&size=32")
    image = slices.read(0)
    (file,) = kept.glob("*.bin")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    module.drawn.cache_clear()
    assert np.array_equal(open_slices("phantom:cmc?n=1&size=32").read(0), image)
    assert not np.array_equal(open_slices("phantom:cmc?n=1&size=32&seed=1").read(0), image)
    assert len(list(kept.glob("*.bin"))) == 2
    monkeypatch.setattr(module, "_code", lambda: "another")
    module.drawn.cache_clear()
    open_slices("phantom:cmc?n=1&size=32").read(0)
    assert len(list(kept.glob("*.bin"))) == 3


def test_short_draws_and_large_sets_are_not_kept_and_old_ones_make_room(kept, monkeypatch):
    for name, value in (("LEAST", 1e9), ("LARGEST", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            open_slices(f"phantom:cmc?n=1&size=32&seed={len(name)}").read(0)
        assert not kept.exists()
    monkeypatch.setattr(module, "LEAST", 0.0)
    monkeypatch.setattr(module, "MOST", 1)
    for seed in (1, 2):
        open_slices(f"phantom:cmc?n=1&size=32&seed={seed}").read(0)
    assert not list(kept.glob("*.bin"))


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, kept, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert open_slices("phantom:cmc?n=1&size=32").read(0).shape == (32, 32)
    assert "drawn again next time" in caplog.text


def test_a_cache_that_may_only_be_read_is_read(kept, monkeypatch):
    image = open_slices("phantom:cmc?n=1&size=32").read(0)
    module.drawn.cache_clear()

    def refused(self, *given):
        raise PermissionError(13, "not yours")

    monkeypatch.setattr("pathlib.Path.touch", refused)
    assert np.array_equal(open_slices("phantom:cmc?n=1&size=32").read(0), image)
