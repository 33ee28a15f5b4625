import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from veridical import phantoms
from veridical.core.errors import InputError
from veridical.phantoms import CHANGES, CmcOptions, cmc, drawing, pairing, rocks, roots, tomography
from veridical.phantoms.packing import smooth_noise
from veridical.wording import INSTRUCTIONS

ALL = [(kind, name) for kind in CHANGES for name in CHANGES[kind]]
OPTIONS = {"larger_fibres": CmcOptions(volume_fraction=(0.3, 0.4)), "longer_root": None}
# What each change does to the table of properties: above 0 more of it, below 0 less.
MEANT = {
    "add_crack": {"n_cracks": 1, "crack_fraction": 1, "n_fibres": 0, "binder_fraction": 0, "fibre_volume_fraction": 0},
    "remove_cracks": {"n_cracks": -1, "crack_fraction": -1, "n_fibres": 0, "binder_fraction": 0},
    "larger_fibres": {"fibre_volume_fraction": 1, "n_cracks": 0, "binder_fraction": 0},
    "smaller_fibres": {"fibre_volume_fraction": -1, "n_cracks": 0, "crack_fraction": 0},
    "fewer_fibres": {"n_fibres": -1, "fibre_volume_fraction": -1, "n_cracks": 0, "crack_fraction": 0},
    "more_fibres": {"n_fibres": 1, "fibre_volume_fraction": 1, "crack_fraction": 0, "binder_fraction": 0},
    "add_binder": {"binder_fraction": 1, "n_cracks": 0, "crack_fraction": 0},
    "remove_binder": {"binder_fraction": -1, "n_cracks": 0, "crack_fraction": 0, "n_fibres": 0},
    "more_pores": {"porosity": 1, "outside_fraction": 0},
    "fewer_pores": {"porosity": -1, "n_grains": 0, "outside_fraction": 0},
    "larger_grains": {"n_grains": -1, "outside_fraction": 0},
    "remove_grain": {"n_grains": -1, "porosity": 1, "outside_fraction": 0},
    "add_mineral": {"mineral_fraction": 1, "porosity": 0, "n_grains": 0},
    "remove_minerals": {"mineral_fraction": -1, "porosity": 0, "n_grains": 0},
    "add_laterals": {"n_laterals": 1, "lateral_length_px": 1, "main_length_px": 0},
    "remove_laterals": {"n_laterals": -1, "lateral_length_px": -1, "main_length_px": 0},
    "thicker_roots": {"mean_width_px": 1, "total_length_px": 0, "n_tips": 0},
    "thinner_roots": {"mean_width_px": -1, "total_length_px": 0, "n_tips": 0},
    "longer_root": {"main_length_px": 1, "n_laterals": 0, "n_main": 0},
    "shorter_root": {"main_length_px": -1, "n_laterals": 0, "n_main": 0},
}


@pytest.fixture(scope="module", params=ALL, ids=lambda pair: pair[1])
def made(request):
    kind, name = request.param
    return kind, name, phantoms.pairs(kind, name, 3, 64, seed=5, options=OPTIONS.get(name))


def test_nothing_else_changes_to_the_bit(made):
    pairs = made[2]
    for before, after, changed in zip(pairs.before, pairs.after, pairs.changed):
        assert np.array_equal(before[:, ~changed], after[:, ~changed])
        assert 0 < changed.mean() < 1 and (before != after).any(0).sum() > 20
    assert np.array_equal(pairs.before_masks[~pairs.changed], pairs.after_masks[~pairs.changed])
    assert pairs.after.dtype == np.float32 and pairs.after.min() >= 0 and pairs.after.max() <= 1


def test_the_table_of_properties_changes_as_the_instruction_says(made):
    _, name, pairs = made
    for before, after in zip(pairs.before_properties, pairs.after_properties):
        for key, sign in MEANT[name].items():
            assert np.sign(round(after[key] - before[key], 9)) == sign, (key, before[key], after[key])


def test_before_is_the_phantom_of_the_seed_whatever_n(made):
    kind, name, pairs = made
    plain = phantoms.generate(kind, pairs.numbers[0] + 1, 64, seed=5, options=OPTIONS.get(name))
    assert np.array_equal(plain.images[-1], pairs.before[0]) and np.array_equal(plain.masks[-1], pairs.before_masks[0])
    assert plain.properties[-1] == pairs.before_properties[0]
    first = phantoms.pairs(
        kind, name, 1, 64, seed=5, options=OPTIONS.get(name), workers=2 if name == "add_crack" else 1
    )
    assert np.array_equal(first.after[0], pairs.after[0]) and first.instructions == pairs.instructions[:1]
    assert all(text in texts for text, texts in zip(pairs.instructions, pairs.paraphrases))
    assert len(pairs.paraphrases) == 3 and len(pairs.paraphrases[0]) == len(INSTRUCTIONS[name])


def test_what_changed_fades_before_the_edge_of_the_region(monkeypatch):
    """The scan of the after-image without pasting differs from the pasted one by less than the noise."""
    for kind, name in (
        ("cmc", "add_crack"),
        ("cmc", "smaller_fibres"),
        ("rocks", "add_mineral"),
        ("rocks", "more_pores"),
    ):
        pairs = phantoms.pairs(kind, name, 2, 96, seed=2)
        with monkeypatch.context() as patch:
            patch.setattr(pairing, "_region", lambda before, after: np.ones(before.mask.shape, bool))
            whole = phantoms.pairs(kind, name, 2, 96, seed=2)
        for a, b, before, changed in zip(pairs.after, whole.after, pairs.before, pairs.changed):
            noise = np.std(np.diff(ndimage.gaussian_filter(before[0], 0) - ndimage.gaussian_filter(before[0], 1)))
            assert np.abs(a - b).max() <= 0.05 and (a - b)[:, ~changed].std() < 0.2 * noise


def test_a_change_is_scanned_as_the_whole_slice_would_be():
    rng = np.random.default_rng(0)
    image = 0.4 + 0.05 * smooth_noise(rng, 64, 3)
    other = image.copy()
    other[20:30, 30:34] -= 0.2
    settings = tomography.Scan(photons=1e13, gain_std=0.0, phase=3.0, axis=(20.0, 90.0))
    first, second = (tomography.scan(x, np.random.default_rng(1), settings) for x in (image, other))
    changed = first + tomography.scan_change(other - image, settings)
    assert (changed - second).std() < 1.5e-3 and np.abs(
        changed - second
    ).max() < 6e-3  # its surrounding is lighter, too
    assert np.abs(first - second).max() > 0.05


def test_two_instructions_at_once(tmp_path):
    pairs = phantoms.pairs("cmc", "add_crack+remove_binder", 2, 64, seed=5)
    assert "Add a crack and remove the binder." in pairs.paraphrases[0]
    for before, after in zip(pairs.before_properties, pairs.after_properties):
        assert after["n_cracks"] == before["n_cracks"] + 1 and after["binder_fraction"] == 0 < before["binder_fraction"]
    phantoms.write_pairs(tmp_path / "set", pairs)
    rows = [json.loads(line) for line in (tmp_path / "set" / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert (
        len(rows) == 2 and rows[1]["phantom"] == pairs.numbers[1] and rows[0]["instruction"] in rows[0]["instructions"]
    )
    changes = {change["property"]: change for change in rows[0]["changes"]}
    assert changes["binder_fraction"]["after"] == 0 and "std_diameter_px" not in changes
    read = [np.asarray(Image.open(tmp_path / "set" / rows[0][place])) for place in ("before", "after", "changed")]
    assert read[0].dtype == np.uint16 and set(np.unique(read[2])) == {0, 255}
    assert np.array_equal(read[0][read[2] == 0], read[1][read[2] == 0])
    for place in ("before_masks", "after_masks"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "set" / place / "0000.png")), getattr(pairs, place)[0])


def test_several_kinds_take_turns_and_share_no_phantom():
    mixed = phantoms.pairs("cmc", "add_crack,remove_binder", 5, 64, seed=5)
    crack, binder = "Add a crack.", "Remove the binder."
    assert [texts[0] for texts in mixed.paraphrases] == [crack, binder, crack, binder, crack]
    assert all(number % 2 == k % 2 for k, number in enumerate(mixed.numbers)) and len(set(mixed.numbers)) == 5
    fewer = phantoms.pairs("cmc", "add_crack,remove_binder", 2, 64, seed=5)
    assert np.array_equal(fewer.after, mixed.after[:2])
    some = phantoms.pairs("roots", "all", 2, 64, seed=5)
    assert [texts[0] for texts in some.paraphrases] == ["Add laterals.", "Remove the laterals."]


def test_fibres_stay_apart_and_whole():
    for name in ("more_fibres", "larger_fibres", "fewer_fibres", "smaller_fibres"):
        pairs = phantoms.pairs("cmc", name, 2, 96, seed=1, options=CmcOptions(volume_fraction=(0.3, 0.45)))
        for mask, row in zip(pairs.after_masks, pairs.after_properties):
            assert ndimage.label(mask == cmc.LABELS["fibre"])[1] == pytest.approx(row["n_fibres"], abs=1)


def test_grains_stay_apart():
    for name in CHANGES["rocks"]:
        pairs = phantoms.pairs("rocks", name, 2, 96, seed=1)
        for mask, row in zip(pairs.after_masks, pairs.after_properties):
            solid = (mask == rocks.LABELS["grain"]) | (mask == rocks.LABELS["mineral"])
            assert ndimage.label(solid)[1] == row["n_grains"]


def test_roots_that_stay_are_where_they_were():
    pairs = phantoms.pairs("roots", "remove_laterals", 2, 96, seed=1)
    main = roots.LABELS["main"]
    assert np.array_equal(pairs.before_masks == main, pairs.after_masks == main)
    assert not (pairs.after_masks == roots.LABELS["lateral"]).any()


def test_structures_are_seen_in_the_same_light():
    structure, rng = drawing.draw_structure("rocks", 48, 3, phantoms.RocksOptions(), 0)
    first, second = drawing.views("rocks", rng, [structure, structure], phantoms.RocksOptions())
    assert np.array_equal(first.image, second.image)


def test_refuses_bad_requests():
    with pytest.raises(InputError, match="have no change 'add_cracks': choose from add_crack, remove_cracks"):
        phantoms.pairs("cmc", "add_cracks", 1)
    with pytest.raises(InputError, match="no phantom 'rock'"):
        phantoms.pairs("rock", "more_pores", 1)
    with pytest.raises(InputError, match="n >= 1"):
        phantoms.pairs("cmc", "add_crack", 0)
    with pytest.raises(InputError, match="only 0 of 50 allow remove_cracks"):
        phantoms.pairs("cmc", "remove_cracks", 1, 32, options=CmcOptions(cracks=0))


def test_all_leaves_out_what_hardly_any_phantom_allows(caplog):
    dense = CmcOptions(volume_fraction=0.64, cracks=(0, 3), binder=0.5)
    pairs = phantoms.pairs("cmc", "all", 7, 48, options=dense)
    assert "larger_fibres left out" in caplog.text and len(set(pairs.instructions)) >= 6
    assert not any("larger" in text for texts in pairs.paraphrases for text in texts)
