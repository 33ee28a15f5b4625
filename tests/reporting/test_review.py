"""Families, edits beside their truth, and what scores are worth, as the report shows them."""

import json

import numpy as np

from bench_folder import make_bench
from veridical.reporting import edited, families, figures
from veridical.reporting.report import report
from veridical.reporting.results import Cell
from veridical.reporting.review import taus_shown


def row(metric, value, low=None, high=None, **more):
    about = {
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "n": 12,
        "floor": None,
        "reason": None,
        "seed": 0,
    }
    return about | more


def cell(folder, name, rows, control=(), state="done", images=()):
    audit = {"verdict": "fail", "images": list(images)}
    return Cell(
        "cmc", name, 0, folder, state, None if rows else "skipped: nobody", list(rows), {}, audit, tuple(control)
    )


FAILED = {"verdict": "fail", "findings": [{"defect": "unchanged", "title": "the edit did nothing"}]}


def test_a_dash_has_its_reason_and_groups_come_in_order(tmp_path):
    spec = {
        "recipes": {"dcgan": {"family": "GAN"}},
        "edits": {"inpaint": {"group": "inpainting"}, "copy": {"group": "line"}, "away": {"group": "translation"}},
    }
    edits = [
        cell(tmp_path, "inpaint", [row("obeyed", 0.5, 0.2, 0.8, floor=0.9), row("ssim", 0.999998, 0.999997, 0.999999)]),
        cell(
            tmp_path, "copy", [row("obeyed", None, reason="nobody knows")], images=[FAILED] * 3 + [{"verdict": "pass"}]
        ),
        cell(tmp_path, "away", [], state="skipped"),
    ]
    cells = [
        cell(
            tmp_path, "dcgan", [row("ssim", None, reason="needs pairs"), row("fd_efficientnet_lite0", 300.0, 280, 320)]
        )
    ]
    systems = edited.systems(spec, cells, edits, "cmc")
    assert [s["system"] for s in systems] == ["copy", "dcgan", "away", "inpaint"]
    rows, reasons = edited.page_rows(systems)
    said = dict(reasons)
    by = {r["system"]: {c["label"]: c for c in r["cells"]} for r in rows}
    assert said[by["copy"]["obeyed"]["mark"]] == "nobody knows"
    assert said[by["dcgan"]["SSIM"]["mark"]] == edited.UNPAIRED and by["dcgan"]["Fréchet distance"]["value"] == "300"
    assert by["inpaint"]["SSIM"]["value"] == "1.000" and by["inpaint"]["obeyed"]["below"] == ["floor 0.900", "n = 12"]
    assert by["copy"]["audit passes"]["value"] == "0.25" and rows[0]["reasons"] == "3 the edit did nothing"
    assert rows[2]["trouble"] == "skipped: nobody"
    shown = edited.table_shown("cmc", systems)
    assert len({tuple(r) for r in shown}) == 1 and len(edited.table_rows("cmc", systems)) == 4 * len(edited.TITLES)


def stat(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def family(key, distance, bad=0, seeded=3, spread=0.01, **more):
    none = dict.fromkeys(families.KEYS, stat(None)) | {"blurred": stat(None)}
    about = {"dataset": "cmc", "key": key, "family": key, "best": key, "bad": bad, "seeded": seeded, "spread": spread}
    return none | about | {"distance": distance} | more


def answers(*rows):
    return {c["the review says"]: c["here"] for c in families.claims(rows)}


def test_what_the_review_says_holds_only_where_intervals_lie_apart():
    best = "diffusion models give the highest quality"
    vae = family("VAE", stat(1.4, 1.3, 1.5), blurred=stat(0.9, 0.8, 1.0))
    gan = family("GAN", stat(0.6, 0.5, 0.7), bad=6, seeded=6, blurred=stat(0.1, 0.0, 0.2))
    far, near = (family("diffusion", stat(v, v - 0.05, v + 0.05)) for v in (0.3, 0.55))
    found = answers(vae, gan, far)
    assert found[best] == families.HOLDS and answers(vae, gan, near)[best] == families.OPEN
    worse = family("diffusion", stat(0.9, 0.8, 1.0))
    assert answers(vae, gan, worse)[best] == families.FAILS
    assert found["VAEs yield blurrier images than the others"] == families.HOLDS
    stable = "GANs are less stable in training than the others"
    assert found[stable] == families.HOLDS
    # 1 of 3 runs is not told apart from 0 of 6, nor is a wider spread of a few seeds; 0 of 6 is, from 6 of 6.
    assert answers(vae, gan | {"bad": 1, "seeded": 3, "spread": 0.9}, far)[stable] == families.OPEN
    assert answers(vae, gan | {"bad": 0}, far)[stable] == families.OPEN
    assert answers(vae | {"bad": 3}, gan | {"bad": 0}, far | {"bad": 3})[stable] == families.FAILS
    assert answers(gan, family("diffusion", stat(0.3), seeded=0))[stable] == families.OPEN
    assert answers(gan, far)["diffusion models offer the most control"] == families.OPEN


def test_taus_are_a_row_a_score():
    tau = {"score": "ssim", "low": -0.4, "high": -0.1, "n": 5, "reason": None}
    shown = taus_shown(
        [tau | {"truth": "good", "value": -0.3}, tau | {"truth": "obeyed", "value": None, "reason": "equal"}]
    )
    assert len(shown) == 1 and shown[0]["score"] == "SSIM" and shown[0]["as it should be"].startswith("−0.30")
    assert shown[0]["obeyed"] == "–" and shown[0]["audit passes"] == "–" and shown[0]["reason"] == "equal"


def test_the_page_shows_edits_of_a_bench(tmp_path):
    folder = make_bench(tmp_path / "bench", images={"gravel": "gravel"}, size=32, recipes=("vae", "edm"))
    spec = json.loads((folder / "spec.json").read_text())
    spec |= {"changes": {"gravel": ["add_crack"]}, "truth": {}, "stages": {}}
    spec["edits"] = {"copy": {"how": "copy", "run": "", "datasets": ["gravel"], "group": "line"}}
    (folder / "spec.json").write_text(json.dumps(spec))
    truth, edit = folder / "datasets" / "gravel" / "truth", folder / "edits" / "gravel" / "copy-seed0"
    truth.mkdir(parents=True)
    edit.mkdir(parents=True)
    before = np.random.default_rng(0).random((4, 1, 32, 32)).astype(np.float32)
    np.savez(truth / "pairs.npz", before=before, after=before, region=before[:, 0] > 0.5)
    (truth / "pairs.json").write_text(json.dumps({"names": ["a", "b", "a", "b"], "instructions": ["Add <x>."] * 4}))
    np.save(edit / "edited.npy", before)
    (edit / "status.json").write_text('{"state": "done", "reason": null}')
    (edit / "rows.json").write_text(json.dumps([row("obeyed", 0.0, 0.0, 0.4, recipe="copy", dataset="gravel")]))
    case = {"score": "ssim", "system": "copy-seed0", "value": 1.0, "good": 0.0, "better": 2, "systems": 3, "image": 1}
    worth = {"n": 4, "systems": ["copy-seed0"], "taus": [], "cases": [case]}
    (folder / "datasets" / "gravel" / "worth.json").write_text(json.dumps(worth))
    page = report(folder).read_text()
    assert "Families and edits" in page and "SSIM praises copy most" in page and "Add &lt;x&gt;." in page
    assert (folder / "tables" / "edits-gravel.md").is_file() and (folder / "figures" / "gravel-edits.png").is_file()
    assert (folder / "paper" / "paper.tex").is_file()

    # Of a folder of somebody else's, what does not fit together is told and left out.
    other = json.dumps({"names": ["a", "b", "a", "b"], "instructions": ["one only"]})
    (truth / "pairs.json").write_text(other)
    worth["cases"][0] |= {"system": "../../../x-seed0"}
    (folder / "datasets" / "gravel" / "worth.json").write_text(json.dumps(worth))
    page = report(folder).read_text()
    assert "is not of their images" in page and "worth.json: its cases.0.system cannot be read" in page
    assert "Families and edits" in page and "praises copy" not in page
    (truth / "pairs.json").write_text(json.dumps({"names": ["a", "b", "a", "b"]}))
    np.savez(truth / "pairs.npz", before=before, after=before[:2])
    assert "is not of their images" in report(folder).read_text()
    np.savez(truth / "pairs.npz", before=before[:, :, :16, :16])
    assert "one row a system" not in report(folder).read_text()


def test_long_names_stay_on_the_sheet():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    sheet = figures.sample_sheet([("prompt_to_prompt_with_words", np.zeros((1, 1, 8, 8), np.float32))], 1, 2)
    renderer = FigureCanvasAgg(sheet).get_renderer()
    assert all(text.get_window_extent(renderer).x0 >= 0 for text in sheet.texts)
