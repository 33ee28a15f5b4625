"""The audit as a whole: real images pass, planted defects fail under their names, bad input is refused."""

import json
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from toy import texture
from veridical import cli
from veridical.auditing import case, set_scores, set_tests
from veridical.auditing.defects import DEFECTS, plant, plants, scores
from veridical.auditing.evidence import WORDS
from veridical.auditing.independence import choose_units
from veridical.auditing.inputs import open_sides
from veridical.auditing.judge import pair_findings
from veridical.auditing.measure import Segmentation, fit_segmentation
from veridical.auditing.verdict import audit
from veridical.core.errors import InputError


@pytest.fixture(scope="module")
def real():
    return texture(48)


@pytest.fixture(scope="module")
def held_out():
    return texture(16, seed=1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Keeps what is measured on `real`."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def passed(real, held_out, cache):
    return audit(real, held_out, cache=cache)


def first(report):
    return report["findings"][0]["defect"]


# ----------------------------------------------------------------------------------------------------------- verdicts


def test_held_out_real_images_pass(passed):
    assert passed["verdict"] == "pass" and passed["findings"] == []
    assert passed["n_real"] == 48 and passed["n_synth"] == 16 and passed["schema"] == 1
    assert sum(image["verdict"] == "fail" for image in passed["images"]) <= 3


def test_a_pass_says_what_would_have_been_caught(passed):
    rows = {row["defect"]: row for row in passed["power"]}
    assert rows["blur"]["severity"] in DEFECTS["blur"].plant.severities
    assert rows["checkerboard"]["severity"] is not None
    assert rows["memorised"]["severity"] is not None and rows["memorised"]["level"] == "set"


def test_planted_defects_fail_under_their_names(real, held_out, tmp_path, cache):
    """Four defects at middle severity, four images each."""
    planted = ["blur", "checkerboard", "stylised", "colour_in_grey"]
    images = np.concatenate([
        np.broadcast_to(plant(name, held_out[4 * k : 4 * k + 4], DEFECTS[name].plant.severities[1]), (4, 3, 48, 48))
        for k, name in enumerate(planted)
    ])  # fmt: skip
    report = audit(real, images, pictures=tmp_path, cache=cache)
    assert report["verdict"] == "fail" and first(report) == "colour_in_grey"
    named = [image["findings"][0]["defect"] if image["findings"] else "" for image in report["images"]]
    right = [name == planted[k // 4] for k, name in enumerate(named)]
    assert sum(right) >= 14, named
    assert (tmp_path / report["evidence"]["file"]).is_file() and len(report["evidence"]["images"]) == 8
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("defect", ["periodic", "shading"])
def test_sets_that_wrap_around_or_are_darker_at_the_corners_fail(real, held_out, cache, defect):
    images = plant(defect, held_out, DEFECTS[defect].plant.severities[1])
    assert first(audit(real, images, power=False, cache=cache)) == defect


def test_copies_and_files_of_the_real_set_are_named(real, cache):
    turned = np.ascontiguousarray(real[:12, :, ::-1] * 0.9 + 0.03)
    report = audit(real, np.concatenate([turned, real[20:24]]), power=False, cache=cache)
    assert report["verdict"] == "fail" and "memorised" in {f["defect"] for f in report["findings"]}
    assert first(report) == "copied" and "4 of 16" in report["findings"][0]["explanation"]
    assert sum(image["findings"][0]["defect"] == "copied" for image in report["images"] if image["findings"]) >= 15


@pytest.mark.parametrize("defect", ["implausible_structure", "property_shift"])
def test_sets_are_called_by_what_explains_them_best(real, held_out, cache, defect):
    """Tearing and magnifying change the noise, too."""
    images = plant(defect, held_out, DEFECTS[defect].plant.severities[1])
    assert first(audit(real, images, power=False, cache=cache)) == defect


def test_few_kinds_of_images_are_no_copies_of_each_other_but_copies_are(real, held_out, cache):
    pool = texture(150, seed=7)
    bright = pool[np.argsort(-pool.mean((1, 2, 3)))[:16]]
    found = audit(real, bright, power=False, cache=cache)["findings"]
    assert "mode_collapse" not in [f["defect"] for f in found[:1]]
    noise = 0.002 * np.random.default_rng(0).standard_normal(held_out.shape).astype(np.float32)
    one = np.clip(held_out[:1] + noise, 0, 1)
    for copies in (plant("mode_collapse", held_out, 0.6), one):
        assert first(audit(real, copies, power=False, cache=cache)) == "mode_collapse"


def test_copies_are_told_from_images_of_nothing_by_their_contrast():
    def crowded(nearest, contrast):
        usual = {"nearest_fellow": np.array([10.0, 12.0, np.nan]), "contrast": np.ones(3)}
        return set_scores.crowded({"nearest_fellow": nearest, "contrast": np.full(len(nearest), contrast)}, usual)

    assert crowded(np.zeros(16), 1.0)  # all are copies of one
    assert crowded(np.array([1.0, 1.0, 11.0, 11.0]), 3.0)
    assert not crowded(np.full(16, 9.0), 1.0)
    assert not crowded(np.full(16, 1.0), 0.1)


def test_images_of_nothing_are_near_to_each_other_but_no_copies(real, held_out, cache):
    assert first(audit(real, plant("blank", held_out, 0.9), power=False, cache=cache)) == "blank"


def test_real_images_are_measured_once_and_copies_are_not_searched_for_again(
    real, held_out, passed, cache, monkeypatch
):
    from veridical.auditing import measure
    from veridical.metrics import novelty

    measured = []
    plain = measure._measure
    monkeypatch.setattr(measure, "_measure", lambda images, *how: measured.append(len(images)) or plain(images, *how))
    again = audit(real, held_out, cache=cache)
    assert again == passed and sum(measured) == len(held_out)
    train = texture(20, seed=8)
    searched = audit(real, held_out, train, power=False, cache=cache)
    copies = novelty.nearest_crop(real, list(train)).distance, novelty.nearest_crop(held_out, list(train)).distance
    monkeypatch.setattr(novelty, "nearest_crop", None)
    with pytest.raises(InputError, match="copies"):
        audit(real[:16], held_out[:8], train, power=False, copies=(copies[0][:3], copies[1]))
    kept = sorted(cache.glob("measured-*"))[0]
    kept.write_bytes(b"damaged")
    assert audit(real, held_out, train, power=False, cache=cache, copies=copies) == searched


def test_few_fields_are_insufficient_and_sizes_may_differ(real, held_out):
    few = audit(np.repeat(real[:2], 4, 0) + 0.01 * texture(8, seed=3), held_out[:8, :, 1:-1, :-2], power=False)
    assert few["verdict"] == "insufficient" and few["independent"]["fields_of_view"] == 2
    assert few["n_real"] == 8 and len(few["images"]) == 8
    assert any("are enough" in note for note in few["notes"])


def test_what_slices_vary_by_is_estimated_where_they_are_few_and_places_are_counted_where_they_are_fewer():
    fields = np.arange(48)
    units = choose_units(fields // 16, fields, np.arange(16), 16, 0.05)
    assert units.kind == "fields of view" and units.enough and units.sizes == (48, 16)
    units = choose_units(fields // 12, fields, np.arange(16), 16, 0.05)
    assert (units.kind, units.way, units.enough, units.sizes) == ("slices", "rotate", True, (4, 1))
    assert not choose_units(fields // 24, fields // 24, np.arange(16), 16, 0.05).enough
    # two synthetic slices are two, however many images of them there are
    units = choose_units(fields // 6, fields // 6, np.arange(16) // 8, 16, 0.05)
    assert units.sizes == (8, 2) and units.way == "rotate"


def test_synthetic_images_of_unknown_slices_are_of_one_unless_they_are_said_to_be_independent():
    fields = np.arange(48)
    assert choose_units(fields // 6, fields, np.arange(16), 16, 0.05).sizes == (8, 1)
    units = choose_units(fields // 6, fields, np.arange(16), 16, 0.05, told=True)
    assert units.sizes == (8, 8) and units.way == "exchange"
    # where nothing is known of the slices of real images either, all images count alike
    assert choose_units(fields, fields, np.arange(16), 16, 0.05).sizes == (48, 16)


# ------------------------------------------------------------------------------------------------------------- pieces


def test_every_row_is_complete():
    """What a single image or a set is judged for can be planted, and has words."""
    assert {v for row in DEFECTS.values() for v in row.values} <= set(WORDS)
    assert set(set_tests.names(True)) == set(DEFECTS) - {"copied", "unchanged", "structure_lost"}
    assert set(set_tests.names(True)) - set(set_tests.names(False)) == {"memorised"}
    for name, row in DEFECTS.items():
        if row.level == "image":
            assert (row.score is None) == (row.pair is not None) and row.test is None, name
            assert row.plant or row.alter or row.pair or not row.named, name
        else:
            assert row.test and row.alter and row.score is None, name
        assert row.share_of is None or DEFECTS[row.share_of].alter, name
    assert list(scores())[:3] == ["blank", "saturated", "colour_in_grey"]  # reports list them in this order


def test_scores_of_one_row_do_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    x, real = rng.standard_normal((5, 3)), rng.standard_normal((50, 3))
    np.testing.assert_allclose(case.joint(x, real)[2:3], case.joint(x[2:3], real))
    z = case.deviations(np.array([[np.nan, 0.0, 1e9]]), np.full((4, 3), np.nan))
    assert (z == 0).all()


def test_the_threshold_is_that_of_the_real_images():
    image = np.zeros((2, 1, 32, 32), np.float32)
    image[..., 16:] = 0.8
    found = fit_segmentation(image)
    assert isinstance(found, Segmentation) and found(image)[0, :, 20:].all() and not found(image)[0, :, :12].any()


def test_a_mineral_that_few_images_show_is_no_phase_to_measure():
    image = np.random.default_rng(0).normal(0.45, 0.02, (10, 1, 32, 32)).astype(np.float32)
    image[:, :, :8] -= 0.3  # pores in all of them
    image[0, :, 8:24] = 1.0
    assert 0.2 < fit_segmentation(image).threshold < 0.4


def test_what_is_defined_for_hardly_any_real_image_says_nothing():
    real = np.full((40, 2), np.nan)
    real[:3, 0], real[:10, 1] = 5.0, np.arange(10)
    z = case.deviations(np.array([[9.0, 99.0]]), real)[0]
    assert z[0] == 0 and z[1] > 10


def test_collapse_and_coverage_on_points():
    points = np.random.default_rng(0).standard_normal((40, 2))
    points[20:30] = points[20]
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    fresh, same = np.arange(40) >= 30, (np.arange(40) >= 20) & (np.arange(40) < 30)
    assert set_scores.collapse(distance, same) > set_scores.collapse(distance, fresh) + 1
    far = distance.copy()
    far[:30, 30:] += 50
    assert set_scores.uncovered(far, fresh) > set_scores.uncovered(distance, fresh) + 1


@pytest.mark.parametrize("defect", plants())
def test_plants_keep_shape_and_range_and_grow(real, defect):
    weak, strong = (plant(defect, real[:8], DEFECTS[defect].plant.severities[k]) for k in (0, 2))
    assert weak.shape == strong.shape and weak.shape[2:] == (48, 48)
    assert weak.min() >= 0 and weak.max() <= 1
    assert np.abs(strong - real[:8]).mean() > np.abs(weak - real[:8]).mean() > 0


def test_edits_that_do_nothing_or_leave_nothing():
    source, real = texture(10, seed=4), texture(8, seed=5)
    images = np.concatenate([source[:4] * 0.9 + 0.05, texture(4, seed=6), gaussian_filter(source[8:], (0, 0, 1, 1))])
    found = [f and f["defect"] for f in pair_findings(images, source, real)]
    assert found[:4] == ["unchanged"] * 4 and found[4:8].count("structure_lost") >= 3 and found[8:] == [None, None]


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:5], "at least 8"),
        (lambda x: x.repeat(2, 2).repeat(2, 3), "--size 48"),
        (lambda x: np.where(x == x.max(), np.nan, x), "NaN"),
        (lambda x: x * 2, r"\[0, 1\]"),
        (lambda x: x[:, 0], "shape"),
    ],
)
def test_bad_input_is_one_sentence(real, held_out, change, words):
    with pytest.raises(InputError, match=words):
        audit(real, change(held_out))


def test_one_place_is_no_reference(real, held_out):
    one = np.clip(real[:1] + 0.01 * np.random.default_rng(0).standard_normal((9, *real.shape[1:])), 0, 1)
    with pytest.raises(InputError, match="one place"):
        audit(one, held_out)


def test_images_of_other_sizes_are_cut_to_what_fits_both(real, held_out):
    sides = open_sides(real, held_out[..., 1:-1, :-2], real, None, None, None)
    assert sides["synth"].images.shape[2:] == sides["real"].images.shape[2:] == (46, 46)
    np.testing.assert_array_equal(sides["real"].images, real[:, :, 1:47, 1:47])
    assert sides["train"].images.shape[2:] == (48, 48) and len(sides["real"].names) == len(real)
    tiles = open_sides(real, held_out[..., :20, :20], None, None, None, None)["real"]
    assert len(tiles.images) == 4 * len(real) and len(set(tiles.groups)) == len(real)


def test_grey_images_for_coloured_ones_are_refused(real, held_out):
    colour = plant("colour_in_grey", real, 0.01)
    with pytest.raises(InputError, match="RGB"):
        audit(colour, held_out)


def test_files_end_with_their_exit_code_and_a_source_must_pair_up(tmp_path, monkeypatch, capsys, real, held_out):
    from veridical.data.images import write_images
    from veridical.data.window import IntensityWindow

    window = IntensityWindow(0, 255, "uint8")
    write_images(tmp_path / "real", real[:9], window)
    write_images(
        tmp_path / "bad", plant("colour_in_grey", held_out[:8], 0.01), window, stems=[f"b{k}" for k in range(8)]
    )
    page = tmp_path / "audit.html"

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["veridical", "audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    files = ("--json", tmp_path / "audit.json", "--html", page, "--quiet")
    code, text = run(tmp_path / "real", tmp_path / "bad", *files)
    assert code == 3 and "colour_in_grey" in text.out
    assert "data:image/png;base64" in page.read_text()
    held = json.loads((tmp_path / "audit.json").read_text())
    assert held["images"][0]["file"] == "b0" and (tmp_path / held["evidence"]["file"]).is_file()
    code, _ = run(tmp_path / "real", tmp_path / "bad", "--json", tmp_path / "second.json", "--quiet")
    other = json.loads((tmp_path / "second.json").read_text())["evidence"]["file"]
    assert (tmp_path / other).is_file() and other != held["evidence"]["file"]
    code, text = run(tmp_path / "real", tmp_path / "bad", "--source", tmp_path / "real")
    assert code == 2 and "no image called b0" in text.err


def test_copies_that_are_spread_over_few_slices_fail_and_neighbours_of_nothing_do_not(real, held_out, cache):
    """No test of four slices finds them; the noise of images of nothing is no place."""
    slices = np.arange(len(held_out)) % 2
    copies = plant("mode_collapse", held_out, 0.6)
    report = audit(real, copies, synth_groups=slices, power=False, cache=cache)
    assert report["verdict"] == "fail" and first(report) == "mode_collapse"
    rng = np.random.default_rng(0)
    flat = np.clip(0.5 + 0.02 * rng.standard_normal(held_out.shape), 0, 1).astype(np.float32)
    found = audit(real, flat, synth_groups=slices, power=False, cache=cache)["findings"]
    assert all(finding["p_value"] != 0 for finding in found if finding["defect"] == "mode_collapse")


def neighbours(seed, places=16):
    """Two slices next to each other of each of some volumes."""
    rng = np.random.default_rng(seed)
    volumes = gaussian_filter(rng.standard_normal((places, 12, 64, 64)), (0, 4, 4, 4), mode="wrap")
    volumes = 0.5 + 0.25 * np.tanh(2 * volumes / volumes.std((1, 2, 3), keepdims=True))
    noise = 0.005 * rng.standard_normal((places, 2, 64, 64))
    return np.clip(volumes[:, 5:7] + noise, 0, 1).reshape(-1, 1, 64, 64).astype(np.float32)


def test_neighbouring_slices_are_no_copies_where_the_real_images_are_such():
    assert audit(neighbours(0), neighbours(1), power=False)["findings"] == []
