"""Result rows: floors, equal n, findings, null with a reason, and bad input."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import uniform_filter
from skimage.metrics import structural_similarity

from veridical.core.errors import InputError
from veridical.data.images import write_images
from veridical.data.window import IntensityWindow
from veridical.metrics import distribution, features
from veridical.metrics.novelty import cut_crops
from veridical.metrics.spacing import spacing
from veridical.scoring.nearest import Training
from veridical.scoring.result_rows import null
from veridical.scoring.result_rows import row as a_row
from veridical.scoring.said import format_rows, headline, unmeasured
from veridical.scoring.score import gather, measure, score
from veridical.scoring.table import METRICS

KEYS = {"recipe", "dataset", "seed", "metric", "value", "low", "high", "n", "floor", "reason", "remark", "settings"}
SHARES = ("precision_capped", "recall_capped", "coverage")
SET_METRICS = ("kid_tiny", "kid_over_random_phase", "fd_tiny", *SHARES)


class _Tiny(torch.nn.Module):
    """Grey levels and edges of the parts of a small image, wherever they are: features that cost nothing."""

    def forward(self, x):
        pooled = torch.nn.functional.avg_pool2d(x[:, :1], 4).flatten(1)
        edges = torch.nn.functional.avg_pool2d((x[:, :1, 1:, 1:] - x[:, :1, :-1, :-1]).abs(), 5).flatten(1)
        return torch.cat([pooled.sort(1).values, 4 * edges.sort(1).values], 1)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    row = features.Extractor(
        load=lambda path: _Tiny(), sizes=(16,), dim=25, layer="pool", normalisation="none", weights="none"
    )
    monkeypatch.setitem(features.EXTRACTORS, "tiny", row)


def blobs(n, seed, channels=1, size=16):
    """Two bright squares with a little grain: a material that is nothing like its random-phase texture."""
    rng = np.random.default_rng(seed)
    images = 0.2 + 0.03 * rng.standard_normal((n, channels, size, size))
    for image in images:
        for y, x in rng.integers(0, size - 5, (2, 2)):
            image[:, y : y + 5, x : x + 5] += 0.6
    return np.clip(images, 0, 1).astype(np.float32)


def by_metric(rows):
    assert len({row["metric"] for row in rows}) == len(rows)
    return {row["metric"]: row for row in rows}


def test_rows_are_complete_and_json():
    rows = score(blobs(80, 0), blobs(40, 1), extractor="tiny", recipe="edm", dataset="blobs", seed=3)
    for row in rows:
        assert set(row) == KEYS and (row["recipe"], row["dataset"], row["seed"]) == ("edm", "blobs", 3)
        assert (row["value"] is None) == (row["reason"] is not None)
        assert row["value"] is not None or row["remark"] is None
        json.dumps(row, allow_nan=False)
    found = by_metric(rows)
    assert [*found] == [
        "copied_share", "ssim", "psnr", "lpips_efficientnet_lite0", *SET_METRICS, "memorised", "spacing_tiny", "clipscore_domain",
    ]  # fmt: skip
    for name in SET_METRICS:
        row = found[name]
        assert row["low"] <= row["value"] <= row["high"] and row["floor"] is not None
        assert "jackknife" in row["settings"]["interval"] and row["settings"]["extractor"] == "tiny"
    assert found["ssim"]["reason"] == "needs pairs" and found["ssim"]["value"] is None
    assert found["copied_share"]["value"] == 0 and found["copied_share"]["reason"] is None


def test_kid_uses_every_image_and_the_others_equal_n():
    found = by_metric(score(blobs(60, 0), blobs(50, 1), floor_real=blobs(44, 2), extractor="tiny"))
    assert found["kid_tiny"]["n"] == 50 and found["kid_tiny"]["settings"]["n_real"] == 60
    for name in ("fd_tiny", "recall_capped", "coverage"):
        assert found[name]["n"] == found[name]["settings"]["n_real"] == found[name]["settings"]["n_synth"] == 44
    precise = found["precision_capped"]
    assert precise["n"] == 50 and precise["settings"]["n_real"] == 44
    # without further real images value and floor are taken at half of the real set
    assert by_metric(score(blobs(40, 0), blobs(30, 1), extractor="tiny"))["fd_tiny"]["n"] == 20


def test_values_are_those_of_the_metrics():
    real, synth, other = blobs(40, 0), 0.9 * blobs(40, 1), blobs(40, 2)
    x, y, z = (features.extract(images, "tiny") for images in (real, synth, other))
    found = by_metric(score(real, synth, floor_real=other, phase=other, extractor="tiny"))
    assert found["fd_tiny"]["value"] == pytest.approx(distribution.frechet(x, y))
    assert found["fd_tiny"]["floor"] == pytest.approx(distribution.frechet(x, z))
    assert found["kid_tiny"]["value"] == pytest.approx(distribution.kid(x, y).value)
    for name in SHARES:
        assert found[name]["value"] == distribution.neighbour_shares(x, y)[name] < 1
        assert found[name]["floor"] == distribution.neighbour_shares(x, z)[name] > 0


def test_floor_is_what_real_images_score():
    """Fresh real images score near the floor, damaged ones beyond it."""
    real, other = blobs(80, 0), blobs(80, 2)
    fresh = by_metric(score(real, blobs(80, 1), floor_real=other, extractor="tiny"))
    bad = by_metric(score(real, 0.6 * blobs(80, 1), floor_real=other, extractor="tiny"))
    for name in ("kid_tiny", "fd_tiny"):
        assert abs(fresh[name]["value"] - fresh[name]["floor"]) < 0.2 * (bad[name]["value"] - bad[name]["floor"])
        assert bad[name]["low"] > bad[name]["floor"]
    assert fresh["kid_over_random_phase"]["low"] < 0 < fresh["kid_over_random_phase"]["high"] < 0.3
    assert bad["coverage"]["high"] < bad["coverage"]["floor"]


def test_random_phase_scores_one():
    from veridical.metrics.surrogates import surrogates

    real, train = blobs(120, 0), blobs(120, 2)
    synth = surrogates(train, np.random.default_rng(5))
    row = by_metric(score(real, synth, floor_real=train, extractor="tiny"))["kid_over_random_phase"]
    assert 0.2 < row["low"] < 1 < row["high"] < 2.5
    assert row["settings"]["n_random_phase"] == 120
    given = by_metric(score(real, synth, floor_real=train, phase=synth, extractor="tiny"))["kid_over_random_phase"]
    # but for the bias that is taken off as if the two were independent
    assert given["value"] == pytest.approx(1, abs=0.05)


def test_no_ratio_where_random_phase_cannot_be_told_from_real():
    real = np.random.default_rng(0).random((12, 1, 16, 16), dtype=np.float32)
    row = by_metric(score(real, blobs(12, 1), phase=real[::-1], extractor="tiny"))["kid_over_random_phase"]
    assert row["value"] is None and "random-phase" in row["reason"]


def test_slices_are_resampled_not_tiles():
    """Tiles of a slice that are alike: the interval by slice is wider than the one by tile."""
    real = 0.7 * np.repeat(blobs(8, 0), 6, axis=0) + 0.3 * blobs(48, 2)
    groups = np.repeat(np.arange(8), 6)
    synth = 0.8 * blobs(48, 1)
    by_slice = by_metric(score(real, synth, real_groups=groups, extractor="tiny"))["kid_tiny"]
    by_tile = by_metric(score(real, synth, extractor="tiny"))["kid_tiny"]
    assert by_slice["settings"]["standard_error"] > 1.5 * by_tile["settings"]["standard_error"]
    assert "8 slices" in by_slice["settings"]["interval"]
    # pairs of tiles of one slice, which are alike, do not count
    assert by_slice["value"] < by_tile["value"]


def sliced(count, tiles, seed):
    """Images of slices of a brightness of their own."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), tiles)
    return np.clip(blobs(count * tiles, seed) * rng.uniform(0.6, 1, count)[labels, None, None, None], 0, 1), labels


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_slices_give_no_narrow_interval(count):
    real, groups = sliced(count, 10, 1)
    other, other_groups = sliced(8, 5, 3)
    arguments = {"real_groups": groups, "floor_real": other.astype(np.float32), "floor_groups": other_groups}
    rows = by_metric(score(real.astype(np.float32), blobs(40, 1), extractor="tiny", **arguments))
    by_tile = by_metric(
        score(real.astype(np.float32), blobs(40, 1), floor_real=other.astype(np.float32), extractor="tiny")
    )
    for name in ("kid_tiny", "fd_tiny"):
        row = rows[name]
        assert row["value"] is not None
        if row["low"] is None:
            assert "no interval: " in row["remark"] and row["settings"]["interval"].startswith("none: ")
        else:
            assert count > 1 and f"{count} slices" in row["settings"]["interval"]
            wide = row["high"] - row["low"], by_tile[name]["high"] - by_tile[name]["low"]
            assert wide[0] > (1.5 if name == "kid_tiny" else 0.5) * wide[1], name
    assert rows["kid_tiny"]["low"] is None or count > 2
    assert rows["fd_tiny"]["n"] == 8 and rows["fd_tiny"]["settings"]["n_real"] == 10 * min(count, 4)


def test_other_images_of_too_few_slices_give_no_floor():
    real, groups = sliced(6, 8, 0)
    rows = by_metric(score(real.astype(np.float32), blobs(48, 1), real_groups=groups, extractor="tiny"))
    assert rows["fd_tiny"]["value"] is not None and rows["fd_tiny"]["floor"] is None and rows["fd_tiny"]["n"] == 24
    assert "no floor: fewer than 6 other slices" in rows["fd_tiny"]["remark"]
    assert rows["kid_tiny"]["floor"] is not None
    one = by_metric(score(real.astype(np.float32), blobs(48, 1), real_groups=np.zeros(48), extractor="tiny"))
    assert (
        one["fd_tiny"]["floor"] is not None and one["fd_tiny"]["remark"] == "no interval: all images are of one slice"
    )


def test_surrogates_of_real_tiles_go_with_their_slice():
    real, groups = sliced(8, 4, 0)
    sets = gather(real.astype(np.float32), blobs(32, 1), real_groups=groups, extractor="tiny")
    phase = sets.random_phase
    assert phase.of_real and sorted(phase.groups) == sorted(groups)
    xx, yy, xy, pp, xp = (np.isnan(kernel) for kernel in sets.kernels)
    labels = sets.rows.real_groups
    assert (xx == (labels[:, None] == labels)).all() and (pp == (phase.groups[:, None] == phase.groups)).all()
    assert (xp == (labels[:, None] == phase.groups)).all() and not xy.any() and (yy == np.eye(32)).all()
    row = measure(sets, ["kid_over_random_phase"])[0]
    assert "8 slices, 32 single images merged into 20" in row["settings"]["interval"]


@pytest.mark.parametrize("grouped", [False, True])
def test_order_changes_nothing(grouped):
    """Nor in what is drawn to equal n, left out for the intervals, or made into random-phase images."""
    sets = {"real": blobs(126, 0), "synth": blobs(123, 1), "floor_real": blobs(120, 2)}
    groups = {name: np.arange(len(images)) // 3 for name, images in sets.items()}
    results = []
    for seed in (1, 2):
        order = {name: np.random.default_rng(seed).permutation(len(images)) for name, images in sets.items()}
        arguments = {name: images[order[name]] for name, images in sets.items()}
        if grouped:
            labels = {name.split("_")[0]: groups[name][order[name]] for name in sets}
            arguments |= {f"{name}_groups": label for name, label in labels.items()}
        results.append(by_metric(score(**arguments, extractor="tiny")))
    for name in SET_METRICS:
        for key in ("value", "low", "high", "floor"):
            assert results[0][name][key] == pytest.approx(results[1][name][key], rel=1e-5, abs=1e-8), (name, key)


# ----------------------------------------------------------------------------------------------- findings and limits


@pytest.mark.parametrize("paired", [False, True])
def test_the_same_images_are_a_finding_not_a_score(paired):
    real = blobs(12, 0)
    rows = by_metric(score(real, real if paired else real[::-1], paired=paired, extractor="tiny"))
    assert rows["copied_share"]["value"] == 1 and "are the real images" in rows["copied_share"]["reason"]
    for name in SET_METRICS:
        assert rows[name]["value"] is None and "are the real images" in rows[name]["reason"]
    assert rows["ssim"]["value"] is None
    assert rows["ssim"]["reason"] == ("identical inputs" if paired else "needs pairs")


def test_some_copies_are_counted():
    real, synth = blobs(12, 0), blobs(12, 1)
    synth[[2, 5]] = real[[7, 8]]
    row = by_metric(score(real, synth, extractor="tiny"))["copied_share"]
    assert row["value"] == pytest.approx(2 / 12) and "2 synthetic" in row["reason"]


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_too_few_images_give_null_and_a_reason(n):
    rows = by_metric(score(blobs(n, 0), blobs(n, 1), extractor="tiny"))
    for row in rows.values():
        json.dumps(row, allow_nan=False)
    assert "give 40 of different slices" in rows["coverage"]["reason"] and rows["coverage"]["value"] is None
    assert (rows["kid_tiny"]["value"] is None) == (n < 2)
    assert (rows["fd_tiny"]["value"] is None) == (n < 4)


@pytest.mark.parametrize(("n", "slices", "valued"), [(39, 39, ()), (40, 40, SHARES), (80, 20, ("precision_capped",))])
def test_shares_of_neighbours_are_withheld_where_they_mean_little(n, slices, valued):
    groups = np.arange(n) % slices
    other = {"floor_real": blobs(n, 2), "floor_groups": groups}
    rows = by_metric(score(blobs(n, 0), blobs(n, 1), real_groups=groups, extractor="tiny", **other))
    for name in SHARES:
        assert (rows[name]["value"] is not None) == (name in valued)
        if name not in valued:
            assert f"means little with {min(n, slices)} images a set" in rows[name]["reason"]


def test_recall_is_withheld_where_samples_lie_beside_the_real_images():
    """Images of all variety, but with noise that moves them aside: their recall would be called a lack of variety."""
    noise = np.random.default_rng(3).normal(0, 0.2, (60, 1, 16, 16)).astype(np.float32)
    real, other, made = (blobs(60, k) for k in range(3))
    found = [by_metric(score(real, x, floor_real=other, extractor="tiny")) for x in (made, np.clip(made + noise, 0, 1))]
    assert [rows["recall_capped"]["value"] is not None for rows in found] == [True, False]
    assert "nothing of variety" in found[1]["recall_capped"]["reason"]
    assert all(rows[name]["value"] is not None for rows in found for name in ("precision_capped", "coverage"))


def test_inception_is_null_with_a_reason_where_the_file_is_missing(tmp_path):
    rows = by_metric(score(blobs(8, 0), blobs(8, 1), extractor="inception", inception=tmp_path / "no.pt"))
    assert rows["fid"]["value"] is None and "no Inception weights" in rows["fid"]["reason"]
    assert rows["kid"]["value"] is None and "fd_efficientnet_lite0" not in rows


def test_efficientnet_ranks_damage(shared_data):
    """The real network on real tiles: blur and noise are farther than other real tiles."""
    files = sorted((shared_data / "sandstone" / "test").glob("*.png"))
    tiles = np.stack([np.asarray(Image.open(file), np.float32)[None, :64, :64] / 255 for file in files])[:20]
    files = sorted((shared_data / "sandstone" / "train").glob("*.png"))[::3]
    train = np.stack([np.asarray(Image.open(file), np.float32)[None, :64, :64] / 255 for file in files])[:40]
    value = {}
    sets = {
        "real": train[1::2],
        "blur": uniform_filter(train[1::2], (0, 0, 5, 5)),
        "noise": np.random.default_rng(0).random((20, 1, 64, 64), dtype=np.float32),
    }
    for name, synth in sets.items():
        rows = by_metric(score(tiles, synth, floor_real=train[::2]))
        value[name] = rows["kid_over_random_phase"]["value"]
    assert value["real"] < 0.15 < value["blur"] < value["noise"]


# ------------------------------------------------------------------------------------------------------------- pairs


def test_paired_rows_are_means_over_pairs():
    real = blobs(9, 0)
    synth = np.clip(real + 0.05 * np.random.default_rng(1).standard_normal(real.shape), 0, 1).astype(np.float32)
    rows = by_metric(score(real, synth, paired=True, extractor="tiny"))
    direct = [
        structural_similarity(x[0], y[0], data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        for x, y in zip(real, synth, strict=True)
    ]
    assert rows["ssim"]["value"] == pytest.approx(np.mean(direct), rel=1e-6)
    assert rows["ssim"]["low"] < rows["ssim"]["value"] < rows["ssim"]["high"]
    assert rows["psnr"]["value"] == pytest.approx(26, abs=1.5)
    assert rows["lpips_efficientnet_lite0"]["value"] > 0


def test_identical_pairs_are_left_out_and_told():
    real, synth = blobs(9, 0), blobs(9, 1)
    synth[4] = real[4]
    rows = by_metric(score(real, synth, paired=True, extractor="tiny"))
    without = by_metric(score(np.delete(real, 4, 0), np.delete(synth, 4, 0), paired=True, extractor="tiny"))
    assert rows["psnr"]["n"] == 8 and "1 identical" in rows["psnr"]["remark"]
    assert rows["psnr"]["value"] == pytest.approx(without["psnr"]["value"])


def test_images_smaller_than_the_ssim_window():
    rows = by_metric(score(blobs(6, 0, size=8), blobs(6, 1, size=8), paired=True, extractor="tiny"))
    assert rows["ssim"]["value"] is None and "11" in rows["ssim"]["reason"]
    assert rows["psnr"]["value"] is not None


# ------------------------------------------------------------------------------------------------------------- files


def test_files_are_paired_by_name_and_share_a_window(tmp_path):
    real, synth = blobs(6, 0), blobs(6, 1)
    window = IntensityWindow(1000, 9000, "uint16")
    names = [f"slice{k}" for k in range(6)]
    write_images(tmp_path / "real", real, window, stems=names)
    write_images(tmp_path / "synth", 0.8 * synth[::-1], window, stems=names[::-1])
    rows = by_metric(score(tmp_path / "real", str(tmp_path / "synth"), paired=True, extractor="tiny"))
    # the window is fitted on the real files, so a contrast that is lost stays lost
    fitted = np.percentile(np.rint(1000 + 8000 * real), (0.05, 99.95))
    low, high = np.floor(fitted[0]), np.ceil(fitted[1])
    x, y = (np.clip((np.rint(1000 + 8000 * images) - low) / (high - low), 0, 1) for images in (real, 0.8 * synth))
    direct = 10 * np.log10(1 / np.mean((x - y) ** 2, axis=(1, 2, 3)))
    assert rows["psnr"]["value"] == pytest.approx(direct.mean(), rel=1e-4)


def test_the_floor_may_be_files_too(tmp_path):
    window = IntensityWindow(1000, 9000, "uint16")
    images = {"real": blobs(14, 0), "synth": 0.8 * blobs(14, 1), "train": blobs(14, 2)}
    for name, array in images.items():
        stems = [f"slice{k // 2}_r{k % 2}c0" for k in range(14)]
        write_images(tmp_path / name, array, window, stems=stems)
    paths = [tmp_path / name for name in images]
    rows = by_metric(score(*paths[:2], floor_real=paths[2], extractor="tiny"))
    # one tile of each of the 7 slices at a time
    assert rows["fd_tiny"]["n"] == 7 and rows["fd_tiny"]["settings"]["draws"] == 2
    assert rows["fd_tiny"]["floor"] < rows["fd_tiny"]["value"]
    assert "7 slices, 7 slices" in rows["fd_tiny"]["settings"]["interval"]
    with pytest.raises(InputError, match="all as arrays"):
        score(*paths[:2], floor_real=images["train"], extractor="tiny")


def test_names_without_partner_are_listed(tmp_path):
    window = IntensityWindow(0, 255, "uint8")
    write_images(tmp_path / "real", blobs(3, 0), window, stems=["a", "b", "c"])
    write_images(tmp_path / "synth", blobs(3, 1), window, stems=["a", "b", "d"])
    with pytest.raises(InputError, match=r"c in .*real, d in .*synth"):
        score(tmp_path / "real", tmp_path / "synth", paired=True, extractor="tiny")
    score(tmp_path / "real", tmp_path / "synth", extractor="tiny")


def test_bit_depths_must_agree(tmp_path):
    write_images(tmp_path / "real", blobs(3, 0), IntensityWindow(0, 65535, "uint16"))
    write_images(tmp_path / "synth", blobs(3, 1), IntensityWindow(0, 255, "uint8"))
    with pytest.raises(InputError, match="uint8"):
        score(tmp_path / "real", tmp_path / "synth", extractor="tiny")


@pytest.mark.parametrize(
    ("synth", "message"),
    [
        (blobs(4, 1, size=20), "20 x 20"),
        (blobs(4, 1, channels=3), "RGB"),
        (blobs(4, 1)[:0], "no images"),
        (blobs(4, 1) * 255, r"\[0, 1\]"),
        ("folder", "all sets as files"),
    ],
    ids=["size", "channels", "empty", "range", "kinds"],
)
def test_sets_that_cannot_be_compared(synth, message):
    with pytest.raises(InputError, match=message):
        score(blobs(4, 0), synth, extractor="tiny")


def test_groups_must_have_a_label_an_image():
    with pytest.raises(InputError, match="4 images but 3 group labels"):
        score(blobs(4, 0), blobs(4, 1), real_groups=["a", "b", "c"], extractor="tiny")


# --------------------------------------------------------------------------------------------------- novelty, tables


def test_copies_of_training_crops_are_memorised():
    rng = np.random.default_rng(0)
    train = [blobs(16, k).reshape(4, 4, 16, 16).swapaxes(1, 2).reshape(1, 64, 64) for k in range(4)]
    test = np.concatenate([blobs(60, 11), blobs(60, 12)])
    places = rng.integers(0, 48, (10, 2))
    copied = np.stack([train[k % 4][:, y : y + 16, x : x + 16] for k, (y, x) in enumerate(places)])
    synth = np.concatenate([copied[:, :, ::-1], blobs(30, 20)])
    sets = replace(gather(test, synth, extractor="tiny"), train=Training(train, 8, 0.5))
    row = measure(sets, ["memorised"], recipe="gan")[0]
    assert set(row) == KEYS and row["metric"] == "memorised" and row["recipe"] == "gan"
    assert 0.25 <= row["value"] <= 0.45 and row["floor"] == pytest.approx(6 / 121)
    assert row["settings"]["share_searched"] == 0.5 and row["settings"]["n_train_images"] == 4
    crops, known = sets.crops
    assert max(crops.distance[:10]) < 1e-3 and len(crops.distance) == 40 and len(known) == 120
    np.testing.assert_allclose(cut_crops(train, crops, (16, 16))[:10], synth[:10], atol=1e-6)
    json.dumps(row, allow_nan=False)
    again = measure(replace(sets, test_distance=known), ["memorised"])[0]
    assert again["value"] == row["value"]
    few = by_metric(score(test[:10], synth, train=train, extractor="tiny"))
    assert few["memorised"]["value"] is None and "19 held-out" in few["memorised"]["reason"]
    assert few["fd_tiny"]["n"] == 5  # images of another size are no floor: REAL is halved
    small = by_metric(score(test, synth, train=[train[0][:, :10]], extractor="tiny"))["memorised"]
    assert small["value"] is None and "as large as a tile" in small["reason"]
    with pytest.raises(InputError, match="channels"):
        score(test, synth, train=[np.repeat(train[0], 3, 0)], extractor="tiny")


def test_training_images_of_the_size_of_tiles_are_the_floor_too():
    real, synth, train = blobs(24, 0), 0.8 * blobs(20, 1), blobs(24, 2)
    once = by_metric(score(real, synth, train=train, extractor="tiny"))
    other = by_metric(score(real, synth, floor_real=train, extractor="tiny"))
    assert once["memorised"]["value"] is not None and once["memorised"]["floor"] == pytest.approx(1 / 25)
    assert other["memorised"]["reason"] == "needs training images (--train)" and other["memorised"]["value"] is None
    assert all(once[name] == other[name] for name in once if name != "memorised")
    assert once["spacing_tiny"]["value"] == spacing(*(features.extract(x, "tiny") for x in (synth, train)))
    assert once["spacing_tiny"]["floor"] == spacing(*(features.extract(x, "tiny") for x in (real, train)))


def test_table_shows_values_and_reasons():
    from rich.console import Console

    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(format_rows(score(blobs(20, 0), blobs(20, 1), extractor="tiny")))
    text = console.export_text()
    assert "kid_over_random_phase" in text and "needs pairs" in text and "nan" not in text.lower().split()


def test_the_headline_is_said_by_its_name_and_what_is_not_measured_by_its_reason():
    rows = [
        null("ssim", "needs pairs", 64),
        null("psnr", "needs pairs", 64),
        a_row("kid_over_random_phase", 0.31, 64, low=0.2, high=0.4, floor=0.02, settings={"n_real": 96}),
    ]
    said = "distance to real (0 real, 1 random texture; kid_over_random_phase): 0.31 [0.20, 0.40], real against real 0.02; "
    assert headline(rows) == said + "64 synthetic against 96 real images"
    assert unmeasured(rows) == ["ssim, psnr: needs pairs"]
    assert headline([null("kid_over_random_phase", "one image is no set", 1)]).endswith("one image is no set")


def test_a_table_of_80_columns_cuts_no_number_or_reason_off():
    from rich.console import Console

    rows = [
        null("lpips_efficientnet_lite0", "needs training images (--train)", 256),
        a_row("kid_efficientnet_lite0", -0.01234, 256, low=-0.02345, high=0.01234, floor=-0.001234),
    ]
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(format_rows(rows))
    text = console.export_text()
    assert "…" not in text
    for word in ("(--train)", "-0.01234", "-0.02345", "-0.001234", "against", "interval", "better"):
        assert word in text.split()


def measured(rows):
    found = [name for name in SET_METRICS if rows[name]["value"] is not None]
    assert len(found) >= len(SET_METRICS) - 1  # few images give the random phase no scale
    return found


def turned(images):
    return np.ascontiguousarray(np.rot90(images, 1, (2, 3)))


def test_images_of_real_are_left_out_of_the_floor():
    real, synth, other = blobs(42, 0), 0.8 * blobs(42, 1), blobs(40, 2)
    for shared in (real, turned(real)[:4], np.rint(real[:5] * 255) / 255):
        rows = by_metric(score(real, synth, floor_real=np.concatenate([other, shared]), extractor="tiny"))
        clean = by_metric(score(real, synth, floor_real=other, extractor="tiny"))
        for name in measured(rows):
            assert rows[name]["floor"] == clean[name]["floor"] and clean[name]["remark"] is None
            assert f"{len(shared)} of the {40 + len(shared)} further real images" in rows[name]["remark"]
    with pytest.raises(InputError, match="the floor needs other images"):
        score(real, synth, floor_real=turned(real), extractor="tiny")


def test_training_images_that_are_the_real_ones_are_no_floor_and_copies_of_them_are_memorised():
    real, new = blobs(40, 0), blobs(16, 1)
    rows = {name: by_metric(score(real, x, train=real, extractor="tiny")) for name, x in
            {"new": new, "copies": turned(real)[:16]}.items()}  # fmt: skip
    halved = by_metric(score(real, new, extractor="tiny"))
    assert rows["new"]["fd_tiny"]["floor"] == halved["fd_tiny"]["floor"] and rows["new"]["memorised"]["value"] < 0.3
    assert rows["copies"]["memorised"]["value"] == 1 and "40 of the 40" in rows["copies"]["memorised"]["remark"]
    for name, said in (("fd_tiny", "remark"), ("copied_share", "reason")):
        assert "16 of the 16 synthetic images are real images" in rows["copies"][name][said]


@pytest.mark.parametrize("grain", [0, 0.002], ids=["equal", "nearly equal"])
def test_equal_samples_are_remarked(grain):
    one = np.repeat(blobs(1, 1), 40, 0) + grain * np.random.default_rng(0).standard_normal((40, 1, 16, 16))
    rows = by_metric(score(blobs(80, 0), np.clip(one, 0, 1), extractor="tiny"))
    for name in measured(rows):
        assert "of the 40 synthetic images are equal" in rows[name]["remark"] and rows[name]["reason"] is None
    assert "of the 40 synthetic images are equal" in rows["copied_share"]["reason"]
    assert rows["copied_share"]["value"] == 0 and rows["copied_share"]["remark"] is None


def test_an_image_that_is_there_twice_is_one_for_floor_and_interval():
    real = np.concatenate([blobs(12, 0), turned(blobs(12, 0))])
    row = by_metric(score(real, blobs(12, 1), extractor="tiny"))["kid_tiny"]
    assert "24 of the 24 real images are the same" in row["remark"] and "12 slices" in row["settings"]["interval"]
    given = by_metric(score(real, blobs(12, 1), real_groups=np.arange(24) % 12, extractor="tiny"))["kid_tiny"]
    assert row["value"] == given["value"] and row["low"] == pytest.approx(given["low"])


def test_pixel_sizes_that_differ_are_said(tmp_path):
    window = IntensityWindow(1000, 9000, "uint16")
    for name, size in (("real", 2.0), ("synth", 20.0), ("alike", 2.01)):
        write_images(tmp_path / name, blobs(8, len(name)), window, pixel_size=size)
    rows = score(tmp_path / "real", tmp_path / "synth", extractor="tiny")
    for row in rows:
        if row["value"] is not None:
            key = "reason" if row["metric"] == "copied_share" else "remark"
            assert "REAL has 2, SYNTH has 20 micro" in row[key]
    for row in score(tmp_path / "real", tmp_path / "alike", extractor="tiny"):
        assert "pixel" not in f"{row['reason']} {row['remark']}"


def test_remarks_are_said_once_below_the_table_by_their_numbers():
    from rich.console import Console

    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(format_rows(score(blobs(80, 0), np.repeat(blobs(1, 1), 40, 0), extractor="tiny")))
    text = console.export_text()
    assert text.count("real against real is not 0 either") == 1  # of the Fréchet distance
    assert text.count("of the 40 synthetic images are equal") == 1
    number = next(line for line in text.splitlines() if "images are equal" in line).split(":")[0]
    lines = [line for line in text.splitlines() if line.startswith(("kid_tiny", "fd_tiny"))]
    assert len(lines) == 2 and all(number in line.replace(",", "").split()[5:] for line in lines)


def test_precision_beyond_real_images_is_remarked():
    """The whole interval has to lie above, and of a distance nothing is said."""
    metric = METRICS["precision_capped"]
    far, near = ({"value": 0.9, "low": low, "floor": 0.58} for low in (0.6, 0.5))
    assert "no merit" in (metric.above(far) or "") and metric.above(near) is None
    assert metric.above(far | {"low": None}) and metric.above(far | {"floor": None}) is None
    assert METRICS["kid"].above(far) is None
    real = blobs(100, 0)
    row = by_metric(score(real[:50], 0.97 * real[:40], floor_real=0.5 * real[50:], extractor="tiny"))[
        "precision_capped"
    ]
    assert row["low"] > row["floor"] and "no merit" in row["remark"]


def test_an_unknown_extractor_is_refused():
    with pytest.raises(InputError, match="'tinny' is not a feature extractor"):
        score(blobs(9, 0), blobs(9, 1), extractor="tinny")


def test_large_sets_are_compared_by_some_of_their_images(monkeypatch):
    """The same rows whatever the order; every image is looked at for copies; the remark says how many are compared."""
    monkeypatch.setattr("veridical.scoring.selection.MOST", 24)
    real, synth = blobs(60, 0), 0.8 * blobs(50, 1)
    synth[7] = real[3]
    rows = by_metric(score(real, synth, extractor="tiny"))
    for name in ("kid_tiny", "fd_tiny", "precision_capped", "spacing_tiny"):
        assert rows[name]["value"] is None or "24 images of a set, spread evenly" in rows[name]["remark"]
    assert rows["kid_tiny"]["value"] is not None and rows["kid_tiny"]["n"] == 24
    assert rows["kid_tiny"]["settings"]["n_real"] == 24
    assert rows["copied_share"]["value"] == 1 / 50 and rows["copied_share"]["n"] == 50
    order = np.random.default_rng(0).permutation(50)
    again = by_metric(score(real[::-1], synth[order], extractor="tiny"))
    assert again["kid_tiny"]["value"] == pytest.approx(rows["kid_tiny"]["value"], abs=1e-9)
