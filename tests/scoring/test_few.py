"""The few-label curve: which tiles, whose sets, what it says."""

import json

import numpy as np
import pytest

from veridical.core.errors import InputError
from veridical.data.images import save_png
from veridical.data.open import open_dataset
from veridical.data.readers.imagefile import read_image
from veridical.reporting.few import few_plot
from veridical.scoring import few as room
from veridical.scoring.few import few_labels, few_of, format_few


def pairs(n, seed=0, size=32):
    """Noisy discs, brighter than what is around them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre, radius = rng.uniform(8, 24, (n, 2, 1, 1)), rng.uniform(5, 10, (n, 1, 1))
    masks = (np.hypot(y - centre[:, 0], x - centre[:, 1]) < radius).astype(np.uint8)
    return np.clip(0.4 + 0.12 * masks + 0.08 * rng.standard_normal(masks.shape), 0, 1), masks


def folder(place, n, group, seed=0, unlabelled=()):
    (place / "masks").mkdir(parents=True)
    for k, (image, mask) in enumerate(zip(*pairs(n, seed), strict=True)):
        name = f"{group}{k // 4}_r0c{k % 4}.png"
        save_png(place / name, np.round(255 * image).astype(np.uint8))
        if k not in unlabelled:
            save_png(place / "masks" / name, 255 * mask)
    return place


@pytest.fixture
def sets(tmp_path):
    return folder(tmp_path / "real", 40, "a"), folder(tmp_path / "set-2", 24, "b", seed=5)


def test_numbers_and_sets_are_read():
    assert few_of("10,5", "drawn-{k}") == {5: "drawn-5", 10: "drawn-10"}
    assert few_of("5=a,10", None) == {5: "a", 10: None}
    assert few_of("5=a,10", "b") == {5: "a", 10: "b"}
    for bad in ("", "0", "5,5", "five", "5=", "-5"):
        with pytest.raises(InputError, match="--few"):
            few_of(bad, "set")
    with pytest.raises(InputError, match="no synthetic set"):
        few_of("5,10", None)


def test_pairs_that_contradict_the_labels_cost_what_the_rows_say(sets, tmp_path):
    real, made = sets
    for mask in (made / "masks").iterdir():
        save_png(mask, 255 - read_image(mask))
    said = []
    rows = few_labels(
        str(real), {1: str(made), 2: None}, size=32, seeds=2, steps=15, progress=lambda share, note: said.append(share)
    )
    found = {(r["settings"]["labels"], r["settings"]["class"], r["metric"]): r for r in rows}
    mean = found[1, None, "dice_both"]
    classes = [found[1, value, "dice_both"]["value"] for value in (0, 255)]
    assert mean["value"] == pytest.approx(np.mean(classes))
    gain = found[1, None, "dice_both_minus_real"]
    assert gain["value"] == pytest.approx(mean["value"] - found[1, None, "dice_real"]["value"])
    assert gain["value"] < -0.1 and gain["low"] is not None
    twice = found[1, None, "dice_both_minus_twice"]
    assert twice["value"] == pytest.approx(mean["value"] - found[2, None, "dice_real"]["value"])
    assert (2, None, "dice_both") not in found
    limited = open_dataset(real, 32, masks=True, limit=1)
    names = [f"{limited.slices.names[i]}_y{y}x{x}" for i, y, x in limited.chosen("train", None)[0].tolist()]
    assert mean["settings"]["tiles"] == names
    assert said == sorted(said) and said[-1] == 1.0
    assert len(format_few(rows).rows) == 6
    few_plot(tmp_path / "few.png", rows)
    assert (tmp_path / "few.png").stat().st_size > 1000


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(room, "one_network", lambda data, k, test, more, steps, seed: np.ones((2, len(test[0]), 2)))


def reasons(rows):
    return {row["reason"] for row in rows}


def test_a_set_that_knows_more_labels_is_said(sets, fast):
    real, made = (str(place) for place in sets)
    assert reasons(few_labels(real, {2: made}, size=32, seeds=2)) == {None}
    assert all("serves for several" in said for said in reasons(few_labels(real, {2: made, 4: made}, size=32, seeds=2)))
    for number, why in (({}, "all labelled tiles, not on 2"), ({"label_tiles": 8}, "8 labelled"), ({"limit": 2}, None)):
        (sets[1] / "provenance.json").write_text(json.dumps({"dataset": {"spec": "a", **number}}))
        (said,) = reasons(few_labels(real, {2: made}, size=32, seeds=2))
        assert (said is None) if why is None else why in said


def test_held_out_images_among_the_synthetic_ones_are_said(sets, fast):
    real = str(sets[0])
    assert all("has seen the answer" in said for said in reasons(few_labels(real, {2: real}, size=32, seeds=2)))


def test_of_one_held_out_slice_its_tiles_are_resampled(tmp_path, fast):
    (tmp_path / "real").mkdir()
    folder(tmp_path / "real" / "train", 8, "a")
    folder(tmp_path / "real" / "test", 4, "z")
    made = folder(tmp_path / "made", 8, "b", seed=5)
    assert all("one slice" in said for said in reasons(few_labels(str(tmp_path / "real"), {2: str(made)}, size=32)))


def test_what_cannot_be_is_refused(sets, tmp_path, fast):
    real, made = (str(place) for place in sets)
    with pytest.raises(InputError, match="99 labelled tiles cannot be"):
        few_labels(real, {99: made}, size=32)
    with pytest.raises(InputError, match="seed"):
        few_labels(real, {2: made}, size=32, seeds=1)
    bare = folder(tmp_path / "bare", 40, "a", unlabelled=range(30, 40))
    with pytest.raises(InputError, match="no held-out image has a label image"):
        few_labels(str(bare), {2: made}, size=32)
