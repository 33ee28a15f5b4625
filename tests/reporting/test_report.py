"""The report on bench folders made up here: scikit-image's own textures and invented numbers."""

import csv
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench_folder import RECIPES, make_bench, result_row, write
from veridical.core.errors import InputError
from veridical.reporting import facts, figures, formats, tables
from veridical.reporting.report import report


class Page(HTMLParser):
    """What a browser would load, and the text that a reader sees."""

    def __init__(self, html: str):
        super().__init__()
        self.loads: list[str] = []
        self.images: list[dict] = []
        self.text: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self._hidden = False
        self.feed(html)
        self.words = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self._hidden = tag == "style"
        self.loads += [given[k] for k in ("src", "srcset", "data", "poster") if k in given]
        self.loads += [given["href"]] if tag == "link" else []
        self.images += [given] if tag == "img" else []

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden:
            self.text.append(data)
        if self.tags and self.tags[-1] in ("h2", "h3") and data.strip():
            self.headings.append(data)
            self.tags.append("text")


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Path:
    """Two datasets (grey, RGB), two seeds, with cells that failed, run and wait; the report is written."""
    folder = tmp_path_factory.mktemp("bench")
    make_bench(
        folder, {"gravel": "gravel", "coffee": "coffee"}, size=32, seeds=(0, 1),
        failed=[("gravel", "dcgan", 0), ("gravel", "dcgan", 1), ("coffee", "vae", 1)],
        running=[("coffee", "edm", 1)], missing=[("coffee", "latent_diffusion", 0), ("coffee", "latent_diffusion", 1)],
    )  # fmt: skip
    assert report(folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(bench) -> Page:
    return Page((bench / "report.html").read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_page_is_one_self_contained_file(bench, page):
    html = (bench / "report.html").read_text(encoding="utf-8")
    assert page.loads and all(address.startswith("data:image/png;base64,") for address in page.loads)
    assert not re.search(r"url\(|@import|<script|<link", html)
    assert not re.search(r"https?://", html)


def test_pictures_have_alternative_texts(page):
    assert len(page.images) > 20
    assert all(len(image.get("alt", "")) > 10 for image in page.images)


def test_every_cell_and_reason_is_on_the_page(page):
    for recipe in RECIPES:
        assert recipe in page.words
    assert "seeds 0, 1 failed: loss of part generator_dcgan is NaN at step 120 & 50% <b>" in page.words
    assert "seed 1 failed: loss of part generator_vae is NaN" in page.words
    assert "coffee / edm / seed 1 not finished" in page.words
    assert "seeds 0, 1 not started" in page.words
    assert "b" not in page.tags[: page.tags.index("main")]  # the reason's <b> is text, not a tag


def test_text_from_the_bench_is_escaped(bench):
    html = (bench / "report.html").read_text(encoding="utf-8")
    assert "<title>Textures &lt;&amp; others&gt;</title>" in html


def test_missing_numbers_are_dashes_with_a_reason(page):
    assert re.search(r"– a .*a means little with 30 images a set; give 40", page.words)
    assert "nan" not in page.words.replace("is NaN", "")
    assert "None" not in page.words


def test_summary_names_the_best_and_who_is_as_good(page):
    value = r"distance to real \(0 real, 1 random texture\) 0\.\d\d \(0\.\d\d–0\.\d\d\)"
    assert re.search(rf"gravel edm has the best value: {value}, mean of 2 seeds", page.words)
    assert re.search(
        r"It is not distinguishable from latent_diffusion \(0\.\d+ \(.*?\): the intervals overlap\)\.", page.words
    )
    assert re.search(r"It is better than .*random_phase \(", page.words)


def test_parts_stand_in_order(page):
    titles = [
        "Ranking", "Real and synthetic tiles", "Nearest training crop", "Training losses", "Cost", "Data",
        "How the metrics were computed", "How to cite",
    ]  # fmt: skip
    headings = "".join(f"|{text}" for text in page.headings)
    assert re.search(".*".join(map(re.escape, titles)), headings)
    assert headings.startswith("|gravel|coffee|gravel|Ranking")  # the summary comes before the datasets
    assert "kernel: (x.y / d + 1)^3" in page.words


def test_headings_leave_out_no_level_and_wide_tables_scroll_by_key(bench):
    html = (bench / "report.html").read_text(encoding="utf-8")
    levels = [int(level) for level in re.findall(r"<h(\d)", html)]
    assert levels[0] == 1 and all(below <= above + 1 for above, below in pairwise(levels))
    tables = re.findall(r"<div class=.scroll.[^>]*>(?=<table)", html)
    assert len(tables) > 3 and all('tabindex="0" role="region" aria-label="' in tag for tag in tables)


def test_data_are_named_without_the_way_to_them():
    spec = {"datasets": {"a": {"data": "/home/me/scans/rock", "scale": 0.5}, "b": "phantom:cmc?n=3", "c": "scans/rock"}}
    assert [facts.source(spec, name) for name in "abcd"] == [
        "…/rock; scale = 0.5",
        "phantom:cmc?n=3",
        "scans/rock",
        "",
    ]


def test_ranking_csv_has_the_numbers_of_the_cells(bench):
    rows = read_csv(bench / "tables" / "ranking.csv")
    assert len(rows) == 2 * len(RECIPES)
    for row in rows:
        values, lows, highs = [], [], []
        for seed in row["seeds"].split():
            cell = bench / "cells" / row["dataset"] / f"{row['system']}-seed{seed}" / "rows.json"
            found = next(r for r in json.loads(cell.read_text()) if r["metric"] == "kid_over_random_phase")
            values.append(found["value"])
            lows.append(found["low"])
            highs.append(found["high"])
        if not values:
            assert row["kid_over_random_phase"] == "" and row["notes"]
            continue
        assert float(row["kid_over_random_phase"]) == pytest.approx(np.mean(values), rel=1e-14)
        assert float(row["kid_over_random_phase_low"]) == min(lows)
        assert float(row["kid_over_random_phase_high"]) == max(highs)
    for dataset in ("gravel", "coffee"):
        mine = [float(r["kid_over_random_phase"] or "inf") for r in rows if r["dataset"] == dataset]
        assert mine == sorted(mine)


def test_metrics_csv_parses_back_to_the_rows(bench):
    rows = {(r["dataset"], r["recipe"], r["seed"], r["metric"]): r for r in read_csv(bench / "tables" / "metrics.csv")}
    seen = 0
    for path in bench.glob("cells/*/*/rows.json"):
        for row in json.loads(path.read_text()):
            found = rows[row["dataset"], row["recipe"], str(row["seed"]), row["metric"]]
            for key in ("value", "low", "high", "floor", "n"):
                assert (float(found[key]) if found[key] else None) == row[key]
            assert (found["reason"], found["remark"]) == (row["reason"] or "", row["remark"] or "")
            assert json.loads(found["settings"]) == row["settings"]
            seen += 1
    assert seen == 14 * 8 and len(rows) == seen + 6  # a cell without results keeps a row with its reason


def test_cost_csv_has_every_cell(bench):
    rows = read_csv(bench / "tables" / "cost.csv")
    assert len(rows) == 20
    done = [row for row in rows if row["state"] == "done"]
    assert {float(row["train_seconds"]) for row in done} == {361.2}
    assert all(row["notes"] for row in rows if row["state"] != "done")


def test_steps_stand_beside_every_result_and_a_busy_machine_is_told(bench, page):
    rows = {(row["dataset"], row["system"]): row for row in read_csv(bench / "tables" / "ranking.csv")}
    assert rows["coffee", "edm"]["training_steps"] == "1834"
    assert "1\u202f834 steps" in " ".join(page.text)
    told = "1834 steps at 5.1 a second, after 12 in its first seconds: the machine was busy"
    assert (
        told in page.words and told in rows["coffee", "dcgan"]["notes"] and told not in rows["coffee", "edm"]["notes"]
    )


def test_every_metric_shows_its_own_counts(bench, tmp_path):
    folder = make_bench(tmp_path, {"gravel": "gravel"}, size=32, recipes=("edm",))
    path = folder / "cells" / "gravel" / "edm-seed0" / "rows.json"
    rows = json.loads(path.read_text())
    for k, row in enumerate(rows):
        row |= {"n": 40 + k, "settings": row["settings"] | {"n_real": 20 + k}}
    write(path, rows)
    words = Page(report(folder).read_text(encoding="utf-8")).words
    shown = {row["metric"]: k for k, row in enumerate(rows)}
    for name in ("kid_over_random_phase", "fd_efficientnet_lite0", "precision_capped", "coverage", "memorised"):
        assert f"n = {40 + shown[name]}, {20 + shown[name]} real" in words
    (line,) = [row for row in read_csv(folder / "tables" / "ranking.csv") if row["system"] == "edm"]
    assert (line["coverage_n"], line["coverage_n_real"]) == (str(40 + shown["coverage"]), str(20 + shown["coverage"]))


def test_markdown_and_latex_agree_with_csv(bench):
    numbers = [row for row in read_csv(bench / "tables" / "ranking.csv") if row["kid_over_random_phase"]]
    lines = (bench / "tables" / "ranking.md").read_text(encoding="utf-8").splitlines()
    head, *body = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in [lines[0], *lines[2:]]]
    assert all(len(cells) == len(head) for cells in body)
    shown = [dict(zip(head, cells)) for cells in body if cells[head.index("rank")] != "–"]
    latex = (bench / "tables" / "ranking.tex").read_text(encoding="utf-8")
    for row, text in zip(numbers, shown, strict=True):
        assert text["system"] == row["system"]
        value = re.fullmatch(r"(−?[\d.]+) \((−?[\d.]+)(?:–| to )(−?[\d.]+)\)", text["kid_over_random_phase"])
        assert value
        for got, key in zip(value.groups(), ("", "_low", "_high")):
            assert float(got.replace("−", "-")) == pytest.approx(float(row[f"kid_over_random_phase{key}"]), abs=0.0051)
        cells = (formats.latex_escape(text[key]) for key in ("system", "kid_over_random_phase"))
        assert " & ".join(cells) in latex
    assert latex.count(r"\\") == len(body) + 1
    assert r"50\% \textless{}b\textgreater{}" in latex and r"step 120 \& 50" in latex


def test_figures_are_written(bench):
    names = {path.name for path in (bench / "figures").glob("*.png")}
    assert {"gravel-ranking.png", "gravel-samples.png", "gravel-edm-loss.png", "gravel-edm-nearest-1.png"} <= names
    assert "gravel-latent_diffusion-first-loss.png" in names and "gravel-dcgan-tiles.png" not in names


def test_tiles_are_shown_pixel_for_pixel_at_one_scale(bench):
    from PIL import Image

    samples = np.load(bench / "cells" / "coffee" / "edm-seed0" / "samples.npy")
    strip = np.asarray(Image.open(bench / "figures" / "coffee-edm-tiles.png"))
    tile = np.rint(samples[1].transpose(1, 2, 0) * 255).astype(np.uint8)
    shown = strip[:128, 130 : 130 + 128]  # second tile of 32 px at 4 x with 2 px between
    assert np.array_equal(shown, tile.repeat(4, axis=0).repeat(4, axis=1))
    real = Image.open(bench / "figures" / "coffee-real-tiles.png")
    assert real.size == strip.shape[1::-1]


def test_the_first_screen_shows_real_over_synthetic_and_what_is_proven(bench, page):
    from PIL import Image

    samples = np.load(bench / "cells" / "gravel" / "edm-seed0" / "samples.npy")
    strip = np.asarray(Image.open(bench / "figures" / "gravel-first-edm.png"))
    tile = np.rint(samples[0, 0] * 255).astype(np.uint8)
    assert np.array_equal(strip[:96, :96], tile.repeat(3, axis=0).repeat(3, axis=1))
    assert [image["alt"][-20:] for image in page.images[:2]] == [
        "10 large tiles, real",
        "tiles, synthetic of edm"[-20:],
    ]
    assert "Proven: samples of edm are nearer to real tiles than a random texture is (distance to real 0." in page.words
    assert page.words.index("Proven:") < page.words.index("edm has the best value")


def test_report_of_a_bench_that_has_just_begun(tmp_path):
    write(tmp_path / "spec.json", {"datasets": {"core": {"data": "scans"}}, "recipes": {"edm": {}}, "seeds": [0]})
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert "core / edm / seed 0 not started" in page.words
    assert "No learned system has a distance to real." in page.words
    assert read_csv(tmp_path / "tables" / "metrics.csv")[0]["reason"] == "not started"


def test_broken_files_are_left_out_not_fatal(tmp_path):
    make_bench(tmp_path, {"gravel": "gravel"}, size=32)
    place, cell = tmp_path / "datasets" / "gravel", tmp_path / "cells" / "gravel" / "edm-seed0"
    (place / "test.npy").write_bytes((place / "test.npy").read_bytes()[:500])
    (place / "summary.json").unlink()
    (cell / "rows.json").write_text('[{"recipe": "edm"')
    (cell / "nearest.json").unlink()
    (cell / "samples.npy").write_bytes(b"")
    (cell / "run" / "log.jsonl").write_text("not json\n")
    (cell.parent / "vae-seed0" / "cost.json").write_text("{")
    rows = json.loads((cell.parent / "dcgan-seed0" / "rows.json").read_text())
    for row in rows:
        row["value"] = float("nan")
    write(cell.parent / "dcgan-seed0" / "rows.json", rows)
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert "seed 0 done, but rows.json is missing or unreadable" in page.words
    assert "value is not a finite number" in page.words
    assert "latent_diffusion is the best learned system: distance to real (0 real, 1 random texture)" in page.words


@pytest.mark.parametrize("old", [False, True], ids=["today's", "without remarks"])
def test_why_there_is_no_interval_is_a_remark_and_was_a_reason(old, tmp_path):
    make_bench(tmp_path, {"gravel": "gravel"}, size=32, recipes=("edm",))
    path = tmp_path / "cells" / "gravel" / "edm-seed0" / "rows.json"
    rows = json.loads(path.read_text())
    for row in rows:
        if row["value"] is not None:
            row |= {"low": None, "high": None, "remark": "no interval: all images are of one slice"}
        if old:
            said = row.pop("remark")
            row["reason"] = row["reason"] or said
    write(path, rows)
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert "a no interval: all images are of one slice" in page.words
    for row in read_csv(tmp_path / "tables" / "metrics.csv"):
        if row["recipe"] == "edm":
            assert (row["value"] == "") == (row["reason"] != "") == (row["remark"] == "")


def test_a_limit_that_is_no_number_is_remarked(tmp_path):
    make_bench(tmp_path, {"gravel": "gravel"}, size=32, recipes=("edm",))
    path = tmp_path / "cells" / "gravel" / "edm-seed0" / "rows.json"
    write(path, [row | {"low": float("inf")} for row in json.loads(path.read_text())])
    report(tmp_path)
    for row in read_csv(tmp_path / "tables" / "metrics.csv"):
        if row["recipe"] == "edm" and row["value"]:
            assert row["remark"] == "low is not a finite number" and row["reason"] == ""


def test_dataset_with_failed_cells_only(tmp_path):
    failed = [("gravel", recipe, 0) for recipe in RECIPES]
    make_bench(tmp_path, {"gravel": "gravel"}, size=32, failed=failed)
    page = Page(report(tmp_path).read_text(encoding="utf-8"))
    assert "No learned system has a distance to real." in page.words
    assert page.words.count("failed: loss of part generator_edm") >= 2
    assert "16 of 30" in page.words  # the real tiles are still shown


@pytest.mark.parametrize("content", [None, "[]", "{", '{"title": "no datasets"}'])
def test_folder_that_is_no_bench_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "spec.json").write_text(content)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        report(tmp_path)
    assert not (tmp_path / "report.html").exists() and not (tmp_path / "tables").exists()
    with pytest.raises(InputError, match="not a folder"):
        report(tmp_path / "absent")


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.4213, 0.3101, 0.5542, "0.42 (0.31–0.55)"),
        (0.013, -0.021, 0.047, "0.013 (−0.021 to 0.047)"),
        (348.7, 320.2, 381.9, "349 (320–382)"),
        (0.0312, None, None, "0.0312"),
        (-0.0001, -0.2, 0.2, "0.00 (−0.20 to 0.20)"),
        (None, None, None, "–"),
    ],
)
def test_numbers_have_sensible_digits(value, low, high, text):
    assert formats.uncertain(value, low, high) == text


def test_floors_and_minutes_are_short():
    assert tables.floor_text("kid_over_random_phase", [-0.00037]) == "0.000"
    assert tables.floor_text("precision_capped", [0.875, 1.0]) == "0.88–1.00"
    assert tables.floor_text("recall_capped", []) == "–"
    assert [formats.minutes(x) for x in (0.0025, 0.0, 6.02, None)] == ["<0.1", "0.0", "6.0", "–"]


def test_fid_and_extractors_are_found():
    assert tables.find_metric(["kid_x", "fid", "precision_capped"], "fd") == "fid"
    assert tables.find_metric(["fd_efficientnet_lite0"], "fd") == "fd_efficientnet_lite0"
    assert tables.find_metric(["kid_over_random_phase"], "precision_capped") is None


def test_latex_escapes_what_latex_reads_as_commands():
    row = {"a_b": "50 % & #1 {x} ~ ^ $ \\cmd\nnext"}
    text = formats.to_latex([row], "caption", "tab:x").splitlines()
    assert r"a\_b \\" in text
    assert r"50 \% \& \#1 \{x\} \textasciitilde{} \textasciicircum{} \$ \textbackslash{}cmd next \\" in text


def test_markdown_keeps_its_columns():
    lines = formats.to_markdown([{"a": "x | y\nz", "b": None}]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", r"| x \| y z | – |"]


def test_loss_plot_keeps_the_spikes_out_of_the_axis():
    losses = np.r_[np.linspace(2, 1, 400)]
    losses[200] = 1e4
    curve = {"minutes": np.arange(400.0), "parts": {"generator": losses}}
    low, high = figures.loss_plot({0: curve}, "gan").axes[0].get_ylim()
    assert high < 2000 and low >= 0


# --------------------------------------------------------------------------------------------------------- stability


def test_stability_over_seeds(tmp_path):
    seeds = (0, 1, 2)
    recipes = ("vae", "dcgan", "edm")
    folder = make_bench(tmp_path / "b", {"brick": "brick"}, 32, seeds, [("brick", "dcgan", 1)], recipes=recipes)
    for recipe in ("dcgan", "edm"):
        for seed in seeds:
            path = folder / "cells" / "brick" / f"{recipe}-seed{seed}" / "rows.json"
            if path.is_file():
                value = 0.05 if (recipe, seed) == ("dcgan", 2) else 0.8
                row = result_row("brick", recipe, seed, "spacing_efficientnet_lite0", value)
                write(path, [*json.loads(path.read_text()), row])
    page = report(folder).read_text()
    assert "Stability over seeds" in page
    with open(folder / "tables" / "stability.csv", newline="") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert float(rows["dcgan"]["failed_share"]) == pytest.approx(1 / 3)
    assert float(rows["dcgan"]["collapsed_share"]) == pytest.approx(1 / 3)
    assert (rows["edm"]["failed_share"], rows["edm"]["collapsed_share"]) == ("0.0", "0.0")
    assert rows["vae"]["collapsed_share"] == ""  # nobody measured it
    scores = []
    for seed in seeds:
        made = json.loads((folder / "cells" / "brick" / f"edm-seed{seed}" / "rows.json").read_text())
        scores += [row["value"] for row in made if row["metric"] == tables.HEADLINE]
    assert float(rows["edm"]["standard_deviation"]) == pytest.approx(np.std(scores, ddof=1))
    assert float(rows["edm"]["largest"]) == max(scores)
    assert "33 % (1 of 3)" in (folder / "tables" / "stability.md").read_text()


def test_one_seed_has_no_stability(tmp_path):
    folder = make_bench(tmp_path / "b", {"brick": "brick"}, size=32, recipes=("edm",))
    assert "Stability over seeds" not in report(folder).read_text()
    assert not (folder / "tables" / "stability.csv").exists()
